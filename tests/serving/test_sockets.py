"""What can be done with the sockets of a port without their owner."""

import socket
from contextlib import ExitStack

import pytest

from broker.serving.sockets import count_connections, stop_listening


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


def test_other_ports_are_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        stop_listening(other.getsockname()[1])
        with socket.create_connection(listener.getsockname()):
            assert count_connections(listener.getsockname()[1]) == 0  # it has not been accepted
