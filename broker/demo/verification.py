"""Verifies that reports agree with the institutions: a mock's answer is recomputed, and compared member by member."""

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
_MAX_VERIFIED = 4  # answers; each is recomputed by a process, which takes half a second
_SET_BY_BROKER = ("institution_id", "observed_at", "source")


def normalised(value: Any) -> Any:
    """Normalises protobuf's JSON and the mocks' JSON to one form: short names, ISO dates, no empty members."""
    match value:
        case {"year": year, "month": month, "day": day}:
            return f"{year:04d}-{month:02d}-{day:02d}"
        case {"value": number}:
            return number
        case dict():
            members = {name: normalised(member) for name, member in value.items()}
            return {name: member for name, member in members.items() if member not in ("0", "False", "", [])}
        case list():
            return [normalised(member) for member in value]
        case _:
            return _PREFIX.sub("", str(value))


async def verify(lookups: Sequence[Lookup], reports: Sequence[Report], *, seed: int) -> int:
    """Recomputes some answers, preferably FOUND ones. Returns how many. `reports` are in the order of the lookups.

    Raises `DemoFailedError` if an answer is wrong.
    """
    pairs = [(lookup, answer) for lookup, report in zip(lookups, reports, strict=True) for answer in report.answers]
    pairs.sort(key=lambda pair: pair[1].outcome)  # FOUND comes first
    await asyncio.gather(*(_verify(lookup, answer, seed) for lookup, answer in pairs[:_MAX_VERIFIED]))
    return len(pairs[:_MAX_VERIFIED])


async def _verify(lookup: Lookup, answer: Answer, seed: int) -> None:
    subject_type, number, name = _subject(lookup)
    subject = ("--type", subject_type.name, "--number", number, "--name", name)
    printed = await output(
        "mock_institutions", "answer", "--seed", str(seed), "--institution", answer.institution_id, *subject
    )
    reported = MessageToDict(answer, preserving_proto_field_name=True)
    for member in _SET_BY_BROKER:
        del reported[member]
    if normalised(reported) != normalised(json.loads(printed)):
        msg = f"the answer of {answer.institution_id} to lookup {lookup.ref} differs from the recomputed one"
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
