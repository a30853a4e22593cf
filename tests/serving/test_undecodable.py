"""Lookups that protobuf cannot decode are INVALID one by one, and harm no other lookup."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects.key import Keyer
from broker.core.wire import encoding
from broker.serving.lookups import read_lookups
from broker.serving.undecodable import describe
from broker.v1 import investigation_pb2 as pb
from tests.serving.parts import ACCOUNTS

TODAY = date(2026, 11, 23)
KEYER = Keyer(b"secret")
BAD = b"\xff\xfe"
GOOD = [
    pb.Lookup(ref=str(number), property=pb.Property(bank_account=account)).SerializeToString()
    for number, account in enumerate(ACCOUNTS[:40])
]


def field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


PERSON = field(1, "张三".encode()) + b"\x10\x01" + field(3, b"11010519491231002X")


@pytest.mark.parametrize(
    ("encoded", "ref", "where"),
    [
        (field(1, BAD) + field(2, PERSON), "", "ref"),
        (field(1, b"a") + field(2, field(1, BAD) + b"\x10\x01" + field(3, b"1")), "a", "person.name"),
        (field(1, b"a") + field(2, field(1, b"n") + b"\x10\x01" + field(3, BAD)), "a", "person.document_number"),
        (field(1, b"a") + field(3, field(1, BAD) + field(2, b"c")), "a", "organization.name"),
        (field(1, b"a") + field(3, field(1, b"n") + field(2, BAD)), "a", "organization.code"),
        (field(1, b"a") + field(4, field(1, BAD)), "a", "property.vehicle_plate"),
        (field(1, b"a") + field(4, field(4, b"\xed\xa0\x80")), "a", "property.bank_account"),  # a lone surrogate
        (field(1, b"\xc0\x80") + field(4, field(4, BAD)), "", "ref"),
        (field(1, BAD) + field(1, b"a") + field(2, PERSON), "a", ""),  # the last one counts
        (field(1, b"a") + b"\x12\x7f", "", ""),
        (b"\xff\xff", "", ""),
        (b"\x00", "", ""),
    ],
)
def test_the_field_that_is_not_utf_8_is_named(encoded: bytes, ref: str, where: str) -> None:
    lookup, problem = describe(encoded)
    assert (lookup, problem.reason, problem.field) == (pb.Lookup(ref=ref), "BAD_ENCODING", where)
    columns = read_lookups([*GOOD, encoded], KEYER, today=TODAY)
    assert columns.problems == {len(GOOD): problem}
    assert columns.heads[-1] == encoding.text_field(1, ref)


@given(st.lists(st.binary(max_size=12).map(lambda junk: field(1, junk)) | st.binary(max_size=20), max_size=30))
def test_no_bytes_harm_other_lookups(junk: list[bytes]) -> None:
    columns = read_lookups([*GOOD, *junk], KEYER, today=TODAY)
    assert set(columns.problems) == set(range(len(GOOD), len(GOOD) + len(junk)))
    alone = read_lookups(GOOD, KEYER, today=TODAY)
    assert list(columns.keys[: len(GOOD)]) == list(alone.keys)
    assert list(columns.heads[: len(GOOD)]) == list(alone.heads)
