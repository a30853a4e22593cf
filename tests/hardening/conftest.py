"""A broker of two workers, with mock institutions, to be attacked from outside."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.demo.testbed import configuration
from tests.end_to_end.conftest import SEED, Program


@dataclass(frozen=True)
class Target:
    """A running broker."""

    program: Program
    sockets: Path
    """The folder of its workers' sockets."""

    @property
    def address(self) -> str:
        """Where it takes gRPC."""
        return str(self.program.said["grpc"])

    @property
    def workers(self) -> Sequence[int]:
        """Their processes."""
        return [worker["pid"] for worker in self.program.said["workers"]]

    def peer_socket(self) -> str:
        """Where the first worker takes forward requests."""
        (found,) = self.sockets.glob("broker-sockets-*/worker-0.sock")
        return str(found)

    def peak_memory(self) -> int:
        """Bytes that the workers have held at most, in all."""
        peaks = (re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in self.workers)
        return sum(int(peak[1]) * 1024 for peak in peaks if peak)


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("t")  # the path of a socket may have some hundred characters
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        mocks = Program("mock_institutions", "serve", "--port-base", "0", "--seed", str(SEED), folder=folder)
        try:
            (folder / "broker.toml").write_text(configuration(folder, mocks.said["institutions"]), encoding="utf-8")
            broker = Program("broker", "serve", "--config", "broker.toml", "--workers", "2", folder=folder)
            try:
                yield Target(broker, folder)
            finally:
                assert broker.stop() == 0, broker.log
        finally:
            assert mocks.stop() == 0, mocks.log
