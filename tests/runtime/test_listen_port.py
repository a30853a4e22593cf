"""The port that all workers of a host listen at."""

import socket
from contextlib import closing

import pytest

from broker.errors import ConfigError
from broker.runtime.listen_port import reserve

PATIENCE = 20.0  # s for a connection within this machine, with much else to do


@pytest.fixture(params=["127.0.0.1", "[::1]"])
def host(request: pytest.FixtureRequest) -> str:
    family = socket.AF_INET6 if "[" in request.param else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((request.param.strip("[]"), 0))
    except OSError:
        pytest.skip("there is no such address here")
    return str(request.param)


def test_a_free_port_is_chosen_and_named(host: str) -> None:
    held, address = reserve(f"{host}:0")
    with closing(held):
        assert address == f"{host}:{held.getsockname()[1]}"
        assert not address.endswith(":0")


def test_several_processes_may_listen_at_a_reserved_port_and_get_what_comes(host: str) -> None:
    held, address = reserve(f"{host}:0")
    place = (host.strip("[]"), int(address.rpartition(":")[2]))
    with closing(held), socket.socket(held.family) as one, socket.socket(held.family) as other:
        for listener in (one, other):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(place)
            listener.listen()
        other.close()
        for _ in range(10):  # what holds the port takes no connections
            with socket.create_connection(place, timeout=PATIENCE):
                one.accept()[0].close()


def test_a_port_that_another_broker_holds_is_refused(host: str) -> None:
    held, address = reserve(f"{host}:0")
    with closing(held), pytest.raises(ConfigError, match=r"server\.listen.*is another broker running"):
        reserve(address)
    held, again = reserve(address)
    held.close()
    assert again == address


def test_a_port_that_a_worker_listens_at_is_refused(host: str) -> None:
    """Whoever reserved it may have been killed: its workers are not gone yet."""
    held, address = reserve(f"{host}:0")
    with socket.socket(held.family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(held.getsockname())
        listener.listen()
        held.close()
        with pytest.raises(ConfigError):
            reserve(address)


@pytest.mark.parametrize("address", ["no-such-host.invalid:0", "192.0.2.1:0"])
def test_an_address_that_is_not_ours_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.listen"):
        reserve(address)
