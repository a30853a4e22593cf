"""Throughput of puts and gets as the store grows, from one million subjects to fifty.

    python -m benchmarks.store_growth [--records 2000000] [--folder DIR] [--minutes 30] [--plot growth.png]

The store alone, in this process, on disk, encrypted, with its index and compaction. Subjects are put in batches of
1,000 per institution and flushed every 50,000; the put rate of a size is that of all puts since the size before. Then
gets are measured: batches of 1,000 subjects drawn from all put so far. Every record read is compared with what was put.

The four institutions' answers are computed from the mocks' seed for ten thousand persons, and reused under new keys.
The shares of FOUND are parameters: by national totals to November 2018, of 59.60 million cases searched (the court's
own figures), 49.49 million vehicles and 6.76 million records of real estate were found; 0.35 and 0.11 per subject are
rounded from that, at 1.7 searches per case and several cars per owner; the other two shares are assumptions.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.load_generator import sample
from benchmarks.output import print_result, progress
from benchmarks.server_process import rss_mib
from benchmarks.testbed import FOUR
from broker.core.wire import encoding, record
from broker.model import Outcome, Source
from broker.store.base import Statements
from broker.store.lmdb_store import LmdbStore
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population
from mock_institutions.protobuf_dialect import fill

FOUND_SHARES = (0.10, 0.35, 0.10, 0.11)
"""Of `FOUR`, in that order: how many answers of each are FOUND."""
_SIZES = (1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000)
_BATCH = 1_000
_FLUSH = 50_000
_READS = 300  # batches at each size: a second or two
_PERSONS = 10_000  # persons whose answers are computed, and reused
_TTL = 30 * 86_400  # s; longer than any run, so that nothing expires
_MAP_BYTES = 600  # of the LMDB map per subject; half as much again as is needed
_MIX, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)  # of splitmix64

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SizeResult:
    """What was measured at one size of the store. Rates in subjects per second."""

    records: int
    put: float
    get: float
    cpu: float
    """Seconds of CPU per subject read."""
    disk: float
    """Bytes per subject, index included."""


class SubjectGenerator:
    """Any number of subjects, each computed from its number, so that none has to be kept."""

    def __init__(self, seed: int, shares: Sequence[float]) -> None:
        self._offset = np.uint64(random.Random(seed).getrandbits(63))
        self._now = int(time.time())
        rng = random.Random(seed)
        self._answers = {name: _make_answers(seed, name, share, rng) for name, share in zip(FOUR, shares, strict=True)}
        self._bodies = self._expected()

    def keys(self, numbers: Numbers) -> list[bytes]:
        """Their keys, distributed like keyed hashes: splitmix64, twice."""
        states = (2 * numbers[:, None] + [0, 1]).astype(np.uint64) * _MIX + self._offset
        mixed = (states ^ states >> np.uint64(30)) * _OTHER
        raw = (mixed ^ mixed >> np.uint64(31)).tobytes()
        return [raw[at : at + 16] for at in range(0, len(raw), 16)]

    def statements(self, start: int, stop: int) -> list[Statements]:
        """The four institutions' answers about the subjects from `start` to `stop`."""
        numbers = np.arange(start, stop)
        keys, observed = self.keys(numbers), self._observed(numbers)
        persons = (numbers % _PERSONS).tolist()
        return [
            Statements(
                institution=record.institution_key(name),
                keys=keys,
                outcomes=bytes([outcomes[one] for one in persons]),
                observed=observed,
                expires=[at + _TTL for at in observed],
                segments=[segments[one] for one in persons],
            )
            for name, (outcomes, segments) in self._answers.items()
        ]

    def wrong(self, numbers: Numbers, held: Sequence[bytes | None]) -> int:
        """How many of the records differ from what was put."""
        body = record.body_at(len(FOUR))
        return sum(
            one is not None
            and (record.HEAD.unpack_from(one)[2] != observed or one[body:] != self._bodies[number % _PERSONS])
            for number, observed, one in zip(numbers.tolist(), self._observed(numbers), held, strict=True)
        )

    def _observed(self, numbers: Numbers) -> list[int]:
        """Times of observation, which tell subjects with the same answers apart."""
        observed: list[int] = (self._now - numbers % 65_537).tolist()
        return observed

    def _expected(self) -> list[bytes]:
        ordered = [encoding.with_source(self._answers[name][1], Source.CACHE) for name in sorted(FOUR)]
        return [b"".join(segments) for segments in zip(*ordered, strict=True)]


def _make_answers(seed: int, name: str, share: float, rng: random.Random) -> tuple[bytes, list[bytes]]:
    """Outcomes and segments of one institution, a given share of them FOUND."""
    population, institution = Population(seed), config.load().find(name).institution
    contents: dict[int, list[bytes]] = {Outcome.FOUND: [], Outcome.NOT_FOUND: []}
    for lookup in sample(seed, _PERSONS):
        answer = pb.Answer()
        fill(answer, population.answer(institution, lookup.type, lookup.number, lookup.name))
        answer.observed_at.seconds = int(time.time())
        contents[answer.outcome].append(answer.SerializeToString())
    outcomes = bytes(Outcome.FOUND if rng.random() < share else Outcome.NOT_FOUND for _ in range(_PERSONS))
    return outcomes, encoding.make_segments(
        name, [rng.choice(contents[outcome]) for outcome in outcomes], Source.INSTITUTION
    )


class GrowthRun:
    """One run. State: the store's size, and the results so far."""

    def __init__(self, store: LmdbStore, folder: Path, subjects: SubjectGenerator, seed: int) -> None:
        self._store = store
        self._folder = folder
        self._subjects = subjects
        self._rng = np.random.default_rng(seed)
        self._size = 0
        self.results: list[SizeResult] = []
        self.wrong = self.lost = self.read = 0
        self.peak_rss = 0.0

    def grow(self, sizes: Sequence[int], deadline: float, advance: Callable[[int], None]) -> None:
        """Grows the store from size to size, and measures at each, until the deadline."""
        for size in sizes:
            seconds, start = 0.0, self._size
            while self._size < size:
                if time.monotonic() > deadline:
                    return
                seconds += self._put(min(size, self._size + _FLUSH))
                advance(self._size)
            self._measure(put=(size - start) / seconds)

    def _put(self, stop: int) -> float:
        """Puts subjects up to this number. Returns the seconds spent in the store."""
        seconds = 0.0
        for start in range(self._size, stop, _BATCH):
            batch = self._subjects.statements(start, min(stop, start + _BATCH))
            began = time.perf_counter()
            for statements in batch:
                self._store.put_many(statements)
            seconds += time.perf_counter() - began
        began = time.perf_counter()
        self._store.flush()
        seconds += time.perf_counter() - began
        self._size = stop
        self.peak_rss = max(self.peak_rss, rss_mib(os.getpid()))
        return seconds

    def _measure(self, put: float) -> None:
        seconds = cpu = 0.0
        for _ in range(_READS):
            numbers = self._rng.integers(0, self._size, _BATCH)
            keys = self._subjects.keys(numbers)
            began, used = time.perf_counter(), time.process_time()
            held = self._store.get_many(keys)
            seconds += time.perf_counter() - began
            cpu += time.process_time() - used
            self.lost += held.count(None)
            self.wrong += self._subjects.wrong(numbers, held)
        count = _READS * _BATCH
        self.read += count
        disk = sum(file.stat().st_blocks * 512 for file in self._folder.iterdir())
        self.results.append(SizeResult(self._size, put, count / seconds, cpu / count, disk / self._size))


@click.command(help=__doc__)
@click.option("--records", default=2_000_000, show_default=True, help="Subjects at the end.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to create the store; it is removed at the end.")
@click.option("--minutes", default=30.0, show_default=True, help="Stop after so long, at whatever size.")
@click.option("--plot", type=click.Path(path_type=Path), help="Plot both rates against size, as PNG.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--found",
    nargs=4,
    default=FOUND_SHARES,
    show_default=True,
    help="Shares of FOUND: bank, vehicles, securities, real estate.",
)
def main(
    *, records: int, folder: Path | None, minutes: float, plot: Path | None, seed: int, found: tuple[float, ...]
) -> None:
    """Run the benchmark."""
    deadline = time.monotonic() + 60 * minutes
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        within = stack.enter_context(tempfile.TemporaryDirectory(prefix="broker-benchmark-", dir=folder))
        path = Path(within) / "cache"
        bar = stack.enter_context(progress())
        task = bar.add_task("computing answers", total=None)
        subjects = SubjectGenerator(seed, found)
        store = LmdbStore(path, master_keys=(bytes(32),), map_size=_MAP_BYTES * records + (1 << 30), clock=time.time)
        stack.callback(store.close)
        run = GrowthRun(store, path, subjects, seed)
        bar.update(task, description="putting and getting", total=records)
        sizes = [size for size in _SIZES if size < records] + [records]
        run.grow(sizes, deadline, lambda size: bar.update(task, completed=size))
    if not run.results:
        raise SystemExit(f"{minutes} minutes were not enough to reach {sizes[0]:,} subjects")
    if plot:
        _draw(run.results, plot)
    _print(run)


def _print(run: GrowthRun) -> None:
    first, last = next((size for size in run.results if size.records >= _SIZES[0]), run.results[0]), run.results[-1]
    rows = {
        f"{size.records:,} subjects": f"put {size.put:,.0f}/s, get {size.get:,.0f}/s, {size.disk:.0f} bytes each"
        for size in run.results
    }
    rows |= {
        "ratio to the rate at the first size": f"put {last.put / first.put:.2f}, get {last.get / first.get:.2f}",
        "wrong, lost": f"{run.wrong}, {run.lost} of {run.read:,} read",
        "memory": f"{run.peak_rss:.0f} MiB",
    }
    result: dict[str, object] = {
        "benchmark": "store_growth",
        "records": [size.records for size in run.results],
        "put_per_second": [round(size.put) for size in run.results],
        "get_per_second": [round(size.get) for size in run.results],
        "ratio_put": round(last.put / first.put, 3),
        "ratio_get": round(last.get / first.get, 3),
        "bytes_per_record": round(last.disk, 1),
        "wrong_answers": run.wrong,
        "lost": run.lost,
        "inquiries_per_second": round(last.get * len(FOUR)),
        "lookups_per_second": round(last.get),
        "broker_cpu_us_per_inquiry": round(last.cpu / len(FOUR) * 1e6, 3),
        "peak_rss_mib": round(run.peak_rss),
    }
    print_result("A growing store, records of four institutions", rows, result)


def _draw(results: Sequence[SizeResult], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and rarely needed

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, rates in (("get", [size.get for size in results]), ("put", [size.put for size in results])):
        axes.plot([size.records / 1e6 for size in results], rates, marker="o", label=name)
    axes.set(xscale="log", xlabel="million subjects in the store", ylabel="subjects per second", ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
