"""docs/client.md: its examples do what the page says, and every name of the client is in one of them."""

import re
import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

import broker.client
from tests.end_to_end.conftest import Broker

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
PROGRAMS = [block for block in BLOCKS if not block.startswith(">>>")]


def run(*arguments: str) -> str:
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_examples_print_what_the_page_says(broker: Broker, tmp_path: Path) -> None:
    page = tmp_path / "client.md"
    page.write_text(PAGE.replace("127.0.0.1:50051", broker.address), encoding="utf-8")
    run("-m", "doctest", str(page))


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_programs_run(program: str, broker: Broker) -> None:
    printed = run("-c", program.replace("127.0.0.1:50051", broker.address))
    assert "1 lookup, 5 inquiries" in printed


EXAMPLES = "\n".join(BLOCKS)


@pytest.mark.parametrize("name", broker.client.__all__)
def test_every_name_of_the_client_is_explained(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


@pytest.mark.parametrize("name", [field.name for field in fields(broker.client.Terms)])
def test_every_field_of_terms_has_an_example(name: str) -> None:
    assert re.search(rf"\b{name}=", EXAMPLES)


PARAMETERS = {*signature(broker.client.Client).parameters, *signature(broker.client.BlockingClient).parameters}


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_every_parameter_of_a_client_is_explained(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


CALLED = ["bank_account", "lookup", "organization", "person", "real_estate_unit", "securities_account"]
CALLED += ["vehicle_plate", "vehicle_vin", "BlockingClient", "Client", "Mandate", "Terms"]
CAUGHT = ["BrokerUnavailableError", "ClientError", "OutOfTimeError", "QuotaSpentError", "RequestRefusedError"]


@pytest.mark.parametrize("example", [f"{name}(" for name in CALLED] + [f"except {name}" for name in CAUGHT])
def test_every_constructor_and_exception_has_an_example(example: str) -> None:
    assert example in EXAMPLES
