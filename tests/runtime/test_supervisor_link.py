"""A worker always ends with its supervisor: real processes, whose standard input this test holds and closes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from broker.runtime.worker_messages import RELOAD_REFUSED, Alive, Message, Progress, Ready, decode

WORKER = """
import asyncio, signal, sys, time
from broker.runtime import supervisor_link
from broker.runtime.worker_main import open_link
from broker.runtime.worker_messages import Ready
behaviour = sys.argv[1]
supervisor_link._REACTION = supervisor_link.ENDING = 0.1
link = open_link()
link.progress("opening the store", 60.0)
if behaviour == "spins in starting":
    while True: pass

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    link.ready(Ready(1, "", ""), stop.set, drain_period=0.1)
    if behaviour == "spins in serving":
        while True: pass
    await stop.wait()
    if link.reloads_refused:
        print("refused:", link.reloads_refused, file=sys.stderr, flush=True)
    print("stops, supervisor gone:", link.gone.is_set(), file=sys.stderr, flush=True)
    if behaviour == "does not stop":
        while True: await asyncio.sleep(0.1)
    link.progress("closing the store", 60.0)
asyncio.run(main())
"""


@contextmanager
def worker(behaviour: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", WORKER, behaviour]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: S603 - our own
        try:
            yield process
        finally:
            process.kill()


def next_message(process: subprocess.Popen[bytes]) -> Message | None:
    return decode(pipe(process.stdout).readline().rstrip(b"\n"))


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def test_it_tells_how_it_starts_that_it_is_ready_and_that_it_lives() -> None:
    with worker("steady") as process:
        said = [next_message(process) for _ in range(4)]
        assert said == [Progress("opening the store", 60.0), Ready(1, "", ""), Alive(), Alive()]
        process.terminate()
        assert process.wait() == 0
        *_, last = [decode(line) for line in pipe(process.stdout).read().splitlines()]
        assert last == Progress("closing the store", 60.0)


def test_when_the_supervisor_ends_it_stops_in_an_orderly_way() -> None:
    with worker("steady") as process:
        assert next_message(process) == Progress("opening the store", 60.0)
        assert isinstance(next_message(process), Ready)
        pipe(process.stdin).close()
        assert process.wait() == 0
        assert pipe(process.stderr).read() == b"stops, supervisor gone: True\n"


def test_it_counts_the_reloads_that_its_supervisor_refuses() -> None:
    with worker("steady") as process:
        assert next_message(process) == Progress("opening the store", 60.0)
        assert isinstance(next_message(process), Ready)
        for _ in range(2):
            pipe(process.stdin).write(RELOAD_REFUSED)
            pipe(process.stdin).flush()
        pipe(process.stdin).close()
        assert process.wait() == 0
        assert pipe(process.stderr).read().startswith(b"refused: 2\n")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("spins in starting", b"this worker is not ready"),
        ("spins in serving", b"the event loop hangs"),
        ("does not stop", b"this worker has not stopped in time"),
    ],
)
def test_when_the_supervisor_ends_it_ends_whatever_it_is_doing(behaviour: str, reason: bytes) -> None:
    with worker(behaviour) as process:
        assert next_message(process) == Progress("opening the store", 60.0)
        if behaviour != "spins in starting":
            assert isinstance(next_message(process), Ready)
        pipe(process.stdin).close()
        assert process.wait() == 1
        assert reason in pipe(process.stderr).read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_while_it_starts(number: signal.Signals) -> None:
    with worker("spins in starting") as process:
        assert next_message(process) == Progress("opening the store", 60.0)
        process.send_signal(number)
        assert process.wait() == -number


def test_a_supervisor_that_does_not_read_does_not_stop_it() -> None:
    """Its standard output is full, as when the supervisor was stopped for hours."""
    with worker("steady") as process:
        descriptor = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        assert next_message(process) == Progress("opening the store", 60.0)
        assert isinstance(next_message(process), Ready)
        try:
            while True:
                os.write(descriptor, b"\n" * 512)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
        process.terminate()
        assert process.wait() == 0
