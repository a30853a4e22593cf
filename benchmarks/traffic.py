"""What benchmarks ask, how they ask it, and how they check what they are told."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
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
    """What came back, added up."""

    lookups: int = 0
    inquiries: int = 0
    unanswered: int = 0
    """Answers that are neither FOUND nor NOT_FOUND."""
    from_cache: int = 0
    kept: list[bytes] = field(default_factory=list)
    """Messages to check once the clock has stopped: checking costs the client more than asking does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many answers were recomputed, and how many of them were wrong."""

    checked: int
    wrong: int


class Checker:
    """Recomputes what institutions must say, and compares."""

    def __init__(self, seed: int, lookups: Sequence[Lookup], institutions: Sequence[str]) -> None:
        self._population = Population(seed)
        self._by_ref = {lookup.ref: lookup for lookup in lookups}
        mocks = config.load()
        self._institutions = {name: mocks.find(name).institution for name in institutions}

    def check(self, received: Received, most: int) -> Verdict:
        """Recomputes reports of the messages kept, so many at most, evenly drawn."""
        reports = [report for body in received.kept for report in pb.InvestigateResponse.FromString(body).reports]
        chosen = reports[:: max(1, len(reports) // most)]
        return Verdict(len(chosen) * len(self._institutions), sum(map(self._wrong, chosen)))

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
    keep_every: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Received:
    """Sends requests over `streams` streams at a time until there are no more; keeps some of the replies."""
    received = Received()
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        investigate = channel.unary_stream(METHOD)
        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(_one_stream(investigate, bodies, received, keep_every, advance))
    return received


async def _one_stream(
    investigate: Any, bodies: Iterator[bytes], received: Received, keep_every: int, advance: Callable[[int], None]
) -> None:
    for number, body in enumerate(bodies):
        call = investigate(body, timeout=_PATIENCE)
        try:
            async for message in call:
                response = pb.InvestigateResponse.FromString(message)
                received.lookups += len(response.reports)
                if response.HasField("summary"):
                    _add_summary(received, response.summary)
                    advance(response.summary.lookups)
                elif number % keep_every == 0:
                    received.kept.append(message)
        finally:
            call.cancel()


def _add_summary(received: Received, summary: pb.Summary) -> None:
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
