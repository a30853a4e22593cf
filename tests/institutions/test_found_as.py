"""No institution can say under which name it found a subject: only the broker does."""

import json
from dataclasses import replace

import pytest

from broker.core.wire.encoding import found_as
from broker.institutions.dialects import DIALECTS
from broker.institutions.stub import content
from broker.model import Kind, Outcome, Question, Reply, Subject, SubjectType
from broker.v1 import asset_pb2, institution_pb2, investigation_pb2
from tests.fakes import MANDATE

SUBJECT = Subject(SubjectType.ORGANIZATION_CODE, "91350100M000100Y43", "甲乙（北京）有限公司")
ACCOUNT = asset_pb2.Asset(
    holders=[asset_pb2.Holder(name=SUBJECT.name, document_type=6, document_number=SUBJECT.number)],  # type: ignore[arg-type]
    account=asset_pb2.Account(account_number="6222020200112233446"),
)
QUESTION = Question("request-1", "bank", 1, [MANDATE], [0], [SUBJECT])


def in_protobuf() -> bytes:
    honest = institution_pb2.InquiryReply.FromString(content(Outcome.FOUND, [ACCOUNT]))
    item = institution_pb2.InquiryReply.FromString(honest.SerializeToString() + found_as("somebody else"))
    reply = institution_pb2.InquiryBatchReply(request_id=QUESTION.request_id, replies=[item])
    assert b"somebody else" in reply.SerializeToString()
    return reply.SerializeToString()


def in_json() -> bytes:
    holder = {"name": SUBJECT.name, "document_type": "ORGANIZATION_CODE", "document_number": SUBJECT.number}
    asset = {"holders": [holder], "account": {"account_number": "6222020200112233446"}, "found_as": "somebody else"}
    item = {"item": 0, "outcome": "FOUND", "assets": [asset], "found_as": "somebody else"}
    return json.dumps({"request_id": QUESTION.request_id, "replies": [item]}).encode()


def read(dialect: str, body: bytes, question: Question = QUESTION) -> Reply:
    return DIALECTS[dialect].decode(body, question, kind=Kind.BANK, now=1_800_000_000)


@pytest.mark.parametrize(("dialect", "body"), [("protobuf", in_protobuf()), ("json", in_json())])
def test_a_spelling_that_an_institution_adds_is_dropped(dialect: str, body: bytes) -> None:
    reply = read(dialect, body)
    assert list(reply.outcomes) == [Outcome.FOUND]
    answer = investigation_pb2.Answer.FromString(reply.contents[0])
    assert answer.assets
    assert not answer.found_as


@pytest.mark.parametrize(("dialect", "body"), [("protobuf", in_protobuf()), ("json", in_json())])
def test_holders_may_have_any_spelling_of_the_name(dialect: str, body: bytes) -> None:
    typed = replace(QUESTION, subjects=[SUBJECT._replace(name="甲乙(北京)有限公司")])
    assert list(read(dialect, body, typed).outcomes) == [Outcome.FOUND]
