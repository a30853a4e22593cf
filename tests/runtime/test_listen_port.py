"""The port that all workers of a host listen at."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from broker.errors import ConfigError
from broker.runtime import port_holder
from broker.runtime.listen_port import reserve
from broker.runtime.port_holder import LISTEN_OPTION, SUPERVISOR_OPTION, find_holder

PATIENCE = 20.0  # s for a connection within this machine, with much else to do
LISTENER = """
import socket, sys
with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


HOSTS = ["127.0.0.1", "localhost", *(["[::1]"] if has_ipv6() else [])]


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_ipv6_address_is_an_address_with_or_without_ipv6() -> None:
    """Where the machine has no such address, that is what the error is about, and not the brackets."""
    if has_ipv6():
        reserve("[::1]:0")[0].close()
    else:
        with pytest.raises(ConfigError, match=r"cannot listen on \[::1\]:0 \((Cannot assign|Address family)"):
            reserve("[::1]:0")


def test_a_free_port_is_chosen_and_named(host: str) -> None:
    held, address = reserve(f"{host}:0")
    with closing(held):
        assert address == f"{host}:{held.getsockname()[1]}"
        assert not address.endswith(":0")


def test_several_processes_may_listen_at_a_reserved_port_and_get_what_comes(host: str) -> None:
    held, _ = reserve(f"{host}:0")
    place = held.getsockname()
    with closing(held), socket.socket(held.family) as one, socket.socket(held.family) as other:
        for listener in (one, other):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(place)
            listener.listen()
        other.close()
        for _ in range(10):  # what holds the port takes no connections
            with socket.create_connection(place[:2], timeout=PATIENCE):
                one.accept()[0].close()


def test_a_port_that_another_broker_holds_is_refused(host: str) -> None:
    held, address = reserve(f"{host}:0")
    with closing(held), pytest.raises(ConfigError, match=r"server\.listen.*is another broker running"):
        reserve(address)
    held, again = reserve(address)
    held.close()
    assert again == address


@pytest.mark.parametrize("address", ["no-such-host.invalid:0", "192.0.2.1:0"])
def test_an_address_that_is_not_ours_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.listen"):
        reserve(address)


# --- a port where somebody listens ------------------------------------------------------------------------------------


@contextmanager
def listening(*arguments: str, port: int = 0) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A process that listens, and where."""
    command = [sys.executable, "-S", "-c", LISTENER, str(port), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def no_pause(_: float) -> None:
    pytest.fail("nothing is to be waited for")


def test_who_listens_is_named_and_not_waited_for() -> None:
    with listening() as (process, port), pytest.raises(ConfigError, match=f"process {process.pid} listens there"):
        reserve(f"127.0.0.1:{port}", pause=no_pause)


def test_a_worker_with_its_supervisor_is_not_waited_for() -> None:
    """It is this process's child, and says so."""
    supervisor = str(os.getpid())
    with listening(SUPERVISOR_OPTION, supervisor) as (_, port), pytest.raises(ConfigError, match="listens there"):
        reserve(f"127.0.0.1:{port}", pause=no_pause)


def test_a_worker_without_its_supervisor_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with listening(SUPERVISOR_OPTION, "1") as (process, port):
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                process.kill()
                process.wait()

        held, address = reserve(f"127.0.0.1:{port}", pause=pause)
        held.close()
        assert address == f"127.0.0.1:{port}"
        assert caplog.messages == [
            f"waiting for process {process.pid}, a worker without its supervisor, to release {address}"
        ]


def test_a_worker_that_does_not_let_go_is_not_waited_for_without_end() -> None:
    with listening(SUPERVISOR_OPTION, "1") as (process, port):
        pauses: list[float] = []
        with pytest.raises(ConfigError, match=f"process {process.pid} listens there"):
            reserve(f"127.0.0.1:{port}", patience=10.0, pause=pauses.append)
        assert sum(pauses) == pytest.approx(10.0)


@pytest.mark.parametrize(("address", "found"), [("127.0.0.1", True), ("0.0.0.0", True), ("127.0.0.2", False)])  # noqa: S104
def test_another_address_is_another_place_and_all_addresses_are_every_place(address: str, found: bool) -> None:
    with listening() as (process, port):
        holder = find_holder(address, port)
        assert (holder is not None and holder.pid == process.pid) == found
        assert find_holder(address, 1) is None


def test_a_worker_whose_descriptors_may_not_be_seen_is_known_by_its_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As to everybody but root (broker.undumpable)."""
    monkeypatch.setattr(port_holder, "_open_files", lambda _: None)
    with listening() as (_, port):
        assert find_holder("127.0.0.1", port) is None
    held, address = reserve("127.0.0.1:0")
    port = int(address.rpartition(":")[2])
    with listening(SUPERVISOR_OPTION, "1", LISTEN_OPTION, address, port=port) as (process, _):
        held.close()
        holder = find_holder("127.0.0.1", port)
        assert holder is not None
        assert (holder.pid, holder.is_orphan) == (process.pid, True)
