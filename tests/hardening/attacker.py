"""Sends a flood over a raw connection until the server has hung up, no longer reads, or has taken so many bytes."""

import socket
from contextlib import suppress
from threading import Thread
from typing import Self

from tests.hardening.floods import Flood
from tests.http2 import opening

_ENOUGH = 6 * 1024 * 1024  # bytes; a flood that does harm does it sooner
_NOT_READ = 0.5  # s without a byte taken, after which the server has proved that it holds back

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


def address_of(text: str) -> Address:
    """From host:port, as a broker says it."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def connect(address: Address, timeout: float) -> socket.socket:
    """A raw connection."""
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connection.settimeout(timeout)
    connection.connect(address)
    return connection


class Attacker:
    """One connection that sends a flood from a thread of its own. State: how many bytes were taken."""

    def __init__(self, address: Address, flood: Flood) -> None:
        self.taken = 0
        self._address = address
        self._flood = flood
        self._thread = Thread(target=self._attack)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    @property
    def is_attacking(self) -> bool:
        """Whether the flood goes on."""
        return self._thread.is_alive()

    def _attack(self) -> None:
        with connect(self._address, _NOT_READ) as connection, suppress(OSError):
            connection.sendall(opening())
            for part in self._flood():
                connection.sendall(part)
                self.taken += len(part)
                if self.taken > _ENOUGH:
                    return
