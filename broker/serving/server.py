"""The gRPC port towards courts: the service, its health, and reflection, with the limits of connections.

Several workers listen at one port (SO_REUSEPORT). The kernel spreads connections over them, not load, so connections
are closed when they are `max_connection_age` old (GOAWAY): callers connect anew, without a failed call, and a worker
that has just started gets its share (grpc/grpc#28867). Calls in flight on such a connection are finished, unless they
take longer than any call may (`connection_limits`).

A worker stops in the same way: it stops listening, and serves whoever is connected until the connections have aged.
"""

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from broker.config import ServerConfig
from broker.errors import ConfigError
from broker.serving.connection_limits import connection_limits
from broker.serving.reflection import enable_reflection
from broker.serving.service import NAME, InvestigationService
from broker.serving.sockets import count_connections, count_unaccepted, stop_listening, turn_away
from broker.serving.tls import ServerTls

_LOOK = 0.05  # s between two looks whether connections are still open
_HANDSHAKE = 0.1  # s; a round trip within the country and a moment for gRPC to accept
_MAX_UNACCEPTED = 1.0  # s gRPC is given to accept connections; a busy machine takes some hundredths
_CLOSE_GRACE = 1.0  # s gRPC is given to close connections once all streams have ended


class GrpcServer:
    """One worker's gRPC server. State: whether it is open, and what it says of its health."""

    def __init__(
        self, config: ServerConfig, service: InvestigationService, *, shares_port: bool, tls: ServerTls | None = None
    ) -> None:
        """`shares_port`: whether other workers of this broker listen at the same port. `tls`: None is plain text."""
        self.leaving = False
        """Whether callers are to go elsewhere."""
        self.failed = False
        """Whether every new request is refused."""
        self._config = config
        self._tls = tls
        self._port = 0
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=(
                *connection_limits(config),
                ("grpc.max_send_message_length", -1),  # messages are bounded where they are made
                # Alone, a second broker on the same port is a mistake; of several workers, the supervisor has checked.
                ("grpc.so_reuseport", int(shares_port)),
            )
        )
        self._server.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        enable_reflection(self._server, (NAME, health.SERVICE_NAME))

    def bind(self) -> str:
        """Takes the port, and returns the address with it. Raises `ConfigError` if it cannot be had."""
        listen = self._config.listen
        try:
            if self._tls is None:
                self._port = self._server.add_insecure_port(listen)
            else:
                self._port = self._server.add_secure_port(listen, self._tls.credentials())
        except RuntimeError as error:
            msg = f"server.listen: cannot listen on {listen}; is another broker running there?"
            raise ConfigError(msg) from error
        return f"{listen.rpartition(':')[0]}:{self._port}"

    async def start(self) -> None:
        """Begins to serve."""
        await self._server.start()
        await self._report_health(health_pb2.HealthCheckResponse.SERVING)

    async def report_failure(self) -> None:
        """Says that it serves no more, though it goes on to listen: every new request will be refused."""
        self.failed = True
        await self._report_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def leave(self) -> None:
        """Stops listening, and says that it serves no more; but it serves whoever is connected, or about to be."""
        self.leaving = True
        turn_away(self._port)
        await asyncio.sleep(_HANDSHAKE)
        deadline = asyncio.get_running_loop().time() + _MAX_UNACCEPTED
        while count_unaccepted(self._port) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - gRPC tells nobody
            await asyncio.sleep(_LOOK)
        stop_listening(self._port)
        await self._report_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def wait_left(self) -> None:
        """Waits until no connection is open, and no longer than `leaving_period`."""
        deadline = asyncio.get_running_loop().time() + self._config.leaving_period
        while count_connections(self._port) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - gRPC tells nobody
            await asyncio.sleep(_LOOK)

    async def stop(self, grace_period: float) -> None:
        """Tells callers that are still connected to leave, and gives calls in flight so many seconds to end.

        A call that arrives at this moment may be cancelled. Of two calls of this method, the shorter period holds.
        """
        await self._server.stop(grace_period)

    async def close(self) -> None:
        """Breaks off what is still in flight, and closes the connections."""
        await self.stop(_CLOSE_GRACE)

    async def _report_health(self, status: Any) -> None:
        for name in ("", NAME):
            await self._health.set(name, status)
