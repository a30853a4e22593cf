"""The sockets of a TCP port of this process, for what gRPC has no call for.

`Server.stop` does two things at the same moment: it stops listening, and it cancels calls that arrive over connections
that are open. A caller that has not been told yet to leave (GOAWAY) gets CANCELLED then. To go on serving who is
connected, the listening socket has to be shut down beside gRPC, which takes that for the end of its listener.

Connections that have been made but not accepted are reset when their listener is shut down, and a caller whose
connection is reset may fail calls for a second (grpc-js does). So new ones are turned away first, and the listener is
shut down when gRPC has accepted the others.
"""

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")

# Of Linux, in host byte order; Python's socket module has neither.
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_UNACCEPTED = struct.Struct("24xI")  # struct tcp_info of a socket that listens: tcpi_unacked is its queue (linux/tcp.h)

# What a TCP header has to pass, as classic BPF (linux/filter.h): code, jump if true, jump if false, operand.
_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the flags
        (0x45, 0, 1, 0x02),  # is it a SYN?
        (0x06, 0, 0, 0),  # yes: none of it passes
        (0x06, 0, 0, 0xFFFF_FFFF),  # no: all of it
    )
)


def turn_away(port: int) -> None:
    """Lets nobody begin to connect at a port, without a refusal: the SYN is dropped.

    The caller's system repeats it after a second (RFC 6298), and another process that listens then takes it. Who has
    begun to connect gets through, and stays connected.
    """
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    option = struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
    for each in find_sockets(port):
        if _is_listening(each):
            with suppress(OSError):  # forbidden, or not Linux: callers are refused a moment later
                each.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)


def count_unaccepted(port: int) -> int:
    """How many connections have been made at a port that gRPC has not accepted yet."""
    return sum(
        _UNACCEPTED.unpack(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACCEPTED.size))[0]
        for each in find_sockets(port)
        if _is_listening(each)
    )


def stop_listening(port: int) -> None:
    """Stops listening at a port: who connects is taken by another process that listens there, or refused."""
    for each in find_sockets(port):
        if _is_listening(each):
            each.shutdown(socket.SHUT_RD)


def count_connections(port: int) -> int:
    """How many connections that came in at a port are open."""
    return sum(map(_is_connected, find_sockets(port)))


def _is_listening(each: socket.socket) -> bool:
    return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


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
