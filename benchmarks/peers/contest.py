"""The contenders, set up with the same answers, and the rounds in which they take turns."""

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from benchmarks.peers import answers, redis_mget
from benchmarks.peers.daemon import daemon, free_port
from benchmarks.peers.grpc_asker import GrpcAsker
from benchmarks.peers.run import Run
from benchmarks.peers.straightforward import CALLS
from benchmarks.peers.varnish import varnish
from benchmarks.stage import FOUR, Stage, Stopwatch
from benchmarks.traffic import Checker, requests
from mock_institutions.population import Lookup

OURS, VARNISH, REDIS = "broker", "varnish", "redis"
FIRST, NEXT = "straightforward", "straightforward_gathered"

_PART = (
    25  # of the fresh persons a straightforward broker is given: still two seconds of work, and more on a busy machine
)
_FETCHED = 500  # persons whose answers are fetched from Varnish and Redis at the end, and recomputed


Step = tuple[str, Callable[[], None]]
"""Something to do, with a name for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How much is asked, and how."""

    subjects: int
    """Persons everybody holds answers about."""
    fresh: int
    """Persons nobody was asked about before, in each round."""
    seconds: int
    """Of hits, per contender and round."""
    rounds: int
    batch: int
    """Lookups per request, and per MGET."""
    streams: int
    workers: int
    """Processes of each straightforward broker."""
    seed: int


@dataclass(slots=True)
class Score:
    """What came out, by contender."""

    hits: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    misses: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    checks: list[Run] = field(default_factory=list)
    broker_cpu: float = 0.0
    """Seconds, over all hits of the broker's."""
    peak_rss_mib: float = 0.0
    drive: tuple[int, int] = (0, 0)
    """Threads and connections of wrk."""
    varnish_misses: int = 0
    """GETs Varnish had to pass on while it was on the clock; more than 0, and its hits are none."""

    def runs(self) -> Iterator[Run]:
        """All there are."""
        for runs in (*self.hits.values(), *self.misses.values(), self.checks):
            yield from runs


def ratio(runs: Mapping[str, Sequence[Run]], other: str) -> float:
    """How many times as fast the broker is: the median of the rounds."""
    return median(ours.rate / theirs.rate for ours, theirs in zip(runs[OURS], runs[other], strict=True))


def rate(runs: Sequence[Run]) -> float:
    """Inquiries per second: the median of the rounds."""
    return median(run.rate for run in runs)


class Contest:
    """Everybody, ready and filled."""

    def __init__(self, setting: Setting, scene: Stage, lookups: Sequence[Lookup], stack: ExitStack) -> None:
        """`lookups`: those of the hits, then those of the misses, round by round."""
        self.score = Score()
        self._setting = setting
        self._scene = scene
        self._held = lookups[: setting.subjects]
        self._fresh = lookups[setting.subjects :]
        self._checker = Checker(setting.seed, lookups, FOUR)
        self._redis_port = stack.enter_context(redis_mget.redis_server(scene.folder))
        self._varnish = stack.enter_context(varnish(scene.folder, self._redis_port))
        self._brokers = {
            OURS: self._asker(scene.address),
            FIRST: self._asker(stack.enter_context(self._straightforward(FIRST))),
            NEXT: self._asker(stack.enter_context(self._straightforward(NEXT, "--gather"))),
        }
        self._keys = _keys(self._held)
        self._redis = redis_mget.Asker(
            self._redis_port, self._keys, at_once=setting.batch * len(FOUR), streams=setting.streams
        )
        self._bodies = requests(self._held, setting.batch)

    def _asker(self, address: str) -> GrpcAsker:
        return GrpcAsker(address, self._checker, institutions=len(FOUR), streams=self._setting.streams)

    @contextmanager
    def _straightforward(self, name: str, *options: str) -> Iterator[str]:
        """As many processes as wanted, at one port; gives the address."""
        port = free_port()
        urls = self._scene.mocks.said["institutions"]
        command = [sys.executable, "-m", "benchmarks.peers.straightforward", "--listen", f"127.0.0.1:{port}"]
        command += ["--redis", str(self._redis_port), "--calls", str(max(1, CALLS // self._setting.workers)), *options]
        command += [f"--institution={institution}={urls[institution]}/v1/inquiries" for institution in FOUR]
        with ExitStack() as stack:
            for number in range(self._setting.workers):
                log = self._scene.folder / f"{name}-{number}.log"
                stack.enter_context(daemon(command, port=port, log=log))
            yield f"127.0.0.1:{port}"

    def preparations(self) -> list[Step]:
        """What comes before the clock starts: everybody holds the same, and it is right."""
        return [
            ("filling Redis", self._fill_redis),
            ("filling Varnish", self._fill_varnish),
            *((f"checking {name}", partial(self._learn, name)) for name in self._brokers),
            ("trying wrk", self._try_wrk),
        ]

    def round(self, number: int) -> list[Step]:
        """The measurements of one round; those of every other one are in the opposite order."""
        hits: dict[str, Callable[[], None]] = {
            OURS: self._hit_ours,
            VARNISH: self._hit_varnish,
            REDIS: self._hit_redis,
            FIRST: partial(self._hit_broker, FIRST),
            NEXT: partial(self._hit_broker, NEXT),
        }
        steps = [(f"hits, {name}", step) for name, step in hits.items()]
        steps += [(f"misses, {name}", partial(self._miss, name, part)) for name, part in self._parts(number).items()]
        return steps[:: 1 if number % 2 == 0 else -1]

    def closing(self) -> list[Step]:
        """What comes after the last round."""
        return [("checking what is held", self._check)]

    def _fill_redis(self) -> None:
        """Has the mocks asked through the broker, and keeps what they said."""
        received = self._brokers[OURS].receive(iter(self._bodies))
        redis_mget.fill(self._redis_port, answers.encoded(received, self._held))
        self._check_held(redis_mget.fetch(self._redis_port, self._keys), self._held)

    def _fill_varnish(self) -> None:
        self._check_held(self._varnish.fill(self._keys), self._held)

    def _learn(self, name: str) -> None:
        self.score.checks.append(self._brokers[name].learn(self._bodies))

    def _try_wrk(self) -> None:
        self.score.drive = self._varnish.fastest_drive(self._setting.seed)

    def _hit_ours(self) -> None:
        with Stopwatch(self._scene) as watch:
            self._hit_broker(OURS)
        self.score.broker_cpu += watch.broker_cpu
        self.score.peak_rss_mib = max(self.score.peak_rss_mib, watch.peak_rss_mib)

    def _hit_broker(self, name: str) -> None:
        self.score.hits[name].append(self._brokers[name].ask_again(self._again()))

    def _again(self) -> Iterator[bytes]:
        rng = random.Random(self._setting.seed)
        end = time.perf_counter() + self._setting.seconds
        while time.perf_counter() < end:
            yield rng.choice(self._bodies)

    def _hit_varnish(self) -> None:
        before = self._varnish.misses()
        run = self._varnish.ask(self._setting.seconds, self._setting.seed, self.score.drive)
        self.score.hits[VARNISH].append(run)
        self.score.varnish_misses += self._varnish.misses() - before

    def _hit_redis(self) -> None:
        self.score.hits[REDIS].append(self._redis.ask(self._setting.seconds, self._setting.seed))

    def _parts(self, number: int) -> dict[str, Sequence[Lookup]]:
        """Whom everybody asks about in a round. The straightforward brokers share a Redis: each has its own part."""
        fresh = self._fresh[number * self._setting.fresh :][: self._setting.fresh]
        part = max(1, len(fresh) // _PART)
        return {OURS: fresh, FIRST: fresh[:part], NEXT: fresh[part : 2 * part]}

    def _miss(self, name: str, lookups: Sequence[Lookup]) -> None:
        # A part is cut into as many requests as there are streams, so that none of them is idle.
        size = min(self._setting.batch, -(-len(lookups) // self._setting.streams))
        self.score.misses[name].append(self._brokers[name].ask(iter(requests(lookups, size))))

    def _check(self) -> None:
        """Varnish and Redis still hold what they held: a sample of it."""
        chosen = self._held[:: max(1, len(self._held) // _FETCHED)]
        keys = _keys(chosen)
        self._check_held(self._varnish.fetch(keys), chosen)
        self._check_held(redis_mget.fetch(self._redis_port, keys), chosen)

    def _check_held(self, held: Mapping[str, bytes | None], lookups: Sequence[Lookup]) -> None:
        verdict = self._checker.check(answers.received(held, lookups, FOUR))
        self.score.checks.append(Run(0, 0.0, lost=0, checked=verdict.checked, wrong=verdict.wrong))


def _keys(lookups: Sequence[Lookup]) -> list[str]:
    return [key for lookup in lookups for key in answers.keys_of(lookup, FOUR)]
