"""What tests of the audit log share: a folder in memory that can fail and be torn, keys, and entries."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EIO, ENOSPC
from typing import TypeVar

from broker.audit.entry import Admitted
from broker.audit.files import Appending
from broker.audit.keys import AuditKeys
from broker.audit.log import AuditLog, LogLimits, open_log
from broker.audit.tlog.note import NoteSigner

KEYS = AuditKeys(bytes(range(32)), bytes(range(32, 64)))
ORIGIN = "broker.example/audit/worker-0"
SIGNER = NoteSigner(ORIGIN, KEYS.signing_key())
NOW = 1_790_000_000.0
T = TypeVar("T")


@dataclass(slots=True)
class MemoryFiles:
    """See `Files`. State: the files, and after how many more bytes the disk is full."""

    content: dict[str, bytes] = field(default_factory=dict)
    room: int = 1 << 60
    """Bytes that can still be written."""
    publishable: bool = True
    """Whether files can be replaced."""

    def copy(self) -> "MemoryFiles":
        """The same files, on a disk with room."""
        return MemoryFiles(dict(self.content))

    def names(self, folder: str) -> list[str]:
        return sorted({path[len(folder) + 1 :].split("/")[0] for path in self.content if path.startswith(f"{folder}/")})

    def read(self, path: str) -> bytes | None:
        return self.content.get(path)

    def append_to(self, path: str) -> Appending:
        self.content.setdefault(path, b"")
        return _Appended(self, path)

    def truncate(self, path: str, size: int) -> None:
        self.content[path] = self.content[path][:size]

    def replace(self, resources: Iterable[tuple[str, bytes]]) -> None:
        if not self.publishable:
            raise OSError(EIO, "Input/output error")
        for path, content in resources:
            if self.take(content) != content:
                raise OSError(ENOSPC, "No space left on device")
            self.content[path] = content

    def delete(self, path: str) -> None:
        for each in [each for each in self.content if each == path or each.startswith(f"{path}/")]:
            del self.content[each]

    def close(self) -> None:
        pass

    def take(self, content: bytes) -> bytes:
        """What of these bytes there is room for."""
        taken = content[: self.room]
        self.room -= len(taken)
        return taken


class _Appended:
    def __init__(self, files: MemoryFiles, path: str) -> None:
        self._files = files
        self._path = path

    def write(self, pieces: Sequence[bytes]) -> None:
        whole = b"".join(pieces)
        written = self._files.take(whole)
        self._files.content[self._path] += written
        if written != whole:
            raise OSError(ENOSPC, "No space left on device")

    def close(self) -> None:
        pass


def admitted(number: int = 1) -> Admitted:
    """An entry."""
    return Admitted(
        method="Investigate",
        court="京01",
        officer="王法官",
        case_number=f"（2026）京01执{number}号",
        legal_document="协助查询通知书1号",
        lookups=1,
        institutions=4,
    )


def reopen(files: MemoryFiles, limits: LogLimits | None = None, clock: Callable[[], float] = lambda: NOW) -> AuditLog:
    """Opens the log in a folder."""
    return open_log(files, SIGNER, KEYS.sealer(), version="1.0", clock=clock, limits=limits or LogLimits())


@contextmanager
def opened(files: MemoryFiles, limits: LogLimits | None = None) -> Iterator[AuditLog]:
    """The log in a folder, while it is open."""
    log = reopen(files, limits)
    try:
        yield log
    finally:
        log.close()


def run(test: Callable[[], Awaitable[T]]) -> T:
    """Runs a test in asyncio."""

    async def whole() -> T:
        return await test()

    return asyncio.run(whole())
