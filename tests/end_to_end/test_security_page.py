"""What docs/security.md has an inspector run says what the document says, about a broker that has been asked."""

import subprocess
from pathlib import Path

import grpc

from broker.v1.investigation_pb2_grpc import InvestigationServiceStub
from tests.end_to_end.conftest import Broker, needs_root
from tests.end_to_end.documents import block_with
from tests.end_to_end.testbed import asking, person

NUMBER, NAME = "110101199003074514", "欧阳疏影"


@needs_root
def test_an_inspector_finds_no_cores_no_open_folders_and_nobody_in_clear(broker: Broker, tmp_path: Path) -> None:
    with grpc.insecure_channel(broker.address) as channel:
        service = InvestigationServiceStub(channel)  # type: ignore[no-untyped-call]
        responses = list(service.Investigate(asking([person("one", NAME, NUMBER)])))
    assert responses[-1].summary.complete
    pid = broker.program.process.pid
    folder = Path(f"/proc/{pid}/cwd").readlink()
    (tmp_path / "var").symlink_to(folder)
    first, *others = block_with("docs/security.md", "", "core file").splitlines()
    assert NUMBER in others[-1]
    processes = 1 + len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    lines = inspect(first, pid, tmp_path).splitlines()
    assert [line.split()[4:6] for line in lines] == [["0", "0"]] * processes
    assert [inspect(command.replace(" var", " var/"), pid, tmp_path) for command in others] == [""] * len(others)


def inspect(command: str, pid: int, folder: Path) -> str:
    """What a command prints."""
    environment = {"PATH": "/usr/bin:/bin", "PID": str(pid)}
    ended = subprocess.run(  # noqa: S602 - the document's own
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stderr == "", "it has looked"
    return ended.stdout
