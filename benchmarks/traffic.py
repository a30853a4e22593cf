"""What benchmarks ask, how they ask it, and how they check what they are told."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
from rich.console import Console
from rich.progress import Progress

from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Lookup, Population
from mock_institutions.protobuf_dialect import fill

METHOD = "/broker.v1.InvestigationService/Investigate"
CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
"""Options of a channel with a connection of its own."""
_MANDATE = inquiry_pb2.Mandate(
    court_code="沪0101", officer="基准测试", case_number="（2026）沪0101执1号", legal_document="协助执行通知书"
)
_PATIENCE = 120.0  # s per request; a benchmark that takes longer has failed


def sample(seed: int, count: int) -> list[Lookup]:
    """Different persons of the population."""
    drawn = Population(seed).sample(count + count // 50, rng_seed=seed, mix="persons")
    unique = {(lookup.number, lookup.name): lookup for lookup in drawn}
    return list(unique.values())[:count]


def requests(lookups: Sequence[Lookup], size: int) -> list[bytes]:
    """Encoded requests of `size` person lookups each."""
    return [
        pb.InvestigateRequest(
            mandate=_MANDATE, lookups=[_person(one) for one in lookups[start : start + size]], priority=pb.PRIORITY_BULK
        ).SerializeToString()
        for start in range(0, len(lookups), size)
    ]


def _person(lookup: Lookup) -> pb.Lookup:
    person = pb.Person(
        name=lookup.name, document_type=asset_pb2.DOCUMENT_TYPE_RESIDENT_ID, document_number=lookup.number
    )
    return pb.Lookup(ref=lookup.ref, person=person)


@dataclass(slots=True)
class Received:
    """What came back, added up from the summaries."""

    lookups: int = 0
    inquiries: int = 0
    unanswered: int = 0
    """Answers that are neither FOUND nor NOT_FOUND."""
    from_cache: int = 0
    kept: list[bytes] = field(default_factory=list)
    """Messages to check once the clock has stopped: checking costs the client more than asking does."""
    spared: int = 0
    """Lookups whose reports were not kept."""


Keep = Callable[[bytes, Sequence[bytes]], bool]
"""Whether to keep the messages that came back to a request."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of some reports."""

    reports: int
    checked: int
    """Answers recomputed."""
    wrong: int


class Checker:
    """Recomputes what institutions must say, and compares."""

    def __init__(self, seed: int, lookups: Sequence[Lookup], institutions: Sequence[str]) -> None:
        self._population = Population(seed)
        self._by_ref = {lookup.ref: lookup for lookup in lookups}
        mocks = config.load()
        self._institutions = {name: mocks.find(name).institution for name in institutions}

    def check(self, received: Received, most: int | None = None) -> Verdict:
        """Recomputes the reports of the messages kept; or so many at most, evenly drawn."""
        reports = [report for body in received.kept for report in pb.InvestigateResponse.FromString(body).reports]
        chosen = reports if most is None else reports[:: max(1, len(reports) // most)]
        return Verdict(len(reports), len(chosen) * len(self._institutions), sum(map(self._wrong, chosen)))

    def _wrong(self, report: pb.Report) -> int:
        """How many answers of a report are wrong, missing ones included."""
        said = {answer.institution_id: answer for answer in report.answers}
        return sum(
            name not in said or not self._is_right(said[name], name, self._by_ref[report.ref])
            for name in self._institutions
        ) + len(set(said) - set(self._institutions))

    def _is_right(self, answer: pb.Answer, name: str, lookup: Lookup) -> bool:
        truth = self._population.answer(self._institutions[name], lookup.type, lookup.number, lookup.name)
        expected = pb.Answer()
        fill(expected, truth)
        return answer.outcome == expected.outcome and list(answer.assets) == list(expected.assets)


async def drive(
    address: str,
    bodies: Iterator[bytes],
    *,
    streams: int,
    keep: Keep = lambda *_: True,
    advance: Callable[[int], None] = lambda _: None,
) -> Received:
    """Sends requests over `streams` streams at a time until there are no more.

    Each stream has a connection of its own: connections are what is spread over a broker's workers.
    """
    received = Received()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for _ in range(streams):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=CHANNEL))
            group.create_task(_one_stream(channel.unary_stream(METHOD), bodies, received, keep, advance))
    return received


async def _one_stream(
    investigate: Any, bodies: Iterator[bytes], received: Received, keep: Keep, advance: Callable[[int], None]
) -> None:
    for body in bodies:
        call = investigate(body, timeout=_PATIENCE)
        try:
            *messages, last = [message async for message in call]  # the summary comes last, and alone
        finally:
            call.cancel()
        summary = pb.InvestigateResponse.FromString(last).summary
        _add_summary(received, summary)
        if keep(body, messages):
            received.kept += messages
        else:
            received.spared += summary.lookups
        advance(summary.lookups)


def _add_summary(received: Received, summary: pb.Summary) -> None:
    received.lookups += summary.lookups
    received.inquiries += summary.inquiries
    for outcome in summary.outcomes:
        if outcome.outcome not in (inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND):
            received.unanswered += outcome.count
    for source in summary.sources:
        if source.source == pb.SOURCE_CACHE:
            received.from_cache += source.count


def progress() -> Progress:
    """A bar on stderr, out of the way of what is printed."""
    return Progress(console=Console(stderr=True), transient=True)
