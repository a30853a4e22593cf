"""The HTTP port of one worker for operators: /metrics for Prometheus, /healthz for whoever balances load.

Requests for another port reach this one by mistake, with debtors' data in them. So nothing of what it receives is
logged, or sent back in an error.

A connection serves one request, and lasts `_LIFETIME` at most, whatever its client does or leaves undone: aiohttp alone
would wait for a first request for ever.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from broker.errors import ConfigError, origin

log = logging.getLogger(__name__)

_USAGE = "this port answers GET /metrics and GET /healthz, over HTTP/1.1\n"
_CLOSE_GRACE = 1.0  # s for answers that are being sent when the port closes
_LIFETIME = 30.0  # s of a connection; a scrape takes less than 0.1
MOST_CONNECTIONS = 64
"""Connections at a time; Prometheus and whoever balances load need one or two."""

SERVING = "serving"
"""The state of a worker that takes requests."""


class MetricsEndpoint:
    """Serves one worker's metrics and state. State: the open port, if it is open."""

    def __init__(self, address: str, registry: CollectorRegistry, *, state: Callable[[], str]) -> None:
        """`address`: host:port; with port 0 any free one is taken. `state`: "serving", or what else it does."""
        self._address = address
        self._registry = registry
        self._state = state
        self._connections: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def open(self) -> str:
        """Begins to listen, and returns the address with its port. Raises `ConfigError` if that cannot be."""
        host, _, port = self._address.rpartition(":")
        loop = asyncio.get_running_loop()
        connections = self._connections = web.Server(self._answer)
        try:
            self._listener = await loop.create_server(
                lambda: _Connection(connections, loop=loop), host.strip("[]"), int(port)
            )
        except OSError as error:
            msg = f"server.metrics: cannot listen on {self._address}: {error.strerror}"
            raise ConfigError(msg) from error
        return f"{host}:{self._listener.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Closes the port, if it is open."""
        if self._listener is not None:
            self._listener.close()
        if self._connections is not None:
            self._connections.pre_shutdown()
            await self._connections.shutdown(_CLOSE_GRACE)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        response = self._response(request)
        response.force_close()
        return response

    def _response(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path:
            case "GET" | "HEAD", "/metrics":
                body = generate_latest(self._registry)
                return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
            case "GET" | "HEAD", "/healthz":
                state = self._state()
                return web.json_response({"status": state}, status=200 if state == SERVING else 503)
        return web.Response(status=404, text=_USAGE)


class _Connection(web.RequestHandler):
    """One connection. aiohttp's own would log what it could not read, and send it back; and could last for ever."""

    __slots__ = ("_connections", "_end")

    def __init__(self, connections: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        no_log: Any = None
        super().__init__(connections, loop=loop, access_log=no_log)
        self._connections = connections
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        abort = cast("asyncio.Transport", transport).abort
        if len(self._connections.connections) > MOST_CONNECTIONS:
            abort()
        else:
            self._end = asyncio.get_running_loop().call_later(_LIFETIME, abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """See `aiohttp.web.RequestHandler`. `message` quotes the request."""
        del message
        if status >= 500:
            self.log_exception(exc_info=exc)
        if request.writer.output_size > 0:  # part of an answer has been sent: there is no room for another
            raise ConnectionResetError
        response = web.Response(status=status, text=_USAGE)
        response.force_close()
        return response

    def log_exception(self, *_: Any, exc_info: BaseException | None = None, **__: Any) -> None:
        """See `aiohttp.web.RequestHandler`."""
        log.warning("a request to the metrics port failed: %s", origin(exc_info) if exc_info else "no answer was made")

    def log_debug(self, *_: Any, **__: Any) -> None:
        """See `aiohttp.web.RequestHandler`."""
