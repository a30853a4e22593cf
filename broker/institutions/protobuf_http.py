"""The protobuf dialect: proto/broker/v1/institution.proto over HTTP.

Fields this broker does not know are dropped before any item is looked at: answers are handed on as encoded, and an
unknown field 1 or 6 would let an institution speak in another one's name.
"""

from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from broker.errors import BadReplyError
from broker.institutions.statement import (
    MOST_PER_ASSET,
    PROPERTY_NUMBERS,
    AssetFacts,
    Reader,
    Statement,
    arrange,
    check_request,
    garbled,
)
from broker.model import Kind, Problem, Question, Reply
from broker.v1 import asset_pb2, inquiry_pb2, institution_pb2

_SUBJECT_TYPES: dict[int, Any] = {number: number for number in inquiry_pb2.SubjectType.values()}


class ProtobufDialect:
    """Questions and replies in protobuf."""

    content_type = "application/x-protobuf"

    def encode(self, question: Question) -> bytes:
        """See `Dialect`."""
        return institution_pb2.InquiryBatch(
            request_id=question.request_id,
            institution_id=question.institution_id,
            attempt=question.attempt,
            mandates=[
                inquiry_pb2.Mandate(
                    court_code=mandate.court.code,
                    officer=mandate.officer,
                    case_number=mandate.case_number,
                    legal_document=mandate.legal_document,
                )
                for mandate in question.mandates
            ],
            inquiries=[
                institution_pb2.Inquiry(
                    item=item, mandate=mandate, subject_type=_SUBJECT_TYPES[subject_type], number=number, name=name
                )
                for item, (mandate, (subject_type, number, name)) in enumerate(
                    zip(question.mandate_of, question.subjects, strict=True)
                )
            ],
        ).SerializeToString()

    def decode(self, body: bytes, question: Question, *, kind: Kind, now: int) -> Reply:
        """See `Dialect`."""
        try:
            reply = institution_pb2.InquiryBatchReply.FromString(body)
        except DecodeError:
            msg = "the reply is not an InquiryBatchReply"
            raise BadReplyError(msg) from None
        check_request(reply.request_id, question, replies=len(reply.replies))
        reply.DiscardUnknownFields()
        reader = Reader(question, kind=kind, now=now)
        return arrange([_statement(said, reader) for said in reply.replies], question)


def _statement(said: institution_pb2.InquiryReply, reader: Reader) -> Statement:
    """What an item says; consumes it."""
    item = said.item
    observed_at = said.observed_at.seconds if said.HasField("observed_at") else None
    has_problem = said.HasField("problem")
    if said.outcome == inquiry_pb2.OUTCOME_NOT_FOUND and not has_problem and not said.assets:
        return reader.not_found(item, observed_at)
    if said.outcome == inquiry_pb2.OUTCOME_FOUND and not has_problem:
        return reader.found(item, observed_at, assets=map(_facts, said.assets), encode=partial(_encode_rest, said))
    if said.assets:
        return garbled(item)
    problem = Problem(said.problem.reason, said.problem.field, said.problem.message)
    return reader.refusal(item, int(said.outcome), observed_at, problem)


def _encode_rest(said: institution_pb2.InquiryReply) -> bytes:
    """The assets: what is left of an item once the rest is gone is what the answer's content ends with."""
    for field in ("item", "outcome", "observed_at"):
        said.ClearField(field)
    return said.SerializeToString()


def _facts(asset: asset_pb2.Asset) -> AssetFacts:
    if len(asset.holders) > MOST_PER_ASSET or len(asset.measures) > MOST_PER_ASSET:
        return AssetFacts(None, (), ())
    details = asset.WhichOneof("details")
    numbers = PROPERTY_NUMBERS.get(details or "", ())
    given = getattr(asset, details) if details else None
    return AssetFacts(
        details=details,
        holders=[(holder.document_type, holder.document_number, holder.name) for holder in asset.holders],
        properties=[getattr(given, number) for number in numbers],
    )
