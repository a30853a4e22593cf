"""The HTTP port of one worker for operators: /metrics for Prometheus, /healthz for whoever balances load."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from broker.errors import ConfigError


class MetricsEndpoint:
    """Serves one worker's metrics and state. State: the open port, if it is open."""

    def __init__(self, address: str, registry: CollectorRegistry, *, is_draining: Callable[[], bool]) -> None:
        """`address`: host:port; with port 0 any free one is taken."""
        self._address = address
        self._registry = registry
        self._is_draining = is_draining
        application = web.Application()
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/healthz", self._serve_health)
        self._runner = web.AppRunner(application, access_log=None)

    async def open(self) -> str:
        """Begins to listen, and returns the address with its port. Raises `ConfigError` if that cannot be."""
        await self._runner.setup()
        host, _, port = self._address.rpartition(":")
        site = web.TCPSite(self._runner, host.strip("[]"), int(port))
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            msg = f"server.metrics: cannot listen on {self._address}: {error.strerror}"
            raise ConfigError(msg) from error
        return f"{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Closes the port, if it is open."""
        await self._runner.cleanup()

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _serve_health(self, _: web.Request) -> web.Response:
        if self._is_draining():
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "serving"})
