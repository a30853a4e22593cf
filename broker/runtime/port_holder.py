"""Who listens at a TCP port of this host: as far as /proc tells, which shows sockets of one's own processes only.

Those of a broker's processes are shown to root alone (broker.undumpable); but a worker's command line says where it
listens.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

LISTEN_OPTION = "--listen"
_PROC = Path("/proc")
_TABLES = ("net/tcp", "net/tcp6")
_LISTENING = "0A"  # a state in these tables (include/net/tcp_states.h of Linux)
SUPERVISOR_OPTION = "--supervisor"
"""With which a worker's command line names the process that started it."""


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process that listens."""

    pid: int
    command: Sequence[str]
    parent: int

    @property
    def is_orphan(self) -> bool:
        """Whether it is a worker of a broker whose supervisor has ended: it will end soon."""
        for option, value in zip(self.command, self.command[1:], strict=False):
            if option == SUPERVISOR_OPTION:
                return value != str(self.parent)
        return False


def find_holder(address: str, port: int) -> PortHolder | None:
    """A process that listens at a port of this IP address; None if there is none, or it cannot be seen."""
    links = {f"socket:[{inode}]" for inode in _listening(address, port)}
    for folder in _PROC.glob("[0-9]*") if links else ():
        try:
            command, opened = _command(folder), _open_files(folder)
            if links & opened if opened is not None else _says_so(command, port):
                return PortHolder(int(folder.name), command, _parent(folder))
        except OSError:  # another user's, or it has just ended
            continue
    return None


def _open_files(folder: Path) -> set[str] | None:
    """What a process has open; None if it may not be seen. Raises `OSError` if the process has ended."""
    found = set()
    try:
        for descriptor in (folder / "fd").iterdir():
            with suppress(OSError):  # closed by now
                found.add(str(descriptor.readlink()))
    except PermissionError:
        return None
    return found


def _command(folder: Path) -> Sequence[str]:
    return (folder / "cmdline").read_text(errors="replace").split("\0")


def _says_so(command: Sequence[str], port: int) -> bool:
    """Whether this is the command line of a worker that listens at a port."""
    options = dict(pairwise(command))
    return SUPERVISOR_OPTION in options and options.get(LISTEN_OPTION, "").endswith(f":{port}")


def _parent(folder: Path) -> int:
    after_name = (folder / "stat").read_text().rpartition(")")[2].split()
    return int(after_name[1])


def _listening(address: str, port: int) -> Iterator[str]:
    """The inodes of sockets that listen where this address would."""
    own = _as_in_table(address)
    for table in _TABLES:
        try:
            rows = (_PROC / table).read_text().splitlines()[1:]
        except OSError:  # no IPv6
            continue
        for row in rows:
            _, local, _, state, *_, inode = row.split()[:10]
            other, _, number = local.partition(":")
            overlaps = other == own or not (other.strip("0") and own.strip("0"))
            if state == _LISTENING and int(number, 16) == port and overlaps:
                yield inode


def _as_in_table(address: str) -> str:
    """An address as the kernel writes it: words of 32 bits in the machine's byte order."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    words = [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
    return "".join(f"{word:08X}" for word in words)
