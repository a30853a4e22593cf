"""Connections to a broker, and its RPCs over them. The only module here that knows gRPC's calls."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import cycle
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from broker.client.errors import read_error
from broker.client.investigation import Investigation, Pause, Terms
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub

_SERVICE = "broker.v1.InvestigationService"
_Stub: Any = InvestigationServiceStub  # generated without types
_USUAL = Terms()
_LARGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes. The broker aims at 1 MiB; one report on somebody known to thousands of institutions may exceed gRPC's 4."""


class Client:
    """A pool of connections to one broker address; an async context manager.

    Workers of a broker share one port, and the kernel deals connections out to them, not calls: so several channels,
    used in turn, spread the load and survive the loss of a worker.
    """

    def __init__(self, address: str, *, channels: int = 2, pause: Pause = asyncio.sleep) -> None:
        """Belongs to the event loop that runs now. `address`: host:port. `pause`: how to wait between attempts.

        Raises `ValueError` if there would be no channel.
        """
        if channels < 1:
            msg = "channels must be at least 1"
            raise ValueError(msg)
        # gRPC shares connections between channels of equal arguments, whatever they mean: so these differ.
        self._channels = [grpc.aio.insecure_channel(address, _options(number)) for number in range(channels)]
        self._next = cycle(self._channels)
        self._pause = pause

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections; calls under way are cancelled."""
        for channel in self._channels:
            await channel.close()

    def investigate(
        self, mandate: inquiry_pb2.Mandate, lookups: Iterable[pb.Lookup], terms: Terms = _USUAL
    ) -> Investigation:
        """Asks about any number of lookups; see `Investigation` for what comes back. Nothing is asked before that."""
        return Investigation(self._ask, mandate, lookups, terms, pause=self._pause)

    async def institutions(self, court_code: str = "", *, timeout: float = 10.0) -> list[pb.Institution]:  # noqa: ASYNC109 - gRPC's own deadline
        """The institutions a court can reach, or all, by id. Raises `ClientError`."""
        stub = _Stub(next(self._next))
        reply = await _reply(stub.ListInstitutions(pb.ListInstitutionsRequest(court_code=court_code), timeout=timeout))
        return list(reply.institutions)

    async def health(self, *, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - gRPC's own deadline
        """Whether the broker takes requests. Raises `ClientError` if it cannot be asked."""
        stub = health_pb2_grpc.HealthStub(next(self._next))
        reply = await _reply(stub.Check(health_pb2.HealthCheckRequest(service=_SERVICE), timeout=timeout))
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def _ask(
        self,
        request: pb.InvestigateRequest,
        timeout: float | None,  # noqa: ASYNC109 - gRPC's own deadline, which the broker learns of
    ) -> AsyncGenerator[pb.InvestigateResponse, None]:
        call = _Stub(next(self._next)).Investigate(request, timeout=timeout)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise read_error(error) from None
        finally:
            call.cancel()  # a call abandoned without this is never collected (grpc/grpc#43462)


async def _reply(call: Any) -> Any:
    """The reply to a unary call."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise read_error(error) from None
    finally:
        call.cancel()


def _options(number: int) -> list[tuple[str, int]]:
    return [
        ("broker.channel", number),
        ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
        ("grpc.initial_reconnect_backoff_ms", 100),  # like the pauses between attempts
        ("grpc.max_reconnect_backoff_ms", 5000),
    ]
