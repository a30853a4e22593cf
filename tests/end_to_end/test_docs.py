"""The commands and examples in README and docs run as pasted, and the files they name exist."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click import Context

from broker.cli.investigate import investigate
from broker.config import load
from broker.core.subjects.numbers import normalise_numbers
from broker.institutions.reply_check import ReplyChecker, arrange, check_request, unusable
from broker.model import Court, Kind, Level, Mandate, Outcome, Question, Subject, SubjectType
from tests.end_to_end.conftest import Broker
from tests.end_to_end.documents import ROOT, block_with, blocks

EXAMPLES = blocks("docs/api.md", "python")
_PATIENCE = 120.0  # s for `make serve` to start or stop


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_python_examples_get_a_report(example: str, broker: Broker) -> None:
    program = example.replace("127.0.0.1:50051", broker.address)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
    assert ended.returncode == 0, ended.stderr
    assert "debtor-1 " in ended.stdout


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """What `make serve` runs, in a folder and on free ports. Yields the broker's address."""
    command = [sys.executable, "-m", "broker", "demo", "--serve", "--free-ports"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as served:  # noqa: S603
        assert served.stdout is not None
        try:
            lines = list(iter(served.stdout.readline, "press Ctrl-C to stop\n"))
            yield next(line.split()[-1] for line in lines if line.startswith("broker, gRPC"))
        finally:
            served.terminate()
            assert served.wait(_PATIENCE) == 0


def test_a_broker_of_your_own_is_configured_as_the_readme_says(tmp_path: Path) -> None:
    broker = f"{Path(sys.executable).parent}/broker"
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}

    def run(line: str) -> str:
        command = line.replace("broker", broker, 1)
        ended = subprocess.run(  # noqa: S602 - the document's own line
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, (line, ended.stderr)
        return ended.stdout

    printed = "".join(map(run, block_with("README.md", "", "broker config").splitlines()))
    (policy,) = blocks("README.md", "toml")
    (tmp_path / "policy.toml").write_text(policy + (tmp_path / "key.toml").read_text())
    config = (tmp_path / "broker.toml").read_text()
    tls = printed[printed.index("[tls]") : printed.index('crl.pem"]') + len('crl.pem"]')]
    config = re.sub(r"^\[tls\].*?(?=^# )", lambda _: f"{tls}\n\n", config, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "broker.toml").write_text(re.sub(r'^policy = ""', 'policy = "policy.toml"', config, flags=re.MULTILINE))
    assert "2 rules, 1 keys" in run("broker policy check policy.toml")
    assert "valid" in run("broker config --check broker.toml")


def test_the_first_call_needs_no_options(tmp_path: Path) -> None:
    """Over mutual TLS: command line and program find the certificates of `make serve`."""
    (program,) = blocks("README.md", "python")
    bin_folder = Path(sys.executable).parent
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    with serving(tmp_path) as address:
        for line in block_with("README.md", "", "debtors.csv").splitlines():
            command = line.replace(".venv/bin/", f"{bin_folder}/")
            ended = subprocess.run(  # noqa: S602 - the document's own line
                command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, (line, ended.stderr)
        ended = subprocess.run(  # noqa: S603
            [sys.executable, "-c", program.replace("127.0.0.1:50051", address)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert "debtor-1 " in ended.stdout
    assert not (tmp_path / "var" / "serve").exists(), "a profile without its broker would mislead"


PATHS = re.compile(r"`((?:benchmarks|broker|deploy|docs|loadtest|mock_institutions|proto|scripts|tests)/[\w./-]*)`")


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/api.md",
        "docs/client.md",
        "docs/tls.md",
        "docs/institutions.md",
        "docs/security.md",
    ],
)
def test_the_files_named_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [path.partition("#")[0] for path in re.findall(r"\]\(([^)]+)\)", text) if "://" not in path]
    missing = [path for path in PATHS.findall(text) if not (ROOT / path).exists()]
    missing += [link for link in links if not ((ROOT / document).parent / link).exists()]
    assert not missing


NUMBERS = re.compile(r"(?<![0-9A-Za-z])(?:[0-9]{17}[0-9Xx]|[0-9]{16,19})(?![0-9A-Za-z])")


def shown() -> dict[str, str]:
    """The texts from which people copy examples, by name."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in documents}
    return {**texts, "investigate --help": investigate.get_help(Context(investigate))}


@pytest.mark.parametrize("text", shown().values(), ids=shown())
def test_the_numbers_shown_pass_their_own_checks(text: str) -> None:
    numbers = NUMBERS.findall(text)
    types = [SubjectType.RESIDENT_ID if len(one) == 18 else SubjectType.BANK_ACCOUNT for one in numbers]
    _, faults, warnings = normalise_numbers(types, numbers, today=date.today())  # noqa: DTZ011 - any day will do
    assert {numbers[index]: fault.reason for index, fault in (faults | warnings).items()} == {}


def test_there_are_numbers_to_check() -> None:
    found = {name for name, text in shown().items() if NUMBERS.search(text)}
    assert {"README.md", "docs/api.md", "docs/institutions.md", "investigate --help"} <= found


def test_the_block_that_adds_an_institution_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block, further_keys = blocks("docs/institutions.md", "toml")
    monkeypatch.setenv("BANK_OF_EXAMPLES_AUTHORIZATION", "Bearer 1")
    (tmp_path / "proxy").write_text("http://name:password@proxy.example:3128")
    further_keys = further_keys.replace("enabled = false", "enabled = true").replace("/run/secrets", str(tmp_path))
    path = tmp_path / "broker.toml"
    for text in (block, block + further_keys):
        path.write_text(text, encoding="utf-8")
        (spec,) = load(path, dialects=frozenset({"json", "protobuf"})).institutions
        assert spec.id == "bank-of-examples"
    assert spec.access.client_certificate == "etc/broker.pem"


def test_the_dialect_shown_keeps_the_rules() -> None:
    (example,) = blocks("docs/institutions.md", "python")
    names: dict[str, Any] = {
        "ReplyChecker": ReplyChecker, "arrange": arrange, "check_request": check_request, "unusable": unusable,
    }  # fmt: skip
    exec(example, names)  # noqa: S102 - our own document
    dialect = names["LineDialect"]()
    mandate = Mandate(Court("京", Level.HIGH, "京"), "officer", "（2026）京执1号", "ruling")
    subjects = [Subject(SubjectType.BANK_ACCOUNT, "62220001", ""), Subject(SubjectType.BANK_ACCOUNT, "62220002", "")]
    question = Question("r1", "bank", 1, [mandate], [0, 0], subjects)
    assert dialect.encode(question) == b"r1\n0 62220001\n1 62220002"
    reply = dialect.decode(b"r1\n1 NOT_FOUND\n0 what?", question, kind=Kind.BANK, now=1000)
    assert list(reply.outcomes) == [Outcome.UNAVAILABLE, Outcome.NOT_FOUND]
