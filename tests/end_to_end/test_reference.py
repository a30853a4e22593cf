"""docs/api.md and docs/institutions.md describe the contracts completely."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from broker.config import ServerConfig
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2, investigation_pb2
from tests.end_to_end.documents import ROOT

DOCUMENTS = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("api", "institutions")}
FILES = {investigation_pb2: "api", inquiry_pb2: "api", asset_pb2: "api", institution_pb2: "institutions"}


def described() -> Iterator[tuple[str, str, str]]:
    """Each method, field, oneof and value, with the name of what it is part of, and of the document."""
    for module, document in FILES.items():
        file: Any = module.DESCRIPTOR
        for service in file.services_by_name.values():
            yield from ((document, service.name, method.name) for method in service.methods)
        for message in file.message_types_by_name.values():
            assert not message.nested_types  # there would be no table of them
            assert not message.enum_types
            yield from ((document, message.name, part.name) for part in [*message.fields, *message.oneofs])
        for enum in file.enum_types_by_name.values():
            yield from ((document, enum.name, value.name) for value in enum.values)


def rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without the first two lines."""
    (section,) = re.findall(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", DOCUMENTS[document], re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_method_field_and_value_is_described() -> None:
    parts = list(described())
    assert len(parts) > 150
    missing = [part for part in parts if not any(row[0] == f"`{part[2]}`" and row[-1] for row in rows(*part[:2]))]
    assert not missing


def test_the_limits_are_those_of_the_default_configuration() -> None:
    defaults = msgspec.to_builtins(ServerConfig())
    limits = {key: default for _, default, key in rows("api", "Limits") if key.startswith("`server.")}
    assert len(limits) == 11
    for key, default in limits.items():
        number = default.removeprefix("1 to ").replace(",", "")
        assert float(number) == defaults[key.strip("`").removeprefix("server.")], key


def test_every_outcome_source_and_state_is_explained() -> None:
    prose = DOCUMENTS["api"].partition("## Messages\n")[0]
    for enum in (inquiry_pb2.Outcome, investigation_pb2.Source, investigation_pb2.InstitutionHealth):
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper()
        names = [name.removeprefix(f"{prefix}_") for name, _ in enum.items()]
        missing = [name for name in names if name != "UNSPECIFIED" and f"\n| {name} | " not in prose]
        assert not missing, prefix


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_within_the_documents_lead_somewhere(document: str) -> None:
    anchors = {name: set(map(anchor, re.findall(r"^#+ (.+)$", text, re.MULTILINE))) for name, text in DOCUMENTS.items()}
    links = re.findall(r"\]\(((?:api|institutions)?)(?:\.md)?#([^)]+)\)", DOCUMENTS[document])
    assert links
    assert not [link for link in links if link[1] not in anchors[link[0] or document]]


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
