"""Reserves the port that all workers of a host listen at.

Workers of a broker whose supervisor was killed let go of the port as soon as they notice: they are waited for. Whoever
else listens there is named, and nothing is waited for.
"""

import errno
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

from broker.errors import ConfigError
from broker.runtime.port_holder import find_holder

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # s; an orphaned worker that hangs ends within five
_LOOK = 0.1  # s between two attempts


def reserve(
    address: str, *, patience: float = _PATIENCE, pause: Callable[[float], object] = time.sleep
) -> tuple[socket.socket, str]:
    """Reserves a port that several processes are to listen at: keep the socket, it takes no connections itself.

    `address` is host:port; with port 0, one is chosen. Returns the socket and the address with its port. Raises
    `ConfigError` if somebody else listens there: a second broker on one port is a mistake, not a second worker.
    `patience`: seconds for orphaned workers.
    """
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        held = _bind(family, place) or _wait_for_orphans(address, family, place, patience, pause)
    except OSError as error:
        msg = f"server.listen: cannot listen on {address} ({error.strerror})"
        raise ConfigError(msg) from error
    return held, f"{host}:{held.getsockname()[1]}"


def _bind(family: int, place: Any) -> socket.socket | None:
    """None if somebody listens there. Raises `OSError` if it cannot be had for another reason."""
    held = socket.socket(family)
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            place = probe.getsockname()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(place)
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return held


def _wait_for_orphans(
    address: str, family: int, place: Any, patience: float, pause: Callable[[float], object]
) -> socket.socket:
    """Waits while an orphaned worker listens there. Raises `ConfigError` if somebody else does, or for too long."""
    awaited = None
    for _ in range(round(patience / _LOOK)):
        holder = find_holder(*place[:2])
        if holder is None or not holder.is_orphan:
            break
        if holder.pid != awaited:
            log.warning("waiting for process %d, a worker without its supervisor, to release %s", holder.pid, address)
            awaited = holder.pid
        pause(_LOOK)
        if held := _bind(family, place):
            return held
    if held := _bind(family, place):  # released just now
        return held
    holder = find_holder(*place[:2])
    who = f"process {holder.pid} listens there" if holder else "another process holds it"
    msg = f"server.listen: cannot listen on {address}: {who}; is another broker running?"
    raise ConfigError(msg)
