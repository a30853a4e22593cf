"""The client for programs without asyncio: the same calls, which wait for their results.

    with BlockingClient("127.0.0.1:50051") as client:
        with client.investigate(mandate, lookups, Terms(timeout=30)) as investigation:
            for report in investigation:
                ...
        print(investigation.totals)

An event loop runs in a thread of its own, and iterates over the lookups there. Reports cross to the caller's thread a
message at a time, and the next message is taken only when they have been read. Do not use it in a program that also
uses grpc.aio in another loop: gRPC supports one loop per process (grpc/grpc#25364).
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

from broker.client.client import Client, RequestSigner
from broker.client.credentials import Credentials
from broker.client.investigation import Investigation, Terms
from broker.client.receipts import Receipt
from broker.client.totals import Totals
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

T = TypeVar("T")

_USUAL = Terms()


class BlockingClient:
    """A pool of connections to one broker address. Use it as a context manager. State: the thread of its loop."""

    def __init__(
        self,
        address: str,
        *,
        credentials: Credentials | None = None,
        channels: int = 2,
        signer: RequestSigner | None = None,
    ) -> None:
        """See `Client`. Raises `ValueError` if `channels` is less than 1, or the credentials cannot be used."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker client", daemon=True)
        self._thread.start()
        try:
            self._client = self._run(_opened(address, credentials, channels, signer))
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections, and cancels calls in progress."""
        if self._thread.is_alive():
            self._run(self._client.aclose())
            self._stop()

    def investigate(
        self, mandate: inquiry_pb2.Mandate, lookups: Iterable[pb.Lookup], terms: Terms = _USUAL
    ) -> "BlockingInvestigation":
        """Returns an investigation of any number of lookups. Nothing is sent before it is iterated over."""
        return BlockingInvestigation(self._client.investigate(mandate, lookups, terms), self._loop)

    def institutions(self, court_code: str = "", *, timeout: float = 10.0) -> list[pb.Institution]:
        """See `Client.institutions`."""
        return self._run(self._client.institutions(court_code, timeout=timeout))

    def health(self, *, timeout: float = 5.0) -> bool:
        """See `Client.health`."""
        return self._run(self._client.health(timeout=timeout))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingInvestigation:
    """The reports of one investigation, as they arrive. Iterate over it once. It raises what `Investigation` does."""

    def __init__(self, investigation: Investigation, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one in which the investigation runs."""
        self._investigation = investigation
        self._loop = loop

    @property
    def totals(self) -> Totals:
        """See `Investigation.totals`."""
        return self._investigation.totals

    @property
    def receipts(self) -> list[Receipt]:
        """See `Investigation.receipts`."""
        return list(self._investigation.receipts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancels the calls in progress."""
        asyncio.run_coroutine_threadsafe(self._investigation.aclose(), self._loop).result()

    def __iter__(self) -> Iterator[pb.Report]:
        messages = self._investigation.messages()
        try:
            while (reports := self._next(messages)) is not None:
                yield from reports
        finally:
            self.close()

    def _next(self, messages: AsyncGenerator[Sequence[pb.Report], None]) -> Sequence[pb.Report] | None:
        return asyncio.run_coroutine_threadsafe(_next_or_none(messages), self._loop).result()


async def _opened(address: str, credentials: Credentials | None, channels: int, signer: RequestSigner | None) -> Client:
    """A client of the running loop."""
    return Client(address, credentials=credentials, channels=channels, signer=signer)


async def _next_or_none(messages: AsyncGenerator[Sequence[pb.Report], None]) -> Sequence[pb.Report] | None:
    return await anext(messages, None)
