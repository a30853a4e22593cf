"""What can be done with the sockets of a port without their owner."""

import errno
import socket
from contextlib import ExitStack

import pytest

from broker.serving.sockets import count_connections, count_unaccepted, stop_listening, turn_away


def test_who_is_connected_stays_connected_and_nobody_new_gets_in() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        place = listener.getsockname()
        client = stack.enter_context(socket.create_connection(place))
        server = stack.enter_context(listener.accept()[0])
        stop_listening(place[1])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place)
        assert count_connections(place[1]) == 1
        client.sendall(b"?")
        assert server.recv(1) == b"?"
        server.sendall(b"!")
        assert client.recv(1) == b"!"
        server.close()
        assert count_connections(place[1]) == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_has_begun_to_connect_gets_through_and_who_has_not_is_not_refused(address: str) -> None:
    """A connection that is reset in the queue of its listener fails calls of its caller."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((address, 0), family=family))
        port = listener.getsockname()[1]
        early = [stack.enter_context(socket.create_connection((address, port))) for _ in range(3)]
        assert count_unaccepted(port) == 3
        turn_away(port)
        late = stack.enter_context(socket.socket(family))
        late.setblocking(False)
        assert late.connect_ex((address, port)) == errno.EINPROGRESS
        served = [stack.enter_context(listener.accept()[0]) for _ in early]
        assert count_unaccepted(port) == 0, "the late one has not got in"
        stop_listening(port)
        for client, server in zip(early, served, strict=True):
            client.sendall(b"?")
            assert server.recv(1) == b"?"
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0, "it is still trying"


def test_other_ports_are_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        turn_away(other.getsockname()[1])
        stop_listening(other.getsockname()[1])
        with socket.create_connection(listener.getsockname()):
            assert count_connections(listener.getsockname()[1]) == 0  # it has not been accepted
