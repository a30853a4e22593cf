"""The process that decodes large replies (`decoding`): one after the other, from its input to its output.

Each reply may take so much CPU time, and the process so much memory; beyond, the kernel ends it. It ends by itself when
its worker does. What it works on is confidential: it logs nothing, leaves no core, and its errors name only places.
"""

import os
import resource
import sys
from contextlib import suppress
from typing import IO

import msgspec

from broker.errors import BadReplyError, origin
from broker.institutions.decoding import LENGTH, Result, Task
from broker.institutions.dialects import DIALECTS
from broker.undumpable import forbid_dumps

_CPU_SECONDS = 3  # for one reply; the largest honest ones take less than half a second
_MEMORY = 1024 * 1024 * 1024  # bytes of address space; a reply of 16 MiB takes a quarter of that as objects
_NICE = 5  # lookups go first; but on a busy machine, large replies have to be decoded in time, too

_read_task = msgspec.msgpack.Decoder(Task).decode
_encode = msgspec.msgpack.Encoder().encode


def main() -> None:
    """Decodes replies until the input ends."""
    os.nice(_NICE)
    forbid_dumps()
    _limit(resource.RLIMIT_AS, _MEMORY)
    given, result = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError):
        while True:
            task, body = _read_task(_receive(given)), _receive(given)
            _limit(resource.RLIMIT_CPU, _cpu_seconds() + _CPU_SECONDS)
            encoded = _encode(decoded(task, body))
            result.write(len(encoded).to_bytes(LENGTH))
            result.write(encoded)
            result.flush()


def decoded(task: Task, body: bytes) -> Result:
    """What the dialect makes of a reply."""
    dialect = DIALECTS[task.dialect]
    try:
        return Result(dialect.decode(body, task.question, kind=task.kind, now=task.now))
    except BadReplyError as error:
        return Result(bad_reply=str(error))
    except MemoryError:
        return Result(bad_reply="decoding the reply takes too much memory")
    except Exception as error:  # noqa: BLE001 - the worker says where
        return Result(failed_at=origin(error))


def _receive(given: IO[bytes]) -> bytes:
    """The next part. Raises `EOFError`."""
    length = given.read(LENGTH)
    part = given.read(int.from_bytes(length))
    if len(length) < LENGTH or len(part) < int.from_bytes(length):
        raise EOFError
    return part


def _limit(kind: int, value: int) -> None:
    """Lowers a soft limit, as far as the hard one allows."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _cpu_seconds() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1


if __name__ == "__main__":
    main()
