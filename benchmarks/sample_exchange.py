"""What passes between the broker and an institution about the lookups of one request, without any process running."""

import time
from datetime import date
from typing import Any

from broker.core.planning.chunk import LookupColumns
from broker.core.subjects.key import Keyer
from broker.institutions.dialects import DIALECTS
from broker.model import InstitutionSpec, Question, Reply
from broker.serving import contract
from broker.serving.lookups import read_lookups
from mock_institutions import config as mocks
from mock_institutions import json_dialect, protobuf_dialect
from mock_institutions.population import Population

_MAX_LOOKUPS = 100_000
_SPLICERS: dict[str, Any] = {
    "json": (json_dialect.decode, json_dialect.JsonSplicer),
    "protobuf": (protobuf_dialect.decode, protobuf_dialect.ProtobufSplicer),
}


def columns_of(body: bytes, keyer: Keyer) -> LookupColumns:
    """The lookups of an encoded request."""
    _, lookups = contract.read_request(body, max_lookups=_MAX_LOOKUPS)
    return read_lookups(lookups, keyer, today=date.today())  # noqa: DTZ011 - only birth dates are compared with it


def question_of(body: bytes, spec: InstitutionSpec) -> Question:
    """What an institution is asked for an encoded request."""
    request, _ = contract.read_request(body, max_lookups=_MAX_LOOKUPS)
    subjects = list(columns_of(body, Keyer(b"k")).subjects)
    return Question("r", spec.id, 1, [request.mandate], [0] * len(subjects), subjects)


def mock_reply(dialect: str, spec: InstitutionSpec, sent: bytes, seed: int) -> bytes:
    """The reply of a mock institution to an encoded question."""
    decode, splicer = _SPLICERS[dialect]
    registry = Population(seed).registry(mocks.load().find(spec.id).institution)
    body: bytes = splicer(registry).reply("r", decode(sent).inquiries, int(time.time())).body
    return body


def decoded_reply(spec: InstitutionSpec, body: bytes, seed: int) -> Reply:
    """The reply of a mock institution to what it is asked for an encoded request, as the broker reads it."""
    question = question_of(body, spec)
    dialect = DIALECTS["protobuf"]
    received = mock_reply("protobuf", spec, dialect.encode(question), seed)
    return dialect.decode(received, question, kind=spec.kind, now=int(time.time()))
