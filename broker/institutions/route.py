"""The way to an institution: directly or through an HTTP proxy, in clear or encrypted.

A proxy is asked for a tunnel (CONNECT) if the connection is encrypted, so that it sees nothing of it. Otherwise it
receives the requests themselves, with the whole URL. Asyncio only.
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass

from yarl import URL

from broker.errors import UnreachableError
from broker.institutions.wire import Wire, connect, open_wire

_LONGEST_ANSWER = 8 * 1024  # bytes of a proxy's answer to CONNECT
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one URL."""

    url: URL
    encryption: ssl.SSLContext | None
    """None: in clear."""
    proxy: URL | None = None

    @property
    def target(self) -> str:
        """What requests name in their first line."""
        if self.proxy is None or self.encryption is not None:
            return self.url.raw_path_qs
        return f"{self.url.scheme}://{self.url.host_port_subcomponent}{self.url.raw_path_qs}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What requests have to say to a proxy that receives them, and to the institution about who asks."""
        headers = _credentials("Authorization", self.url)
        if self.proxy is not None and self.encryption is None:
            headers += _credentials("Proxy-Authorization", self.proxy)
        return headers

    async def connect(self) -> Wire:
        """A new connection. Raises `OSError`, or `UnreachableError` if the proxy refuses."""
        first = self.proxy or self.url
        connected = await connect(first.raw_host or "", first.port or 0)
        try:
            if self.proxy is not None and self.encryption is not None:
                await self._open_tunnel(connected, self.proxy)
            return await open_wire(connected, self.encryption, self.url.raw_host or "")
        except BaseException:
            connected.close()
            raise

    async def _open_tunnel(self, connected: socket.socket, proxy: URL) -> None:
        loop = asyncio.get_running_loop()
        place = f"{self.url.host_subcomponent}:{self.url.port}"
        headers = [("Host", place), *_credentials("Proxy-Authorization", proxy)]
        lines = [f"CONNECT {place} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        await loop.sock_sendall(connected, "".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):  # nothing follows: the institution waits for the broker to begin
            received = await loop.sock_recv(connected, _LONGEST_ANSWER)
            answer += received
            if not received or len(answer) > _LONGEST_ANSWER:
                raise UnreachableError("the proxy gave no usable answer")
        status = _ANSWER.match(answer)
        if status is None or not status[1].startswith(b"2"):
            code = f"HTTP {status[1].decode()}" if status else "no HTTP"
            raise UnreachableError(f"the proxy refused the connection: {code}")


def _credentials(header: str, url: URL) -> list[tuple[str, str]]:
    if url.user is None:
        return []
    credentials = f"{url.user}:{url.password or ''}".encode()
    return [(header, f"Basic {b64encode(credentials).decode()}")]
