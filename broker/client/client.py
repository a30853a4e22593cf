"""Connections to a broker, and its RPCs. The only module of the client that makes gRPC calls."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Protocol, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from broker.client.channels import Channels
from broker.client.credentials import Credentials
from broker.client.errors import ClientError, HandshakeFailedError, OutOfTimeError, read_error
from broker.client.handshakes import explain
from broker.client.investigation import Clock, Investigation, Pause, Terms
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import InvestigationServiceStub

_SERVICE = "broker.v1.InvestigationService"
_INVESTIGATE = f"/{_SERVICE}/Investigate"
_Stub: Any = InvestigationServiceStub  # generated without types
_USUAL = Terms()
_LARGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes. Messages usually have up to 1 MiB, but a single report with thousands of answers may exceed gRPC's default."""
_LONGEST_CALL = 86_400.0
"""s, for a call without a time limit. The broker shortens it to its `max_timeout`; to a call that names none, it gives
much less, and a batch that waits for a slow institution would be answered TIMED_OUT."""
_PROBE_REPLY = 20_000
"""ms to wait for the reply to a probe; gRPC's default is a minute."""


Metadata = Sequence[tuple[str, str | bytes]]
"""Metadata of a call: names, and values, which are bytes if the name ends in -bin."""


class RequestSigner(Protocol):
    """Whoever signs requests, such as `broker.client.signing.Signer`."""

    def sign(self, path: str, body: bytes) -> Metadata:
        """The metadata that carry the signature of a request. `path`: the method's. `body`: the bytes that are sent."""


class Client:
    """A pool of connections to one broker address. Use it as an async context manager.

    The workers of a broker share one port, and the kernel distributes connections, not calls, among them. Several
    channels, used in turn, therefore balance the load, and tolerate the loss of a worker.
    """

    def __init__(  # noqa: PLR0913 - all but the address have defaults
        self,
        address: str,
        *,
        credentials: Credentials | None = None,
        channels: int = 2,
        keepalive: float = 30.0,
        signer: RequestSigner | None = None,
        pause: Pause = asyncio.sleep,
        clock: Clock = time.monotonic,
    ) -> None:
        """Binds the client to the running event loop.

        `address` is host:port, `channels` the number of connections, `pause` waits, and `clock`
        measures time, both in seconds. After `keepalive` seconds of silence during a call, a connection is probed, so
        that a host that vanished without a word is noticed. Without `credentials`, it connects over plain text.
        `signer` signs the requests of investigations. Raises `ValueError` if `channels` is less than 1, or the
        credentials cannot be used.
        """
        if channels < 1:
            msg = "channels must be at least 1"
            raise ValueError(msg)
        # gRPC shares a connection between channels with equal arguments, so the arguments must differ.
        options = [_options(number, keepalive) for number in range(channels)]
        self._channels = Channels(address, options, credentials)
        self._signer = signer
        self._pause = pause
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections, and cancels calls in progress."""
        await self._channels.aclose()

    def investigate(
        self, mandate: inquiry_pb2.Mandate, lookups: Iterable[pb.Lookup], terms: Terms = _USUAL
    ) -> Investigation:
        """Returns an `Investigation` of any number of lookups. Nothing is sent before it is iterated over."""
        return Investigation(self._ask, mandate, lookups, terms, pause=self._pause, clock=self._clock)

    async def institutions(self, court_code: str = "", *, timeout: float = 10.0) -> list[pb.Institution]:  # noqa: ASYNC109 - gRPC's own deadline
        """The institutions that a court can reach, or all of them, ordered by id. Raises `ClientError`."""
        stub = _Stub(self._channels.next())
        reply = await self._reply(
            stub.ListInstitutions(pb.ListInstitutionsRequest(court_code=court_code), timeout=timeout)
        )
        return list(reply.institutions)

    async def health(self, *, timeout: float = 5.0) -> bool:  # noqa: ASYNC109 - gRPC's own deadline
        """Whether the broker accepts requests. Raises `ClientError` if it cannot be reached."""
        stub = health_pb2_grpc.HealthStub(self._channels.next())
        reply = await self._reply(stub.Check(health_pb2.HealthCheckRequest(service=_SERVICE), timeout=timeout))
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def _ask(
        self,
        request: pb.InvestigateRequest,
        timeout: float | None,  # noqa: ASYNC109 - gRPC's own deadline, which is sent to the broker
    ) -> AsyncGenerator[pb.InvestigateResponse, None]:
        limit = _LONGEST_CALL if timeout is None else timeout
        body = request.SerializeToString()  # once: the signature is over the bytes that are sent
        metadata = self._signer.sign(_INVESTIGATE, body) if self._signer else ()
        investigate = self._channels.next().unary_stream(
            _INVESTIGATE, response_deserializer=pb.InvestigateResponse.FromString
        )
        call = investigate(body, timeout=limit, metadata=metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._read(error) from None
        finally:
            call.cancel()  # a call abandoned without this is never collected (grpc/grpc#43462)

    async def _reply(self, call: Any) -> Any:
        """Waits for the reply to a unary call. Raises `ClientError`."""
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                text = f"the broker did not reply in time: {error.details()}"
                raise OutOfTimeError(text, "DEADLINE_EXCEEDED") from None
            raise self._read(error) from None
        finally:
            call.cancel()

    def _read(self, error: grpc.aio.AioRpcError) -> ClientError:
        read = read_error(error)
        reason = explain(error.details() or "", self._channels.credentials) if read.code == "UNAVAILABLE" else None
        return HandshakeFailedError(f"{reason} ({error.details()})", read.code) if reason else read


def _options(number: int, keepalive: float) -> list[tuple[str, int]]:
    return [
        ("broker.channel", number),
        ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
        ("grpc.initial_reconnect_backoff_ms", 100),  # as short as the pauses between attempts
        ("grpc.max_reconnect_backoff_ms", 5000),
        ("grpc.keepalive_time_ms", round(keepalive * 1000)),
        ("grpc.http2.ping_timeout_ms", min(round(keepalive * 1000), _PROBE_REPLY)),
        ("grpc.http2.max_pings_without_data", 0),  # as many as the silence of a slow institution takes
    ]
