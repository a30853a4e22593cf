"""Redis alone: one key per inquiry, and one MGET for all inquiries of a thousand lookups.

The client is the fastest one found: commands are encoded beforehand, like the requests to the brokers; replies are
parsed in C by hiredis; several connections on uvloop keep client and server busy at the same time. redis-py's own
asyncio client reads a seventh as much.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import hiredis
import uvloop
from redis import Redis

from benchmarks.baselines.daemon import daemon, free_port, program
from benchmarks.baselines.run import Run

_TTL = 3600  # s; longer than any run
_TIMEOUT = 30.0  # s for the last replies
_PIPELINE_SIZE = 10_000  # keys; one pipeline of all would hold every reply in memory


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Runs Redis, without snapshots, which makes it faster; yields its port."""
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with daemon(command, port=port, log=folder / "redis.log"):
        yield port


def fill(port: int, answers: Mapping[str, bytes]) -> None:
    """Sets encoded answers by key."""
    items = list(answers.items())
    with Redis(port=port) as redis:
        for start in range(0, len(items), _PIPELINE_SIZE):
            pipeline = redis.pipeline(transaction=False)
            for key, value in items[start : start + _PIPELINE_SIZE]:
                pipeline.set(key, value, ex=_TTL)
            pipeline.execute()


def fetch(port: int, keys: Sequence[str]) -> dict[str, bytes]:
    """The values of keys, by key."""
    with Redis(port=port) as redis:
        return dict(zip(keys, redis.mget(keys), strict=True))


class Asker:
    """Reads batches of keys, over and over."""

    def __init__(self, port: int, keys: Sequence[str], *, at_once: int, streams: int) -> None:
        """`at_once`: keys of each MGET; `streams`: connections, each with one MGET in flight."""
        self._port = port
        self._streams = streams
        self._commands = [_pack("MGET", *keys[start : start + at_once]) for start in range(0, len(keys), at_once)]

    def ask(self, seconds: float, seed: int) -> Run:
        """Reads for so long."""
        return uvloop.run(self._ask(seconds, seed))

    async def _ask(self, seconds: float, seed: int) -> Run:
        rng = random.Random(seed)
        began = time.perf_counter()
        streams = [await self._connect(self._again(rng, began + seconds)) for _ in range(self._streams)]
        async with asyncio.timeout(seconds + _TIMEOUT):
            for stream in streams:
                await stream.done
        answered = sum(stream.answered for stream in streams)
        lost = sum(stream.lost for stream in streams)
        return Run(inquiries=answered, seconds=time.perf_counter() - began, lost=lost)

    async def _connect(self, commands: Iterator[bytes]) -> "_Stream":
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: _Stream(commands), "127.0.0.1", self._port)
        return stream

    def _again(self, rng: random.Random, end: float) -> Iterator[bytes]:
        while time.perf_counter() < end:
            yield rng.choice(self._commands)


class _Stream(asyncio.Protocol):
    """One connection: the next command is sent when the reply to the last one has arrived."""

    def __init__(self, commands: Iterator[bytes]) -> None:
        self.answered = self.lost = 0
        self.done = asyncio.get_running_loop().create_future()
        self._commands = commands
        self._reader = hiredis.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one without being declared as such
        self._next()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (values := self._reader.gets()) is not False:
            lost = values.count(None)
            self.answered += len(values) - lost
            self.lost += lost
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("Redis closed the connection"))

    def _next(self) -> None:
        command = next(self._commands, None)
        if command is not None:
            self._transport.write(command)
        else:
            self.done.set_result(None)
            self._transport.close()


def _pack(*words: str) -> bytes:
    """A command in Redis' protocol."""
    packed: bytes = hiredis.pack_command(cast("tuple[str]", words))  # its type stub allows one word only
    return packed
