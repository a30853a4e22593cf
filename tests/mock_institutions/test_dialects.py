"""The dialects: spliced bytes say exactly what the typed answer says."""

from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from broker.v1 import inquiry_pb2, institution_pb2
from mock_institutions import protobuf_dialect
from mock_institutions.dialect import Inquiries, MalformedError
from mock_institutions.json_dialect import JSON, timestamp
from mock_institutions.population import Lookup, Population
from mock_institutions.protobuf_columns import head_size, read_residents
from mock_institutions.protobuf_dialect import PROTOBUF, fill
from mock_institutions.records import InquiryBatchReply, InquiryReply
from mock_institutions.registry import Institution

OBSERVED_AT = 1_795_410_000
# Beyond what is prepared, and where varints and digits grow.
ITEMS = (0, 9, 127, 128, 9_999, 10_000, 16_384, 2**32 - 1)


def numbered(lookups: list[Lookup]) -> Inquiries:
    items = [*ITEMS, *range(1_000, 1_000 + len(lookups))][: len(lookups)]
    return Inquiries(
        items, [each.type for each in lookups], [each.number for each in lookups], [each.name for each in lookups]
    )


def typed_reply(population: Population, institution: Institution, inquiries: Inquiries) -> InquiryBatchReply:
    replies = []
    for item, subject_type, number, name in zip(*inquiries, strict=True):
        said = population.answer(institution, subject_type, number, name)
        replies.append(
            InquiryReply(
                item=item,
                outcome=said.outcome,
                observed_at=timestamp(OBSERVED_AT),
                problem=said.problem,
                assets=said.assets,
            )
        )
    return InquiryBatchReply(request_id="r-1", replies=tuple(replies))


def test_json_says_what_the_typed_answer_says(
    population: Population, institution: Institution, subjects: list[Lookup]
) -> None:
    splicer = JSON.splicer(population.registry(institution))
    for part in (subjects, subjects[:1], []):
        inquiries = numbered(part)
        spliced = splicer.reply("r-1", inquiries, OBSERVED_AT)
        expected = typed_reply(population, institution, inquiries)
        assert msgspec.json.decode(spliced.body) == msgspec.json.decode(msgspec.json.encode(expected))


def test_protobuf_says_what_the_typed_answer_says(
    population: Population, institution: Institution, subjects: list[Lookup]
) -> None:
    splicer = PROTOBUF.splicer(population.registry(institution))
    for part in (subjects, subjects[:1], []):
        inquiries = numbered(part)
        spliced = splicer.reply("r-1", inquiries, OBSERVED_AT)
        expected = institution_pb2.InquiryBatchReply()
        fill(expected, typed_reply(population, institution, inquiries))
        assert institution_pb2.InquiryBatchReply.FromString(spliced.body) == expected


def test_both_dialects_say_the_same(population: Population, institution: Institution, subjects: list[Lookup]) -> None:
    """Field by field through protobuf's own JSON, which names enumerations and writes dates in its own way."""
    inquiries = numbered(subjects)
    body = PROTOBUF.splicer(population.registry(institution)).reply("r-1", inquiries, OBSERVED_AT).body
    message = MessageToDict(institution_pb2.InquiryBatchReply.FromString(body), preserving_proto_field_name=True)
    typed = msgspec.to_builtins(typed_reply(population, institution, inquiries))
    for said, expected in zip(message["replies"], typed["replies"], strict=True):
        assert said["outcome"] == f"OUTCOME_{expected['outcome']}"
        assert said["observed_at"] == expected["observed_at"]
        assert said.get("problem") == expected.get("problem")
        holders = [[holder["document_number"] for holder in asset["holders"]] for asset in said.get("assets", ())]
        assert holders == [
            [holder["document_number"] for holder in asset["holders"]] for asset in expected.get("assets", ())
        ]


def test_refused_rows_are_told(population: Population, institution: Institution, subjects: list[Lookup]) -> None:
    inquiries = numbered(subjects)
    typed = typed_reply(population, institution, inquiries)
    expected = [row for row, reply in enumerate(typed.replies) if reply.outcome in {"REFUSED", "INVALID"}]
    assert expected
    for dialect in (JSON, PROTOBUF):
        splicer = dialect.splicer(population.registry(institution))
        assert sorted(splicer.reply("r-1", inquiries, OBSERVED_AT).findings.refusals) == expected


MANDATE = {
    "court_code": "京0101",
    "officer": "李法官",
    "case_number": "（2026）京0101执1号",
    "legal_document": "裁定书",
}


def test_both_dialects_read_the_same_request() -> None:
    inquiry = {"item": 3, "mandate": 0, "number": "E12345678", "name": "某人"}
    head = {"request_id": "r-1", "institution_id": "bank", "attempt": 2, "mandates": [MANDATE]}
    as_json = msgspec.json.encode(head | {"inquiries": [inquiry | {"subject_type": "PASSPORT"}]})
    message = institution_pb2.InquiryBatch(
        request_id="r-1",
        institution_id="bank",
        attempt=2,
        mandates=[inquiry_pb2.Mandate(**MANDATE)],
        inquiries=[
            institution_pb2.Inquiry(
                item=3, mandate=0, subject_type=inquiry_pb2.SUBJECT_TYPE_PASSPORT, number="E12345678", name="某人"
            )
        ],
    )
    first, second = JSON.decode(as_json), PROTOBUF.decode(message.SerializeToString())
    assert first[:4] == second[:4]
    assert [list(column) for column in (first.mandate_of, *first.inquiries)] == [
        list(column) for column in (second.mandate_of, *second.inquiries)
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"request_id": 1}', b"\xff", b"{}"])
def test_what_is_no_json_request(body: bytes) -> None:
    with pytest.raises(MalformedError):
        JSON.decode(body)


@pytest.mark.parametrize(
    "body", [b"\xff", institution_pb2.InquiryBatch(inquiries=[institution_pb2.Inquiry(item=1)]).SerializeToString()]
)
def test_what_is_no_protobuf_request(body: bytes) -> None:
    with pytest.raises(MalformedError):
        PROTOBUF.decode(body)


REQUEST = institution_pb2.InquiryBatch(
    request_id="r-1",
    institution_id="bank",
    attempt=300,
    mandates=[inquiry_pb2.Mandate(**MANDATE)] * 2,
    inquiries=[
        institution_pb2.Inquiry(
            item=item,
            mandate=item % 3 * 100,
            subject_type=inquiry_pb2.SUBJECT_TYPE_RESIDENT_ID,
            number=number,
            name=name,
        )
        for item, number, name in [
            (0, "110101194001010004", "戴强然"),
            (127, "11010119400101004X", "王伟"),
            (128, "110101194001010012", "A"),
            (16_383, "110101194001010020", "欧阳" * 9),
        ]
    ],
)


def read(body: bytes) -> list[object]:
    batch = protobuf_dialect.decode(body)
    return [*batch[:4], *map(list, (batch.mandate_of, *batch.inquiries))]


def read_plainly(body: bytes) -> list[object]:
    """By the protobuf library alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(protobuf_dialect, "head_size", lambda _: None)
        return read(body)


def test_residents_are_read_as_columns() -> None:
    body = REQUEST.SerializeToString()
    start = head_size(body)
    assert start == body.index(b"\x2a")
    assert read_residents(body, start)
    assert read(body) == read_plainly(body)


@pytest.mark.parametrize("change", [{"item": 16_384}, {"mandate": 2**31}, {"subject_type": 2}, {"name": ""}])
def test_what_is_out_of_the_ordinary_is_not_read_as_columns(change: dict[str, Any]) -> None:
    request = institution_pb2.InquiryBatch.FromString(REQUEST.SerializeToString())
    for name, value in change.items():
        setattr(request.inquiries[2], name, value)
    body = request.SerializeToString()
    assert read_residents(body, head_size(body) or 0) is None
    assert read(body) == read_plainly(body)


@given(
    st.integers(0), st.sampled_from((0, 1, 2, 8, 16, 18, 24, 34, 42, 127, 128, 144, 172, 228, 255)), st.integers(0, 2)
)
def test_a_changed_byte_is_read_as_the_library_reads_it(place: int, byte: int, inserted: int) -> None:
    body = REQUEST.SerializeToString()
    place %= len(body)
    changed = body[:place] + bytes([byte]) * inserted + body[place + 1 :]
    try:
        expected = read_plainly(changed)
    except MalformedError:
        with pytest.raises(MalformedError):
            read(changed)
    else:
        assert read(changed) == expected
