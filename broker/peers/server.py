"""Where a worker's peers reach it: a gRPC server of its own, on a Unix socket, with one method for raw bytes.

What comes in was admitted, read and checked by the worker that forwards it (broker.peers.messages).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import msgspec

from broker.core.control.admission import Admission
from broker.errors import CallerError, ConfigError, origin
from broker.peers.liveness import BEAT, beating
from broker.peers.messages import METHOD, ForwardRequest, Trailer, decode_forward_request, encode_trailer

log = logging.getLogger(__name__)

_LEAVING = 0.5  # s gRPC is given to close connections once all forward requests have ended


Answer = Callable[[ForwardRequest, Callable[[bytes], Awaitable[None]]], Awaitable[Trailer]]
"""Writes reports on what was forwarded, and returns what ends them."""


class PeerService:
    """Executes what other workers of the host forward. State: how many forward requests are in flight."""

    def __init__(self, answer: Answer, admission: Admission, address: str, *, longest: int, beat: float = BEAT) -> None:
        """`address`: see `client.socket_of`. `longest`: bytes of a forward request. `beat`: s between signs of life.

        Only processes of the broker's own user reach the socket; the bound is for mistakes.
        """
        self._beat = beat
        self._answer = answer
        self._admission = admission
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._server = grpc.aio.server(options=(("grpc.max_receive_message_length", longest),))
        _, service, method = METHOD.split("/")
        handler = grpc.unary_stream_rpc_method_handler(self.forward)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self._address = address

    async def open(self) -> None:
        """Begins to listen. Raises `ConfigError` if that cannot be."""
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            msg = f"cannot listen on {self._address}; set TMPDIR to a short path that the broker's user can write to"
            raise ConfigError(msg) from error
        await self._server.start()

    async def wait_idle(self) -> None:
        """Waits until no forward request is in flight."""
        await self._idle.wait()

    async def close(self) -> None:
        """Breaks off what is in flight, and closes the socket."""
        await self._server.stop(_LEAVING)

    async def forward(self, body: bytes, context: Any) -> None:
        """Streams the reports on what is forwarded, and the trailer."""
        if self._admission.draining:  # the one that asks is not, or not for long: it does the work itself
            context.set_code(grpc.StatusCode.UNAVAILABLE)
            return
        self._active += 1
        self._idle.clear()
        try:
            async with beating(context.write, beat=self._beat) as write:
                trailer = await self._answer(decode_forward_request(body), write)
                await write(encode_trailer(trailer))
        except (
            msgspec.MsgspecError,
            ConfigError,
            CallerError,
        ) as error:  # workers of different versions or configurations
            log.warning("a forward request cannot be executed: %s", type(error).__name__)
            context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
        except Exception as error:  # noqa: BLE001 - the one that asks is told, and does the work itself
            if not context.cancelled():
                log.error("internal error: %s", origin(error))
                context.set_code(grpc.StatusCode.INTERNAL)
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()
