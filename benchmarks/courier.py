"""Sends prepared requests over several connections, and counts what comes back without reading it all.

Of a message only each report's position and whether it is final are parsed: a third of the time a whole parse takes,
and enough to tell that each lookup has had its report, once. Of some requests the whole messages are kept, to be
checked when the clock has stopped.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.pool import Request
from benchmarks.traffic import CHANNEL, METHOD
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

_PATIENCE = 120.0  # s per request; a benchmark that takes longer has failed
_CONCLUSIVE = (inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND)


def _outline() -> Any:
    """`InvestigateResponse` with nothing of its reports but position and final, and the summary in bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="outline.proto", package="outline", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    report, response = file.message_type.add(name="Report"), file.message_type.add(name="Response")
    report.field.add(name="position", number=2, type=kinds.TYPE_UINT32, label=kinds.LABEL_OPTIONAL)
    report.field.add(name="final", number=3, type=kinds.TYPE_BOOL, label=kinds.LABEL_OPTIONAL)
    response.field.add(
        name="reports", number=1, type=kinds.TYPE_MESSAGE, label=kinds.LABEL_REPEATED, type_name=".outline.Report"
    )
    response.field.add(name="summary", number=2, type=kinds.TYPE_BYTES, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("outline.Response"))


Outline = _outline()


@dataclass(slots=True)
class Reply:
    """What came back to one request."""

    asked: int
    """Lookups."""
    positions: list[int] = field(default_factory=list)
    """Of final reports."""
    summary: pb.Summary = field(default_factory=pb.Summary)
    status: str = "OK"
    """How the stream ended: a gRPC status."""
    first: float = 0.0
    """Seconds until the first message."""
    last: float = 0.0
    """Seconds until the stream ended."""
    messages: list[bytes] = field(default_factory=list)
    """All of them, if they were to be kept."""

    def add(self, message: bytes) -> None:
        """Counts a message."""
        outline = Outline.FromString(message)
        self.positions += [report.position for report in outline.reports if report.final]
        if outline.summary:
            self.summary = pb.Summary.FromString(outline.summary)

    @property
    def lost(self) -> int:
        """Lookups without a final report, or that the summary does not know."""
        reported = len(set(self.positions).intersection(range(self.asked)))
        return self.asked - min(reported, self.summary.lookups)

    @property
    def surplus(self) -> int:
        """Final reports nobody asked for, or that came twice."""
        return len(self.positions) - len(set(self.positions).intersection(range(self.asked)))

    @property
    def from_cache(self) -> int:
        """Inquiries answered from the cache."""
        return sum(each.count for each in self.summary.sources if each.source == pb.SOURCE_CACHE)

    @property
    def unanswered(self) -> int:
        """Inquiries that ended as neither FOUND nor NOT_FOUND."""
        return sum(each.count for each in self.summary.outcomes if each.outcome not in _CONCLUSIVE)


class Courier:
    """Asks one broker."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._calls = cycle([channel.unary_stream(METHOD) for channel in channels])

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, *, channels: int) -> AsyncIterator[Self]:
        """Connects so many times: a broker of several processes shares out connections, not requests."""
        async with AsyncExitStack() as stack:
            opened = [grpc.aio.insecure_channel(address, options=CHANNEL) for _ in range(channels)]
            for channel in opened:
                await stack.enter_async_context(channel)
            yield cls(opened)

    async def ask(self, request: Request, *, keep: bool = False, due: float | None = None) -> Reply:
        """Sends a request over the connection whose turn it is, and reads all that comes.

        `due`: from when on the reply's times count, by `time.perf_counter`; from now if not given.
        """
        reply = Reply(asked=len(request.subjects))
        began = time.perf_counter() if due is None else due
        call = next(self._calls)(request.body, timeout=_PATIENCE)
        try:
            async for message in call:
                reply.first = reply.first or time.perf_counter() - began
                reply.add(message)
                if keep:
                    reply.messages.append(message)
        except grpc.aio.AioRpcError as error:
            reply.status = error.code().name
        finally:
            call.cancel()
        reply.last = time.perf_counter() - began
        return reply
