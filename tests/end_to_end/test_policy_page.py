"""docs/policy.md: its example is a policy, its commands print what the page says, and its programs sign."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.access import signature
from broker.access.court_set import parse_court_set
from broker.access.key_block import KeyBlock
from broker.access.policy_file import read_policy
from broker.access.quota import QUOTAS
from broker.access.rule_block import RuleBlock
from broker.access.signature import RegisteredKey, verify
from broker.access.signed_request import decoded_key, digest_of
from broker.cli.policy import policy
from broker.client.signing import make_key
from broker.core.subjects.mandate import read_mandate
from tests.end_to_end.documents import ROOT, block_with, blocks

PAGE = "docs/policy.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
(EXAMPLE,) = blocks(PAGE, "toml")


def sessions() -> Iterator[tuple[str, str]]:
    """Each command of the page, and what it prints there."""
    for block in blocks(PAGE, "console"):
        yield from re.findall(r"^\$ broker policy (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE)


SESSIONS = list(sessions())


@pytest.mark.parametrize(("command", "printed"), SESSIONS, ids=range(len(SESSIONS)))
def test_the_commands_print_what_the_page_says(
    command: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy.toml").write_text(EXAMPLE, encoding="utf-8")
    result = CliRunner().invoke(policy, shlex.split(command))
    assert result.exit_code in (0, 3)
    assert re.fullmatch(re.escape(printed).replace("…", ".*"), result.output)


def test_there_are_commands() -> None:
    assert {command.split()[0] for command, _ in SESSIONS} == set(policy.commands)


@pytest.mark.parametrize("key", [*RuleBlock.__struct_fields__, *KeyBlock.__struct_fields__, *QUOTAS])
def test_every_key_is_explained_and_nearly_all_are_in_the_example(key: str) -> None:
    assert re.search(rf"^\| .*`{key}`", TEXT, flags=re.MULTILINE)
    assert re.search(rf"\b{key} = ", EXAMPLE) or key == "levels"


def test_every_reason_of_a_signature_is_in_the_table() -> None:
    tree = ast.parse(Path(signature.__file__).read_text(encoding="utf-8"))
    raised = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "SignatureError"
        and isinstance(node.args[0], ast.Constant)
    }
    assert raised == set(re.findall(r"^\| .* \| `UNAUTHENTICATED` \| `(\w+)` \|", TEXT, flags=re.MULTILINE))
    assert f"{signature.WINDOW // 60:.0f} minutes" == "5 minutes", "the page says five minutes"


def test_the_example_is_a_policy() -> None:
    read = read_policy(EXAMPLE)
    assert [rule.name for rule in read.rules] == ["courts of 京", "land registry", "gateway of 苏", "operators"]


def test_the_programs_sign(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    for program in blocks(PAGE, "python"):
        exec(program, names)  # noqa: S102 - our own document
    mandate = read_mandate("沪0115", "沪0115-007", "（2026）沪0115执1号", "协助查询通知书1号")
    body = b"a request"
    metadata = names["signed"](Ed25519PrivateKey.generate(), body)
    public = decoded_key(metadata[0][1])
    keys = {public: RegisteredKey(name="key", public=public, courts=parse_court_set(["*"]))}
    assert verify(metadata, keys, mandate, digest_of(body), int.from_bytes(metadata[1][1][:8], "big")) is not None
    assert "signing_client" in names
    assert block_with(PAGE, "python", "Signer.read(key)")
    make_key(tmp_path / "officer.key")
