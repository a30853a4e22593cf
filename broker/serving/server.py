"""The gRPC port towards courts: the service, its health, and reflection, with the limits of connections.

Several workers listen at one port (SO_REUSEPORT): the kernel spreads connections over them.
"""

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from broker.config import ServerConfig
from broker.errors import ConfigError
from broker.serving.service import NAME, InvestigationService

# ms. SO_REUSEPORT spreads connections, not load: callers that stay connect anew from time to time (grpc/grpc#28867).
_CONNECTION_AGE = 300_000
_FOR_EVER = 2**31 - 1
_CLOSE_GRACE = 1.0  # s gRPC is given to close connections once all streams have ended


class GrpcServer:
    """One worker's gRPC server. State: whether it is open, and what it says of its health."""

    def __init__(self, config: ServerConfig, service: InvestigationService, *, shares_port: bool) -> None:
        """`shares_port`: whether other workers of this broker listen at the same port."""
        self._listen = config.listen
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", config.max_message_bytes),
                ("grpc.max_concurrent_streams", config.max_streams_per_connection),
                ("grpc.max_send_message_length", -1),  # messages are bounded where they are made
                # A caller that vanished without a word is noticed within two minutes, and its requests ended.
                ("grpc.keepalive_time_ms", 90_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                # Alone, a second broker on the same port is a mistake; of several workers, the supervisor has checked.
                ("grpc.so_reuseport", int(shares_port)),
                ("grpc.max_connection_age_ms", _CONNECTION_AGE if shares_port else _FOR_EVER),
            )
        )
        self._server.add_generic_rpc_handlers((service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    def bind(self) -> str:
        """Takes the port, and returns the address with it. Raises `ConfigError` if it cannot be had."""
        try:
            port = self._server.add_insecure_port(self._listen)
        except RuntimeError as error:
            msg = f"server.listen: cannot listen on {self._listen}; is another broker running there?"
            raise ConfigError(msg) from error
        return f"{self._listen.rpartition(':')[0]}:{port}"

    async def start(self) -> None:
        """Begins to serve."""
        await self._server.start()
        await self._report_health(health_pb2.HealthCheckResponse.SERVING)

    async def begin_drain(self) -> None:
        """Says of itself that it serves no more; calls in flight go on."""
        await self._report_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def close(self) -> None:
        """Breaks off what is still in flight, and closes the port."""
        await self._server.stop(_CLOSE_GRACE)

    async def _report_health(self, status: Any) -> None:
        for name in ("", NAME):
            await self._health.set(name, status)
