"""Overlapping streams: bulk requests about the same persons at the same time, some of whose answers land meanwhile.

Each stream asks for all persons, in an order of its own within windows of two requests. So a request shares inquiries
with those in flight on other streams, and its persons' records are partly filled when it is planned. The broker has one
worker, and that worker records the longest steps of its event loop.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.answer_check import AnswerChecker, CheckResult
from benchmarks.load_client import LoadClient, StreamResult
from benchmarks.load_generator import requests, sample, uvloop_runner
from benchmarks.lookup_encoder import EncodedRequest
from benchmarks.resource_meter import ResourceMeter
from benchmarks.testbed import open_testbed
from benchmarks.worker_report import fetch, program
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Lookup

_WINDOW = 2  # requests whose lookups are shuffled together: what streams ask about at a moment overlaps by half or more
_REFUSED = "RESOURCE_EXHAUSTED"
_PAUSE = 0.2  # s until a refused request is sent again
_CHECKED = 200_000  # answers recomputed, about: some seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSetting:
    """What is asked. Each of `streams` streams asks `institutions` about `subjects` persons."""

    institutions: int
    subjects: int
    batch: int
    """Lookups per request."""
    streams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapResult:
    """What came back, and what it cost. Seconds."""

    inquiries: int
    seconds: float
    broker_cpu: float
    longest_step: float
    """Wall time of the longest step of the worker's event loop."""
    longest_step_cpu: float
    """CPU time of the step that used most of it."""
    longest_step_name: str
    long_steps: int
    """Steps of more than 10 ms of CPU time."""
    longest_collection: float
    """CPU time of the longest garbage collection."""
    peak_rss_mib: float
    sources: dict[str, int]
    """Answers by source."""
    duplicates: int
    """Inquiries that reached a mock while its earlier answer was still valid."""
    refused: int
    """Requests refused for lack of capacity, and sent again."""
    failed: int
    """Requests that ended with an error."""
    unanswered: int
    lost: int
    check: CheckResult

    @property
    def cpu_us(self) -> float:
        """The broker's CPU time per inquiry, in microseconds."""
        return self.broker_cpu / max(1, self.inquiries) * 1e6


def measure(setting: OverlapSetting, seed: int) -> OverlapResult:
    """Runs mocks and a broker, sends all streams, and checks a sample of the answers."""
    mocks = config.load().with_national(setting.institutions)
    names = [each.id for each in mocks.institutions]
    lookups = sample(seed, setting.subjects)
    streams = overlapping(lookups, setting, seed)
    worker = program("step_worker")
    with open_testbed(seed=seed, national=setting.institutions, program=worker) as testbed, uvloop_runner() as runner:
        fetch(testbed)
        with ResourceMeter(testbed) as meter:
            results, refused = runner.run(_send(testbed.address, streams))
        steps = fetch(testbed)
        duplicates = sum(each["duplicates"] for each in testbed.stats().values())
    messages = [message for result in results for message in result.messages]
    every = max(1, setting.subjects * setting.institutions // _CHECKED)
    check = AnswerChecker(seed, lookups, names, mocks).check(messages, every=every)
    return OverlapResult(
        inquiries=sum(result.summary.inquiries for result in results),
        seconds=meter.seconds,
        broker_cpu=meter.broker_cpu,
        longest_step=steps["longest_wall"],
        longest_step_cpu=steps["longest_cpu"],
        longest_step_name=steps["longest_step"],
        long_steps=steps["steps_over"],
        longest_collection=steps["longest_collection"],
        peak_rss_mib=meter.peak_rss_mib,
        sources=_sources(results),
        duplicates=duplicates,
        refused=refused,
        failed=sum(result.status != "OK" for result in results),
        unanswered=sum(result.unanswered for result in results),
        lost=sum(result.lost for result in results),
        check=check,
    )


def overlapping(lookups: Sequence[Lookup], setting: OverlapSetting, seed: int) -> list[list[EncodedRequest]]:
    """The requests of each stream: all lookups, window by window, in another order on every stream."""
    rng = random.Random(seed)
    size = _WINDOW * setting.batch
    windows = [lookups[start : start + size] for start in range(0, len(lookups), size)]
    return [
        [request for window in windows for request in _shuffled(window, setting.batch, rng)]
        for _ in range(setting.streams)
    ]


def _shuffled(window: Sequence[Lookup], batch: int, rng: random.Random) -> Iterator[EncodedRequest]:
    shuffled = rng.sample(window, len(window))
    for start, body in zip(range(0, len(shuffled), batch), requests(shuffled, batch), strict=True):
        yield EncodedRequest(body, list(range(len(shuffled[start : start + batch]))), is_bulk=True)


async def _send(address: str, streams: Sequence[Sequence[EncodedRequest]]) -> tuple[list[StreamResult], int]:
    """Sends all streams at the same time. Returns the results, and how many requests were refused at first.

    The messages of the first stream are kept.
    """
    results: list[StreamResult] = []
    refused = 0

    async def send(client: LoadClient, stream: Sequence[EncodedRequest], *, keep: bool) -> None:
        nonlocal refused
        for request in stream:
            while (result := await client.send(request, keep=keep)).status == _REFUSED:
                refused += 1
                await asyncio.sleep(_PAUSE)
            results.append(result)

    async with LoadClient.open(address, channels=len(streams)) as client, asyncio.TaskGroup() as group:
        for number, stream in enumerate(streams):
            group.create_task(send(client, stream, keep=number == 0))
    return results, refused


def _sources(results: Sequence[StreamResult]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for result in results:
        for each in result.summary.sources:
            name = pb.Source.Name(each.source).removeprefix("SOURCE_").lower()
            counts[name] = counts.get(name, 0) + each.count
    return counts
