"""Proof that a report says what the institutions say: a mock's answer is recomputed, and compared member by member."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from broker.client import Lookup, Report, SubjectType
from broker.demo.testbed import DemoFailedError, output
from broker.v1.investigation_pb2 import Answer

_PREFIX = re.compile(r"(OUTCOME|DOCUMENT_TYPE|MEASURE_TYPE|ACCOUNT_STATUS)_(?=[A-Z])")
_MOST = 4  # answers recomputed at a time; each takes a process, and that half a second
_BROKERS_OWN = ("institution_id", "observed_at", "source")


def plain(value: Any) -> Any:
    """A value in the form that protobuf's JSON and the mocks' share: short names, ISO dates, no empty members."""
    match value:
        case {"year": year, "month": month, "day": day}:
            return f"{year:04d}-{month:02d}-{day:02d}"
        case {"value": number}:
            return number
        case dict():
            members = {name: plain(member) for name, member in value.items()}
            return {name: member for name, member in members.items() if member not in ("0", "False", "", [])}
        case list():
            return [plain(member) for member in value]
        case _:
            return _PREFIX.sub("", str(value))


async def prove(lookups: Sequence[Lookup], reports: Sequence[Report], *, seed: int) -> int:
    """Recomputes some answers, of those FOUND if there are any. Returns how many; `reports` are in the lookups' order.

    Raises `DemoFailedError` if one is wrong.
    """
    pairs = [(lookup, answer) for lookup, report in zip(lookups, reports, strict=True) for answer in report.answers]
    pairs.sort(key=lambda pair: pair[1].outcome)  # FOUND comes first
    await asyncio.gather(*(_prove(lookup, answer, seed) for lookup, answer in pairs[:_MOST]))
    return len(pairs[:_MOST])


async def _prove(lookup: Lookup, answer: Answer, seed: int) -> None:
    subject_type, number, name = _subject(lookup)
    subject = ("--type", subject_type.name, "--number", number, "--name", name)
    printed = await output(
        "mock_institutions", "answer", "--seed", str(seed), "--institution", answer.institution_id, *subject
    )
    said = MessageToDict(answer, preserving_proto_field_name=True)
    for member in _BROKERS_OWN:
        del said[member]
    if plain(said) != plain(json.loads(printed)):
        msg = f"the answer of {answer.institution_id} to lookup {lookup.ref} is not what the institution says"
        raise DemoFailedError(msg)


def _subject(lookup: Lookup) -> tuple[SubjectType, str, str]:
    match lookup.WhichOneof("subject"):
        case "person":
            person = lookup.person
            return SubjectType(person.document_type), person.document_number, person.name
        case "organization":
            return SubjectType.ORGANIZATION_CODE, lookup.organization.code, lookup.organization.name
        case _:
            field = lookup.property.WhichOneof("number") or ""
            return SubjectType[field.upper()], getattr(lookup.property, field), ""
