"""Latency of cached lookups in a worker that hostile institutions reply to at the same time, and the worker's memory.

    python -m benchmarks.hostile [--kind small-objects ...] [--institutions 8] [--seconds 5] [--settle 60]

For each kind of hostile reply (mock_institutions/hostile.py), a broker with one worker asks some institutions that all
reply in this way, four times a second about a thousand persons, while single lookups that are in the cache come at
random moments from a process of their own (`benchmarks.interactive` says why). The kind "none" asks ordinary mocks the
same, for comparison. The worker's memory is read before, during, and so many seconds after the calls.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import click
import numpy as np

from benchmarks.dataset import Dataset
from benchmarks.load_client import LoadClient
from benchmarks.load_generator import uvloop_runner
from benchmarks.lookup_encoder import EncodedRequest
from benchmarks.output import print_json, print_table, progress
from benchmarks.probe import Probe, ProbeResult, raise_priority, run_probes
from benchmarks.resource_meter import ResourceMeter
from benchmarks.server_process import ServerProcess
from benchmarks.testbed import FOUR, Testbed, open_testbed
from broker.v1 import investigation_pb2 as pb
from mock_institutions.hostile import KINDS

_NONE = "none"
_CACHED = 2_000  # persons in the cache
_BATCH = 1_000  # lookups per hostile call; at this size a reply may be as long as any
_RATE = 4.0  # hostile requests per second
_CHANNELS = 4
_LEAD = 1.0  # s before the first probe
_LATEST = 60.0  # s after which a request without an answer fails the benchmark
_PROBES = 100.0  # per second
_BLOCK = """
[[institution]]
id = "{id}"
name = "Hostile Institution"
kind = "bank"
url = "{url}/{kind}/v1/inquiries"
dialect = "json"
batch_size = 1000
concurrency = 8
rate = 1_000_000
timeout = 5.0
found_ttl = 60
not_found_ttl = 60
"""


@dataclass(frozen=True, slots=True)
class KindResult:
    """What one kind of reply did. Latencies of cached lookups in milliseconds, memory in MiB."""

    kind: str
    p50: float
    p99: float
    max: float
    failed: int
    """Cached lookups that were not answered from the cache."""
    probes: int
    inquiries: int
    """Made of the hostile institutions, and answered UNAVAILABLE."""
    rss_before: int
    rss_peak: int
    rss_after: int


@click.command(help=__doc__)
@click.option("--kind", "kinds", multiple=True, type=click.Choice([_NONE, *KINDS]), help="[default: all]")
@click.option("--institutions", default=8, show_default=True, help="How many reply in this way.")
@click.option("--seconds", default=5.0, show_default=True, help="How long each kind lasts.")
@click.option("--settle", default=60.0, show_default=True, help="Seconds until memory is read again.")
@click.option("--seed", default=1, show_default=True)
def main(*, kinds: Sequence[str], institutions: int, seconds: float, settle: float, seed: int) -> None:
    """Run the benchmark."""
    results = []
    with (
        TemporaryDirectory(prefix="broker-benchmark-") as folder,
        _hostile(Path(folder)) as url,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as prober,
        progress() as bar,
    ):
        prober.submit(raise_priority).result()
        for kind in bar.track(kinds or [_NONE, *KINDS], description="harming"):
            bed = _Bed(kind, institutions, seconds, settle, seed)
            results.append(bed.run(url, prober))
            bar.console.print(results[-1])
    columns = ("beside", "p50", "p99", "max ms", "failed", "inquiries", "MiB before", "peak", "after")
    rows = [
        (
            one.kind,
            *(f"{value:.1f}" for value in (one.p50, one.p99, one.max)),
            f"{one.failed} of {one.probes}",
            *map(str, (one.inquiries, one.rss_before, one.rss_peak, one.rss_after)),
        )
        for one in results
    ]
    print_table(f"Cached lookups beside {institutions} hostile institutions", columns, rows)
    print_json({"benchmark": "hostile", "institutions": institutions, "kinds": [asdict(one) for one in results]})


@contextmanager
def _hostile(folder: Path) -> Iterator[str]:
    """The hostile institution's URL, for as long as the context lasts."""
    server = ServerProcess("mock_institutions", "hostile", log=folder / "hostile.log")
    try:
        yield str(server.announced["url"])
    finally:
        server.stop()


class _Bed:
    """One kind's run."""

    def __init__(self, kind: str, institutions: int, seconds: float, settle: float, seed: int) -> None:
        self._kind = kind
        self._ids = [f"hostile-{number:03d}" for number in range(institutions)] if kind != _NONE else list(FOUR)
        self._seconds, self._settle, self._seed = seconds, settle, seed
        self._dataset = Dataset(seed, cached=_CACHED)

    def run(self, url: str, prober: ProcessPoolExecutor) -> KindResult:
        """Measures; see the module."""
        is_hostile = self._kind != _NONE
        extra = "".join(_BLOCK.format(id=one, url=url, kind=self._kind) for one in self._ids) if is_hostile else ""
        program = ("broker", "serve", "--workers", "1")
        with open_testbed(seed=self._seed, program=program, extra_blocks=extra) as testbed, uvloop_runner() as runner:
            runner.run(self._warm_up(testbed))
            before = testbed.broker.rss_mib()
            probes = self._probes()
            with ResourceMeter(testbed) as meter:
                probing = prober.submit(run_probes, testbed.address, {}, probes, time.time() + _LEAD)
                inquiries = runner.run(self._harm(testbed))
                results = probing.result()
            time.sleep(self._settle)
            after = testbed.broker.rss_mib()
        return self._result(results, inquiries, (before, meter.peak_rss_mib, after))

    async def _warm_up(self, testbed: Testbed) -> None:
        async with LoadClient.open(testbed.address, channels=1) as client:
            for request in self._dataset.warm_up(_BATCH):
                await client.send(_of(request, FOUR))

    def _probes(self) -> list[Probe]:
        rng, at = Random(self._seed), 0.0
        probes = []
        while (at := at + rng.expovariate(_PROBES)) < self._seconds:
            probes.append(Probe(at, "cached", _of(self._dataset.single_cached(), FOUR)))
        return probes

    async def _harm(self, testbed: Testbed) -> int:
        """Asks the hostile institutions for as long as probes are sent. Returns how many inquiries that were."""
        began, made = time.perf_counter(), 0

        async def send(client: LoadClient) -> None:
            nonlocal made
            self._dataset.add(_BATCH)
            result = await client.send(_of(self._dataset.bulk(0, _BATCH), self._ids))
            made += result.summary.inquiries

        async with (
            LoadClient.open(testbed.address, channels=_CHANNELS) as client,
            asyncio.timeout(_LEAD + self._seconds + _LATEST),
            asyncio.TaskGroup() as group,
        ):
            for number in range(round((_LEAD + self._seconds) * _RATE)):
                await asyncio.sleep(began + number / _RATE - time.perf_counter())
                group.create_task(send(client))
        return made

    def _result(self, probes: Sequence[ProbeResult], inquiries: int, rss: Sequence[float]) -> KindResult:
        latencies = np.array([probe.result.last for probe in probes]) * 1e3
        p50, p99, worst = (round(float(np.percentile(latencies, part)), 1) for part in (50, 99, 100))
        failed = sum(probe.result.from_cache != len(FOUR) for probe in probes)
        return KindResult(self._kind, p50, p99, worst, failed, len(probes), inquiries, *map(round, rss))


def _of(request: EncodedRequest, institutions: Sequence[str]) -> EncodedRequest:
    """The request, to these institutions only. Encoded messages are merged by putting one after the other."""
    return request._replace(body=request.body + pb.InvestigateRequest(institution_ids=institutions).SerializeToString())


if __name__ == "__main__":
    main()
