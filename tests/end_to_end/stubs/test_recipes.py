"""The recipes of docs/api.md run as pasted, in a folder with nothing but a copy of proto/."""

import json
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Broker
from tests.end_to_end.documents import block_with
from tests.end_to_end.stubs.toolchain import BIN, HERE, contract_copy, node_folder, run

API = "docs/api.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    contract_copy(tmp_path)
    return tmp_path


def check_printed(printed: str) -> None:
    """A recipe's output: answers, the summary, and the details of an error."""
    lines = printed.splitlines()
    assert sum(line.startswith("debtor-1 mock-") for line in lines) == 5
    assert any(re.fullmatch("5 answers, complete: (true|True)", line) for line in lines)
    assert "INVALID_ARGUMENT" in lines
    assert any(line.startswith("lookups is empty") for line in lines)


def test_python_stubs(folder: Path, broker: Broker) -> None:
    *_, generate = block_with(API, "", "grpc_tools.protoc").splitlines()
    run("sh", "-c", generate.replace("venv/bin/python", sys.executable), cwd=folder)
    program = block_with(API, "python", "InvestigationServiceStub").replace("127.0.0.1:50051", broker.address)
    (folder / "investigate.py").write_text(f"import inspect\n{program}print(inspect.getfile(InvestigationServiceStub))")
    # Without the site's .pth files, there is no broker but the one that was generated.
    printed = run(sys.executable, "-S", "investigate.py", cwd=folder, PYTHONPATH=sysconfig.get_path("purelib"))
    check_printed(printed)
    assert Path(printed.splitlines()[-1]).is_relative_to(folder)


def test_node(folder: Path, broker: Broker) -> None:
    packages = block_with(API, "", "grpc-health-check").split()[2:]
    assert set(packages) <= set(json.loads((HERE / "package.json").read_text())["dependencies"])
    program = block_with(API, "js", "proto-loader").replace("127.0.0.1:50051", broker.address)
    (node_folder(folder) / "investigate.mjs").write_text(program)
    printed = run("node", "investigate.mjs", cwd=folder)
    check_printed(printed)
    assert printed.splitlines()[-1] == "SERVING"


def commands(block: str, broker: Broker) -> Iterator[str]:
    """The commands of a block. A line that is indented or within quotes belongs to the one before."""
    text = block.replace("127.0.0.1:50051", broker.address).replace(".venv/bin/", f"{BIN}/")
    yield from re.split(rf"\n(?={BIN})", text)


def test_buf_curl(folder: Path, broker: Broker) -> None:
    listed, answers, institutions, health = [
        run("sh", "-c", command, cwd=folder) for command in commands(block_with(API, "", "--list-methods"), broker)
    ]
    assert "broker.v1.InvestigationService/Investigate" in listed
    assert '"ref": "debtor-1"' in answers
    assert '"id": "mock-bank-jing"' in institutions
    assert '"status": "SERVING"' in health


def test_buf_curl_prints_details_encoded_and_buf_convert_decodes_them(folder: Path, broker: Broker) -> None:
    refused, *decode = commands(block_with(API, "", "buf convert"), broker)
    run("sh", "-c", f"! {refused}", cwd=folder)
    (detail,) = json.loads((folder / "error.json").read_text())["details"]
    assert set(detail) == {"type", "value"}
    printed = [run("sh", "-c", command, cwd=folder) for command in decode][-1]
    assert "lookups" in {violation["field"] for violation in json.loads(printed)["fieldViolations"]}
