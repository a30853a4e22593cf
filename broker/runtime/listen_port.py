"""Reserves the port that all workers of a host listen at."""

import socket

from broker.errors import ConfigError


def reserve(address: str) -> tuple[socket.socket, str]:
    """Reserves a port that several processes are to listen at: keep the socket, it takes no connections itself.

    `address` is host:port; with port 0, one is chosen. Returns the socket and the address with its port. Raises
    `ConfigError` if somebody else listens there: a second broker on one port is a mistake, not a second worker.
    """
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            place = probe.getsockname()
        held = socket.socket(family, kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(place)
    except OSError as error:
        msg = f"server.listen: cannot listen on {address}; is another broker running there? ({error.strerror})"
        raise ConfigError(msg) from error
    return held, f"{host}:{held.getsockname()[1]}"
