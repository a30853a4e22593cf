"""The sockets of a TCP port of this process, for what gRPC has no call for.

`Server.stop` does two things at the same moment: it stops listening, and it cancels calls that arrive over connections
that are open. A caller that has not been told yet to leave (GOAWAY) gets CANCELLED then. To go on serving who is
connected, the listening socket has to be shut down beside gRPC, which takes that for the end of its listener.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def stop_listening(port: int) -> None:
    """Stops listening at a port: who connects is taken by another process that listens there, or refused."""
    for each in find_sockets(port):
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            each.shutdown(socket.SHUT_RD)


def count_connections(port: int) -> int:
    """How many connections that came in at a port are open."""
    return sum(map(_is_connected, find_sockets(port)))


def _is_connected(each: socket.socket) -> bool:
    try:
        each.getpeername()
    except OSError:
        return False
    return True


def find_sockets(port: int) -> Iterator[socket.socket]:
    """This process's TCP sockets with a local port; they are not to be kept, since their owner closes them."""
    for descriptor in list(_DESCRIPTORS.iterdir()):
        with suppress(OSError):  # it is no socket, or closed by now
            each = socket.socket(fileno=int(descriptor.name))
            try:
                if each.family in (socket.AF_INET, socket.AF_INET6) and each.getsockname()[1] == port:
                    yield each
            finally:
                each.detach()
