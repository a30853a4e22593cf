"""Varnish's backend: one encoded answer per GET, from Redis, cacheable for an hour.

    python -m benchmarks.baselines.backend --port 8080 --redis 6379

It receives one GET per inquiry, while Varnish is being filled.
"""

import asyncio

import click
import uvloop
from aiohttp import web
from redis.asyncio import Redis

_HEADERS = {"Cache-Control": "max-age=3600", "Content-Type": "application/x-protobuf"}


async def serve(port: int, redis_port: int) -> None:
    """Serves until it is cancelled."""
    async with Redis(port=redis_port, max_connections=256) as redis:

        async def inquiry(request: web.Request) -> web.Response:
            held = await redis.get(request.match_info["key"])
            return web.Response(status=404) if held is None else web.Response(body=held, headers=_HEADERS)

        application = web.Application()
        application.router.add_get("/v1/inquiry/{key:.*}", inquiry)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


@click.command(help=__doc__)
@click.option("--port", default=8080, show_default=True)
@click.option("--redis", "redis_port", default=6379, show_default=True, help="Port of a Redis on this machine.")
def main(*, port: int, redis_port: int) -> None:
    """Run the backend."""
    uvloop.run(serve(port, redis_port))


if __name__ == "__main__":
    main()
