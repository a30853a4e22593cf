"""What benchmarks ask, how they ask it, and how they check what they are told."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
from rich.console import Console
from rich.progress import Progress

from benchmarks.shelf import Shelf
from broker.core.wire.encoding import varint
from broker.core.wire.outline import outline
from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Lookup, Population

METHOD = "/broker.v1.InvestigationService/Investigate"
CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
"""Options of a channel with a connection of its own."""
_MANDATE = inquiry_pb2.Mandate(
    court_code="沪0101", officer="基准测试", case_number="（2026）沪0101执1号", legal_document="协助执行通知书"
)
_SUMMARY_NUMBER = pb.InvestigateResponse.SUMMARY_FIELD_NUMBER
_SUMMARY = varint(_SUMMARY_NUMBER << 3 | 2)
_Ending = outline(_SUMMARY_NUMBER)
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
    kept: Shelf = field(default_factory=Shelf)
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

    def __init__(
        self, seed: int, lookups: Sequence[Lookup], institutions: Sequence[str], mocks: config.Config | None = None
    ) -> None:
        """`mocks`: what the institutions are; the default ones if None."""
        self._population = Population(seed)
        self._by_ref = {lookup.ref: lookup for lookup in lookups}
        mocks = mocks or config.load()
        self._institutions = {name: mocks.find(name).institution for name in institutions}

    def check(self, received: Received, most: int | None = None) -> Verdict:
        """Recomputes the reports of the messages kept; or so many at most, evenly drawn."""
        reports = wrong = checked = 0
        step = 1 if most is None else max(1, received.lookups // most)
        for body in received.kept:
            every = pb.InvestigateResponse.FromString(body).reports
            chosen = every[::step]
            reports += len(every)
            checked += len(chosen) * len(self._institutions)
            wrong += self._wrong(chosen)
        return Verdict(reports, checked, wrong)

    def _wrong(self, reports: Sequence[pb.Report]) -> int:
        """How many answers of reports are wrong, missing ones and surplus ones included."""
        lookups = [self._by_ref[report.ref] for report in reports]
        types = [lookup.type for lookup in lookups]
        numbers, names = [lookup.number for lookup in lookups], [lookup.name for lookup in lookups]
        said = [{answer.institution_id: answer for answer in report.answers} for report in reports]
        wrong = sum(
            len(report.answers) - len(self._institutions.keys() & one)
            for report, one in zip(reports, said, strict=True)
        )
        for name, institution in self._institutions.items():
            truth = self._population.encoded_answers(institution, types, numbers, names)
            answers = [one.get(name) for one in said]
            wrong += sum(not is_right(answer, true) for answer, true in zip(answers, truth, strict=True))
        return wrong


def is_right(answer: pb.Answer | None, truth: bytes) -> bool:
    """Whether an answer says what it must, whenever it was observed and wherever it comes from."""
    if answer is None:
        return False
    expected = pb.Answer.FromString(truth)
    expected.institution_id, expected.source = answer.institution_id, answer.source
    if answer.HasField("observed_at"):
        expected.observed_at.CopyFrom(answer.observed_at)
    return expected == answer


async def drive(
    address: str,
    bodies: Iterator[bytes],
    *,
    streams: int,
    keep: Keep = lambda *_: True,
    advance: Callable[[int], None] = lambda _: None,
    shelf: Shelf | None = None,
) -> Received:
    """Sends requests over `streams` streams at a time until there are no more.

    Each stream has a connection of its own: connections are what is spread over a broker's workers. `shelf`: where to
    put what is kept; a new one if None.
    """
    received = Received(kept=Shelf() if shelf is None else shelf)
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
            *messages, last = [message async for message in call]
        finally:
            call.cancel()
        reports, summary = parted(last)
        if reports:
            messages.append(reports)
        _add_summary(received, summary)
        if keep(body, messages):
            received.kept.put(messages)
        else:
            received.spared += summary.lookups
        advance(summary.lookups)


def parted(last: bytes) -> tuple[bytes, pb.Summary]:
    """The last message of a stream: its reports, as a message of their own, and its summary; neither is read here.

    Raises `ValueError` if the summary is not at its end, where the broker puts it.
    """
    pieces = _Ending.FromString(last).pieces
    summary = b"".join(pieces)
    field = _SUMMARY + varint(len(summary)) + summary
    if len(pieces) != 1 or not last.endswith(field):
        msg = "the last message does not end with the summary"
        raise ValueError(msg)
    return last[: -len(field)], pb.Summary.FromString(summary)


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
