"""Sends encoded requests over several streams at a time, each as fast as it is answered, and keeps the reports."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import uvloop

from benchmarks.message_buffer import MessageBuffer
from broker.core.wire.encoding import varint
from broker.core.wire.outline import outline
from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions.population import Lookup, Population

METHOD = "/broker.v1.InvestigationService/Investigate"
CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
"""Options of a channel with a connection of its own."""
OFFICER = "基准测试"
"""Who asks."""
_MANDATE = inquiry_pb2.Mandate(
    court_code="沪0101", officer=OFFICER, case_number="（2026）沪0101执1号", legal_document="协助执行通知书"
)
_SUMMARY_NUMBER = pb.InvestigateResponse.SUMMARY_FIELD_NUMBER
_SUMMARY = varint(_SUMMARY_NUMBER << 3 | 2)
_SummaryOutline = outline(_SUMMARY_NUMBER)
_TIMEOUT = 120.0  # s per request; if one takes longer, the benchmark has failed


def sample(seed: int, count: int) -> list[Lookup]:
    """Different persons of the mocks' population."""
    drawn = Population(seed).sample(count + count // 50, rng_seed=seed, mix="persons")
    unique = {(lookup.number, lookup.name): lookup for lookup in drawn}
    return list(unique.values())[:count]


def requests(lookups: Sequence[Lookup], size: int) -> list[bytes]:
    """Encoded bulk requests of `size` person lookups each."""
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
class LoadResult:
    """What came back, added up from the summaries."""

    lookups: int = 0
    inquiries: int = 0
    unanswered: int = 0
    """Answers that are neither FOUND nor NOT_FOUND."""
    from_cache: int = 0
    kept: MessageBuffer = field(default_factory=MessageBuffer)
    """Messages to check after the measurement: checking costs the client more than asking does."""
    discarded: int = 0
    """Lookups whose reports were not kept."""


Keep = Callable[[bytes, Sequence[bytes]], bool]
"""Given a request and the messages that came back to it: whether to keep them."""


def uvloop_runner() -> asyncio.Runner:
    """Runs the client on uvloop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def run_load(  # noqa: PLR0913 - a load has that many parts
    address: str,
    bodies: Iterator[bytes],
    *,
    streams: int,
    keep: Keep = lambda *_: True,
    advance: Callable[[int], None] = lambda _: None,
    buffer: MessageBuffer | None = None,
    credentials: grpc.ChannelCredentials | None = None,
) -> LoadResult:
    """Sends requests over `streams` streams at a time until there are no more.

    Each stream has a connection of its own, since the kernel spreads connections over a broker's workers. `advance` is
    told how many lookups have been answered. `buffer`: for the messages kept; default: a new one.
    `credentials`: of the caller, towards a broker with TLS.
    """
    result = LoadResult(kept=MessageBuffer() if buffer is None else buffer)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for _ in range(streams):
            channel = await stack.enter_async_context(open_channel(address, credentials))
            group.create_task(_one_stream(channel.unary_stream(METHOD), bodies, result, keep, advance))
    return result


def open_channel(address: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """A channel with a connection of its own."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL)
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL)


async def _one_stream(
    investigate: Any, bodies: Iterator[bytes], result: LoadResult, keep: Keep, advance: Callable[[int], None]
) -> None:
    for body in bodies:
        call = investigate(body, timeout=_TIMEOUT)
        try:
            *messages, last = [message async for message in call]
        finally:
            call.cancel()
        reports, summary = split_last(last)
        if reports:
            messages.append(reports)
        _add_summary(result, summary)
        if keep(body, messages):
            result.kept.add(messages)
        else:
            result.discarded += summary.lookups
        advance(summary.lookups)


def split_last(last: bytes) -> tuple[bytes, pb.Summary]:
    """Splits the last message of a stream into its reports, as a message of their own and unparsed, and its summary.

    Raises `ValueError` if the summary is not at its end, where the broker puts it.
    """
    pieces = _SummaryOutline.FromString(last).pieces
    summary = b"".join(pieces)
    field = _SUMMARY + varint(len(summary)) + summary
    if len(pieces) != 1 or not last.endswith(field):
        msg = "the last message does not end with the summary"
        raise ValueError(msg)
    return last[: -len(field)], pb.Summary.FromString(summary)


def _add_summary(result: LoadResult, summary: pb.Summary) -> None:
    result.lookups += summary.lookups
    result.inquiries += summary.inquiries
    for outcome in summary.outcomes:
        if outcome.outcome not in (inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND):
            result.unanswered += outcome.count
    for source in summary.sources:
        if source.source == pb.SOURCE_CACHE:
            result.from_cache += source.count
