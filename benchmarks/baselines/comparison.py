"""The systems compared, set up with the same answers, and the rounds in which they take turns."""

import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from benchmarks.answer_check import AnswerChecker
from benchmarks.baselines import answers, redis_mget
from benchmarks.baselines.daemon import daemon, free_port
from benchmarks.baselines.grpc_asker import GrpcAsker
from benchmarks.baselines.run import Run
from benchmarks.baselines.straightforward import CALLS
from benchmarks.baselines.varnish import varnish
from benchmarks.load_generator import requests
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import FOUR, Testbed
from mock_institutions.population import Lookup

OURS, VARNISH, REDIS = "broker", "varnish", "redis"
STRAIGHTFORWARD, BATCHED = "straightforward", "straightforward_batched"

# A straightforward broker is asked about one in so many of the persons: two seconds of work, more on a busy machine.
_FRACTION = 25
_FETCHED = 500  # persons whose answers are fetched from Varnish and Redis at the end, and recomputed

Step = tuple[str, Callable[[], None]]
"""A description for the progress bar, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How much is asked, and how."""

    subjects: int
    """Persons all systems hold answers about."""
    uncached: int
    """Persons nobody has asked about, in each round."""
    seconds: int
    """Duration of hits, per system and round."""
    rounds: int
    batch: int
    """Lookups per request, and per MGET."""
    streams: int
    workers: int
    """Processes of each straightforward broker."""
    seed: int


@dataclass(slots=True)
class Measurements:
    """The measurements of all rounds, by system."""

    hits: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    misses: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    checks: list[Run] = field(default_factory=list)
    broker_cpu: float = 0.0
    """Seconds, over all measurements of this broker's hits."""
    peak_rss_mib: float = 0.0
    wrk: tuple[int, int] = (0, 0)
    """Threads and connections of wrk."""
    varnish_misses: int = 0
    """GETs Varnish passed on to its backend while it was measured; if more than 0, its rate is not that of hits."""

    def runs(self) -> Iterator[Run]:
        """All measurements."""
        for runs in (*self.hits.values(), *self.misses.values(), self.checks):
            yield from runs


def ratio(runs: Mapping[str, Sequence[Run]], other: str) -> float:
    """This broker's rate over the other's: the median of the rounds."""
    return median(ours.rate / theirs.rate for ours, theirs in zip(runs[OURS], runs[other], strict=True))


def rate(runs: Sequence[Run]) -> float:
    """Inquiries per second: the median of the rounds."""
    return median(run.rate for run in runs)


class Comparison:
    """All systems, running and filled with the same answers."""

    def __init__(self, parameters: Parameters, testbed: Testbed, lookups: Sequence[Lookup], stack: ExitStack) -> None:
        """`lookups`: those of the hits, then those of the misses, round by round."""
        self.measured = Measurements()
        self._parameters = parameters
        self._testbed = testbed
        self._held = lookups[: parameters.subjects]
        self._uncached = lookups[parameters.subjects :]
        self._checker = AnswerChecker(parameters.seed, lookups, FOUR)
        self._redis_port = stack.enter_context(redis_mget.redis_server(testbed.folder))
        self._varnish = stack.enter_context(varnish(testbed.folder, self._redis_port))
        self._brokers = {
            OURS: self._asker(testbed.address),
            STRAIGHTFORWARD: self._asker(stack.enter_context(self._straightforward(STRAIGHTFORWARD))),
            BATCHED: self._asker(stack.enter_context(self._straightforward(BATCHED, "--batched"))),
        }
        self._keys = _keys(self._held)
        self._redis = redis_mget.Asker(
            self._redis_port, self._keys, at_once=parameters.batch * len(FOUR), streams=parameters.streams
        )
        self._bodies = requests(self._held, parameters.batch)

    def _asker(self, address: str) -> GrpcAsker:
        return GrpcAsker(address, self._checker, institutions=len(FOUR), streams=self._parameters.streams)

    @contextmanager
    def _straightforward(self, name: str, *options: str) -> Iterator[str]:
        """Runs as many processes as wanted on one port; yields the address."""
        port = free_port()
        urls = self._testbed.mocks.announced["institutions"]
        command = [sys.executable, "-m", "benchmarks.baselines.straightforward", "--listen", f"127.0.0.1:{port}"]
        command += [
            "--redis",
            str(self._redis_port),
            "--calls",
            str(max(1, CALLS // self._parameters.workers)),
            *options,
        ]
        command += [f"--institution={institution}={urls[institution]}/v1/inquiries" for institution in FOUR]
        with ExitStack() as stack:
            for number in range(self._parameters.workers):
                log = self._testbed.folder / f"{name}-{number}.log"
                stack.enter_context(daemon(command, port=port, log=log))
            yield f"127.0.0.1:{port}"

    def preparations(self) -> list[Step]:
        """The steps before the first round: all systems are filled with the same answers, and these are checked."""
        return [
            ("filling Redis", self._fill_redis),
            ("filling Varnish", self._fill_varnish),
            *((f"checking {name}", partial(self._learn, name)) for name in self._brokers),
            ("trying wrk", self._try_wrk),
        ]

    def round(self, number: int) -> list[Step]:
        """The measurements of one round, in the opposite order in every other round."""
        hits: dict[str, Callable[[], None]] = {
            OURS: self._hit_ours,
            VARNISH: self._hit_varnish,
            REDIS: self._hit_redis,
            STRAIGHTFORWARD: partial(self._hit_broker, STRAIGHTFORWARD),
            BATCHED: partial(self._hit_broker, BATCHED),
        }
        steps = [(f"hits, {name}", step) for name, step in hits.items()]
        steps += [(f"misses, {name}", partial(self._miss, name, part)) for name, part in self._parts(number).items()]
        return steps[:: 1 if number % 2 == 0 else -1]

    def closing(self) -> list[Step]:
        """The steps after the last round."""
        return [("checking what is held", self._check)]

    def _fill_redis(self) -> None:
        """Asks the mocks through the broker, and stores their answers."""
        received = self._brokers[OURS].receive(iter(self._bodies))
        redis_mget.fill(self._redis_port, answers.encoded(received, self._held))
        self._check_held(redis_mget.fetch(self._redis_port, self._keys), self._held)

    def _fill_varnish(self) -> None:
        self._check_held(self._varnish.fill(self._keys), self._held)

    def _learn(self, name: str) -> None:
        self.measured.checks.append(self._brokers[name].learn(self._bodies))

    def _try_wrk(self) -> None:
        self.measured.wrk = self._varnish.fastest_wrk(self._parameters.seed)

    def _hit_ours(self) -> None:
        with ResourceMeter(self._testbed) as meter:
            self._hit_broker(OURS)
        self.measured.broker_cpu += meter.broker_cpu
        self.measured.peak_rss_mib = max(self.measured.peak_rss_mib, meter.peak_rss_mib)

    def _hit_broker(self, name: str) -> None:
        self.measured.hits[name].append(self._brokers[name].ask_again(self._again()))

    def _again(self) -> Iterator[bytes]:
        rng = random.Random(self._parameters.seed)
        end = time.perf_counter() + self._parameters.seconds
        while time.perf_counter() < end:
            yield rng.choice(self._bodies)

    def _hit_varnish(self) -> None:
        before = self._varnish.misses()
        run = self._varnish.ask(self._parameters.seconds, self._parameters.seed, self.measured.wrk)
        self.measured.hits[VARNISH].append(run)
        self.measured.varnish_misses += self._varnish.misses() - before

    def _hit_redis(self) -> None:
        self.measured.hits[REDIS].append(self._redis.ask(self._parameters.seconds, self._parameters.seed))

    def _parts(self, number: int) -> dict[str, Sequence[Lookup]]:
        """Whom each broker is asked about in a round. The straightforward ones share a Redis, so their parts differ."""
        uncached = self._uncached[number * self._parameters.uncached :][: self._parameters.uncached]
        part = max(1, len(uncached) // _FRACTION)
        return {OURS: uncached, STRAIGHTFORWARD: uncached[:part], BATCHED: uncached[part : 2 * part]}

    def _miss(self, name: str, lookups: Sequence[Lookup]) -> None:
        # There are at least as many requests as streams, so that no stream is idle.
        size = min(self._parameters.batch, -(-len(lookups) // self._parameters.streams))
        self.measured.misses[name].append(self._brokers[name].ask(iter(requests(lookups, size))))

    def _check(self) -> None:
        """Checks a sample of what Varnish and Redis hold at the end."""
        chosen = self._held[:: max(1, len(self._held) // _FETCHED)]
        keys = _keys(chosen)
        self._check_held(self._varnish.fetch(keys), chosen)
        self._check_held(redis_mget.fetch(self._redis_port, keys), chosen)

    def _check_held(self, held: Mapping[str, bytes | None], lookups: Sequence[Lookup]) -> None:
        check = self._checker.check(answers.received(held, lookups, FOUR).kept)
        self.measured.checks.append(Run(0, 0.0, lost=0, checked=check.checked, wrong=check.wrong))


def _keys(lookups: Sequence[Lookup]) -> list[str]:
    return [key for lookup in lookups for key in answers.keys_of(lookup, FOUR)]
