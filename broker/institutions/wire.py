"""One connection to an institution, as bytes. Asyncio only.

Bytes that nobody has asked for close the connection: the next call would take them for the reply to itself.
"""

import asyncio
import socket
import ssl
import threading
from collections import deque
from typing import Any

import aiohappyeyeballs

_HIGH = 64 * 1024  # bytes received and not read, from which on nothing more is received
_REST = 0.01  # s
# s until the next address of a name is tried beside the first one (RFC 8305).
_NEXT_ADDRESS = 0.25


class _Receipt(threading.local):
    """What any connection of a thread's loop receives passes through these bytes, and is copied at once.

    Otherwise the loop would have 256 KiB from the system for each receipt, whatever its size, and give them back.
    """

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(128 * 1024))


_receipt = _Receipt()


class Wire(asyncio.BufferedProtocol):
    """State: what was received and not read, who waits for more, how the connection ended, and whether it is in use."""

    def __init__(self) -> None:
        self.in_use = True
        """Whether a call is in progress, so that something may be received."""
        self._loop = asyncio.get_running_loop()
        self._received: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = False
        self._paused = False
        self._transport: Any = None  # an asyncio.Transport, from which uvloop's is not derived

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to be sent or read, so that another call may use the connection."""
        return not (self._ended or self._received or self._transport.get_write_buffer_size())

    def send(self, head: bytes, body: bytes) -> None:
        """Sends bytes. Does not wait: the other side may reply before it has read them."""
        self._transport.writelines((head, body))

    async def read(self, most: int) -> bytes:
        """Up to so many bytes, as soon as there are any; none at the end. Raises `OSError` if the connection broke."""
        while not self._received:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._waiter = self._loop.create_future()
            await self._waiter
        data = self._received.popleft()
        if len(data) > most:
            self._received.appendleft(data[most:])
            data = data[:most]
        self._size -= len(data)
        if self._paused and self._size < _HIGH:
            self._resume()
        return data

    async def rest(self) -> None:
        """Receives nothing for a moment, so that what comes in drops is read in fewer pieces."""
        self._pause()
        await asyncio.sleep(_REST)
        self._resume()

    def close(self) -> None:
        """Closes the connection at once, and lets go of what was received."""
        self._received.clear()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        del sizehint
        return _receipt.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        if not self.in_use:
            self._ended = True
            self.close()
            return
        self._received.append(bytes(_receipt.buffer[:nbytes]))
        self._size += nbytes
        if self._size >= _HIGH:
            self._pause()
        self._wake()

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._ended = True
        self._error = exc
        self._wake()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connect(host: str, port: int) -> socket.socket:
    """Connects to one of a host's addresses. Raises `OSError`."""
    addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS)


async def open_wire(connected: socket.socket, encryption: ssl.SSLContext | None, host: str) -> Wire:
    """The wire over a connected socket, encrypted or in clear. Raises `OSError`.

    `host`: whose certificate is expected.
    """
    loop = asyncio.get_running_loop()
    name = host if encryption else None
    _, wire = await loop.create_connection(Wire, sock=connected, ssl=encryption, server_hostname=name)
    return wire
