"""Redis alone: one key per inquiry, read by one MGET for all inquiries of a thousand lookups.

The client is the fastest honest one found: commands encoded beforehand, as the requests to the brokers are; replies
parsed in C by hiredis; several connections on uvloop, so that client and server work at the same time. redis-py's own
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

from benchmarks.peers.daemon import daemon, free_port, program
from benchmarks.peers.run import Run

_LIFETIME = 3600  # s; longer than any run
_PATIENCE = 30.0  # s for the last replies
_WRITTEN_AT_ONCE = 10_000  # keys; one pipeline of all would hold every reply in memory


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Redis without snapshots, which makes it faster; gives its port."""
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with daemon(command, port=port, log=folder / "redis.log"):
        yield port


def fill(port: int, answers: Mapping[str, bytes]) -> None:
    """Keeps encoded answers by key."""
    items = list(answers.items())
    with Redis(port=port) as redis:
        for start in range(0, len(items), _WRITTEN_AT_ONCE):
            pipeline = redis.pipeline(transaction=False)
            for key, value in items[start : start + _WRITTEN_AT_ONCE]:
                pipeline.set(key, value, ex=_LIFETIME)
            pipeline.execute()


def fetch(port: int, keys: Sequence[str]) -> dict[str, bytes]:
    """What is held, by key."""
    with Redis(port=port) as redis:
        return dict(zip(keys, redis.mget(keys), strict=True))


class Asker:
    """Asks for batches of keys, over and over."""

    def __init__(self, port: int, keys: Sequence[str], *, at_once: int, streams: int) -> None:
        """`at_once`: keys of each MGET; `streams`: connections, each with one MGET under way."""
        self._port = port
        self._streams = streams
        self._commands = [_pack("MGET", *keys[start : start + at_once]) for start in range(0, len(keys), at_once)]

    def ask(self, seconds: float, seed: int) -> Run:
        """Asks for so long."""
        return uvloop.run(self._ask(seconds, seed))

    async def _ask(self, seconds: float, seed: int) -> Run:
        rng = random.Random(seed)
        began = time.perf_counter()
        streams = [await self._connect(self._again(rng, began + seconds)) for _ in range(self._streams)]
        async with asyncio.timeout(seconds + _PATIENCE):
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
    """One connection: the next command goes out when the reply to the last one is in."""

    def __init__(self, commands: Iterator[bytes]) -> None:
        self.answered = self.lost = 0
        self.done = asyncio.get_running_loop().create_future()
        self._commands = commands
        self._reader = hiredis.Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # as uvloop's is, without saying so
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
            self.done.set_exception(error or ConnectionResetError("Redis has left"))

    def _next(self) -> None:
        command = next(self._commands, None)
        if command is not None:
            self._transport.write(command)
        else:
            self.done.set_result(None)
            self._transport.close()


def _pack(*words: str) -> bytes:
    """A command as Redis takes it."""
    packed: bytes = hiredis.pack_command(cast("tuple[str]", words))  # its types know of commands of one word only
    return packed
