"""Sends prepared requests over several connections, and counts the reports that come back without parsing them whole.

Of each message only the reports' positions and final flags are parsed. That takes a third of the time of parsing it
whole, and is enough to tell that each lookup got exactly one final report. Of some requests the whole messages are
kept, to be checked after the measurement.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.load_generator import CHANNEL, METHOD
from benchmarks.lookup_encoder import EncodedRequest
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

_TIMEOUT = 120.0  # s per request; if one takes longer, the benchmark has failed
_CONCLUSIVE = (inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND)


def _outline() -> Any:
    """`InvestigateResponse` with only position and final of its reports, and the summary as bytes."""
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
class StreamResult:
    """What came back to one request. Times in seconds since the request was sent, or since it was due."""

    lookups: int
    """How many the request asked for."""
    positions: list[int] = field(default_factory=list)
    """Of final reports."""
    summary: pb.Summary = field(default_factory=pb.Summary)
    status: str = "OK"
    """The gRPC status the stream ended with."""
    first: float = 0.0
    """Until the first message."""
    last: float = 0.0
    """Until the stream ended."""
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
        """Lookups without a final report, or missing in the summary's count."""
        reported = len(set(self.positions).intersection(range(self.lookups)))
        return self.lookups - min(reported, self.summary.lookups)

    @property
    def surplus(self) -> int:
        """Final reports that are duplicates, or about no lookup of the request."""
        return len(self.positions) - len(set(self.positions).intersection(range(self.lookups)))

    @property
    def from_cache(self) -> int:
        """Inquiries answered from the cache."""
        return sum(each.count for each in self.summary.sources if each.source == pb.SOURCE_CACHE)

    @property
    def unanswered(self) -> int:
        """Inquiries that ended as neither FOUND nor NOT_FOUND."""
        return sum(each.count for each in self.summary.outcomes if each.outcome not in _CONCLUSIVE)


class LoadClient:
    """A client of one broker, with several connections that take turns."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._calls = cycle([channel.unary_stream(METHOD) for channel in channels])

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, *, channels: int) -> AsyncIterator[Self]:
        """Opens so many connections: the kernel spreads connections over a broker's workers, not requests."""
        async with AsyncExitStack() as stack:
            opened = [grpc.aio.insecure_channel(address, options=CHANNEL) for _ in range(channels)]
            for channel in opened:
                await stack.enter_async_context(channel)
            yield cls(opened)

    async def send(self, request: EncodedRequest, *, keep: bool = False, due: float | None = None) -> StreamResult:
        """Sends a request over the next connection, and reads the stream to its end.

        `keep`: keep the messages. `due`: the moment, by `time.perf_counter`, from which times count; default: now.
        """
        result = StreamResult(lookups=len(request.subjects))
        began = time.perf_counter() if due is None else due
        call = next(self._calls)(request.body, timeout=_TIMEOUT)
        try:
            async for message in call:
                result.first = result.first or time.perf_counter() - began
                result.add(message)
                if keep:
                    result.messages.append(message)
        except grpc.aio.AioRpcError as error:
            result.status = error.code().name
        finally:
            call.cancel()
        result.last = time.perf_counter() - began
        return result
