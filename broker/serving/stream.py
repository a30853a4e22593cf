"""One response stream: messages are written one after the other, each within the time the reader may take for it."""

import asyncio
import time
from typing import Any

import grpc

from broker.core.control.stream_limits import ReaderPace
from broker.errors import CallerGoneError, SlowReaderError
from broker.metrics.requests import RequestMetrics


class ResponseStream:
    """State: the reader's pace, and when the request came in, until the first message has been written."""

    def __init__(self, context: Any, pace: ReaderPace, meter: RequestMetrics, *, began: float) -> None:
        """`context`: gRPC's, of the call. `began`: when the request came in, on the performance counter."""
        self._context = context
        self._pace = pace
        self._meter = meter
        self._began: float | None = began

    async def write(self, message: bytes) -> None:
        """Sends one message; waits while the reader is slow.

        Raises `SlowReaderError` if it is too slow, `CallerGoneError` if its connection broke.
        """
        loop = asyncio.get_running_loop()
        if self._began is not None:
            # By itself, since gRPC cannot end a call whose first write was broken off together with its headers.
            await self._context.send_initial_metadata(())
        try:
            async with asyncio.timeout_at(self._pace.offer(len(message), loop.time())):
                await self._context.write(message)
        except TimeoutError:
            raise SlowReaderError(self._pace.min_rate) from None
        except grpc.aio.InternalError:  # gRPC could not send, and may not know yet that the call was cancelled
            raise CallerGoneError from None
        self._pace.taken(loop.time())
        if self._began is not None:
            self._meter.first_message(time.perf_counter() - self._began)
            self._began = None
