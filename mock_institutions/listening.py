"""HTTP listener that neither logs what it receives nor repeats it in an error response."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

log = logging.getLogger("mock_institutions")

_CLOSE_GRACE = 1.0
"""Seconds for calls in progress when the process is stopped."""


@asynccontextmanager
async def listening(
    application: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serves an application while the context is open, over TLS if it is given. Yields its URL."""
    # The fault "hang" ends when its handler is cancelled because the client disconnected.
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=_CLOSE_GRACE)
    await runner.setup()
    server = runner.server
    if server is None:  # never after setup
        raise RuntimeError
    handle = server.request_handler

    async def handle_without_echo(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:  # its text may quote the request
            return web.Response(status=error.status, text=error.reason)

    server.request_handler = handle_without_echo
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(server, loop=loop), host, port, ssl=tls)
    try:
        bound_host, bound_port = listener.sockets[0].getsockname()[:2]
        yield f"{'https' if tls else 'http'}://{bound_host}:{bound_port}"
    finally:
        listener.close()
        await runner.cleanup()


class _Connection(web.RequestHandler):
    """One connection. aiohttp's default would log malformed input, and send it back."""

    __slots__ = ()

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        no_log: Any = None
        super().__init__(server, loop=loop, access_log=no_log)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """See `aiohttp.web.RequestHandler`. `message` quotes the request."""
        del message
        if status >= 500:
            self.log_exception(exc_info=exc)
        if request.writer.output_size > 0:  # a part of the response has been sent already
            raise ConnectionResetError
        response = web.Response(status=status)
        response.force_close()
        return response

    def log_exception(self, *_: Any, exc_info: BaseException | None = None, **__: Any) -> None:
        """See `aiohttp.web.RequestHandler`."""
        log.warning("a call failed: %s", type(exc_info).__name__)

    def log_debug(self, *_: Any, **__: Any) -> None:
        """See `aiohttp.web.RequestHandler`."""
