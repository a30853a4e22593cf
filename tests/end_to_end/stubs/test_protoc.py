"""Plain protoc makes messages for every language that it knows by itself, from a copy of proto/ alone."""

from pathlib import Path

import pytest

from tests.end_to_end.stubs.toolchain import contract_copy, run

GENERATED = {
    "cpp": "broker/v1/investigation.pb.h",
    "csharp": "Investigation.cs",
    "java": "broker/v1/InvestigateRequest.java",
    "kotlin": "broker/v1/InvestigateRequestKt.kt",
    "objc": "broker/v1/Investigation.pbobjc.h",
    "php": "Broker/V1/InvestigateRequest.php",
    "python": "broker/v1/investigation_pb2.py",
    "ruby": "broker/v1/investigation_pb.rb",
}
"""One of the files that it makes, by language."""


@pytest.mark.parametrize("language", GENERATED)
def test_protoc_makes_messages(language: str, tmp_path: Path) -> None:
    files = contract_copy(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    run("protoc", "-Iproto", f"--{language}_out={out}", *files, cwd=tmp_path)
    assert (out / GENERATED[language]).exists()
