"""One bad item harms that item alone, in protobuf. Each line of a table is the item's fields, encoded."""

import pytest
from google.type import date_pb2, decimal_pb2, money_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.subjects.mandate import read_mandate
from broker.core.wire.encoding import varint
from broker.errors import BadReplyError
from broker.institutions.protobuf_content import are_plain, is_right
from broker.institutions.protobuf_http import ProtobufDialect
from broker.model import Kind, Outcome, Question, Reply, Subject, SubjectType
from broker.v1 import asset_pb2, institution_pb2, investigation_pb2

NOW = 1_800_000_000
SIZE = 200
BAD = 7  # the item in question
ALICE = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
MANDATE = read_mandate("京0101", "王法官", "（2026）京0101执123号", "（2026）京0101执123号裁定书")
QUESTION = Question("request-1", "bank", 1, [MANDATE], [0] * SIZE, [ALICE] * SIZE)
NUMBER = bytes((0x08, BAD))
FOUND_OUTCOME, NOT_FOUND = b"\x10\x01", b"\x10\x02"


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def asset(holder_name: bytes = "张三".encode(), share: bytes = b"", **account: object) -> bytes:
    holder = field(1, holder_name) + b"\x10\x01" + field(3, ALICE.number.encode()) + (field(4, share) if share else b"")
    details = asset_pb2.Account(account_number="1", **account)  # type: ignore[arg-type]
    return field(1, holder) + field(10, details.SerializeToString())


def found(*assets: bytes) -> bytes:
    return FOUND_OUTCOME + b"".join(field(5, one) for one in assets)


def money(units: int, nanos: int) -> money_pb2.Money:
    return money_pb2.Money(currency_code="CNY", units=units, nanos=nanos)


def refused(message: bytes) -> bytes:
    return b"\x10\x03" + field(4, field(1, b"SEALED") + field(3, message))


OTHERS = [
    (bytes((0x08, *varint(item))) if item else b"") + (NOT_FOUND if item % 3 else found(asset()))
    for item in range(SIZE)
]


def body(element: bytes) -> bytes:
    elements = [*OTHERS[:BAD], element, *OTHERS[BAD + 1 :]]
    return field(1, b"request-1") + b"".join(field(2, one) for one in elements)


def decode(data: bytes) -> Reply:
    return ProtobufDialect().decode(data, QUESTION, kind=Kind.BANK, now=NOW)


def reason(reply: Reply) -> str:
    return investigation_pb2.Answer.FromString(reply.contents[BAD]).problem.reason


EXPECTED = decode(body(OTHERS[BAD]))


def assert_others_answered(reply: Reply) -> None:
    for item in range(SIZE):
        if item != BAD:
            assert reply.outcomes[item] == EXPECTED.outcomes[item] != Outcome.UNAVAILABLE
            assert reply.contents[item] == EXPECTED.contents[item]


RIGHT = [
    (NUMBER + NOT_FOUND, Outcome.NOT_FOUND),
    (NOT_FOUND + NUMBER, Outcome.NOT_FOUND),
    (NUMBER + b"\x10\x01" + NOT_FOUND, Outcome.NOT_FOUND),  # protobuf's last one wins
    (b"\x08\x05" + NOT_FOUND + NUMBER, Outcome.NOT_FOUND),
    (NUMBER + NOT_FOUND + field(15, b"\xff\x00"), Outcome.NOT_FOUND),
    (NUMBER + found(asset()), Outcome.FOUND),
    (NUMBER + found(asset(share=b"1/2"), asset()), Outcome.FOUND),
    (NUMBER + found(asset(balance=money(-1, -500_000_000))), Outcome.FOUND),
    (NUMBER + found(asset(balance=money(0, -1)), asset(balance=money(1, 999_999_999))), Outcome.FOUND),
    (NUMBER + found(asset() + field(15, b"\x00")), Outcome.FOUND),
    (NUMBER + found(asset(opened_on=date_pb2.Date(year=2024, month=2, day=29))), Outcome.FOUND),
    (NUMBER + found(asset(opened_on=date_pb2.Date(year=2024, month=2))), Outcome.FOUND),
    (NUMBER + found(asset(opened_on=date_pb2.Date(year=2024))), Outcome.FOUND),
    (NUMBER + found(asset(opened_on=date_pb2.Date())), Outcome.FOUND),
    (NUMBER + refused("封存".encode()), Outcome.REFUSED),
]


UNKNOWN = [
    field(1, b"other-bank"),  # the institution in an Answer, or numbers of items that are packed
    field(1, b"\x07"),
    field(2, b"\x01"),
    b"\x30\x03",  # the source in an Answer
    field(7, "李四".encode()),  # the spelling under which the subject was found
    field(15, b"other-bank"),
]


@pytest.mark.parametrize("unknown", UNKNOWN, ids=range(len(UNKNOWN)))
@pytest.mark.parametrize("said", [NOT_FOUND, found(asset()), refused(b"no")], ids=["not found", "found", "refused"])
def test_no_institution_says_what_the_broker_says(said: bytes, unknown: bytes) -> None:
    expected = decode(body(NUMBER + said)).contents[BAD]
    for element in (NUMBER + said + unknown, NUMBER + unknown + said, unknown + said + NUMBER):
        assert decode(body(element)).contents[BAD] == expected


@pytest.mark.parametrize(("element", "outcome"), RIGHT, ids=range(len(RIGHT)))
def test_what_is_right_is_read(element: bytes, outcome: Outcome) -> None:
    reply = decode(body(element))
    assert reply.outcomes[BAD] == outcome
    assert_others_answered(reply)


WRONG = [
    NUMBER,
    NUMBER + b"\x10\x00",
    NUMBER + refused(b"\xff"),
    NUMBER + refused(b"\xed\xa1\x82"),
    NUMBER + refused(b"a\x00b"),
    NUMBER + refused(b"a\nb"),
    NUMBER + refused(b"a\x7fb"),
    NUMBER + refused("a\x85b".encode()),
    NUMBER + found(asset(share=b"\xff")),
    NUMBER + found(asset(share=b"\xc0\x80")),
    NUMBER + found(asset(share=b"\x01")),
    NUMBER + found(asset(branch="朝阳\t支行")),
    NUMBER + found(asset(category="\x9f")),
    NUMBER + found(asset(), asset(balance=money(1, 1_500_000_000))),
    NUMBER + found(asset(balance=money(1, -500_000_000))),
    NUMBER + found(asset(balance=money(-1, 1))),
    NUMBER + found(asset(available_balance=money(0, -1_000_000_000))),
    NUMBER + found(asset(balance=money(5, 5), available_balance=money(-5, 5))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=2016, month=13, day=1))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=2016, month=2, day=30))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=2023, month=2, day=29))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=2016, month=1, day=32))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=2016, day=1))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=-5, month=1, day=1))),
    NUMBER + found(asset(opened_on=date_pb2.Date(year=10_000, month=1, day=1))),
    NUMBER + b"\x10\x02" + field(3, b"\x08\x01\x10\xff\xff\xff\xff\x0f"),  # observed_at: nanos out of range
    NUMBER + b"\x10\x02" + field(3, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),  # in the year 292 billion
    NUMBER + b"\x10\x02" + field(3, b"\x08"),  # cut short
    NUMBER + FOUND_OUTCOME + field(5, b"\x0a\x7f"),  # a length beyond the end
    NUMBER + FOUND_OUTCOME + field(5, b"x" * 600_000),
]


@pytest.mark.parametrize("element", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_harms_its_item_alone(element: bytes) -> None:
    for data in (element, element[len(NUMBER) :] + NUMBER):
        reply = decode(body(data))
        assert reply.outcomes[BAD] == Outcome.UNAVAILABLE
        assert reason(reply) == "BAD_REPLY"
        assert (list(reply.missing), reply.unusable) == ([], 1)
        assert_others_answered(reply)


GARBAGE = [b"\x0a", b"\x10", b"\xff\xff", b"\x00\x00", b"\x7c", b"\x2a\x10", NOT_FOUND + b"\xff"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_after_the_number_harms_its_item_alone(garbage: bytes) -> None:
    for number in (NUMBER, b"\x08\x87\x00"):
        reply = decode(body(number + garbage))
        assert reason(reply) == "BAD_REPLY"
        assert (list(reply.missing), reply.unusable) == ([], 1)
        assert_others_answered(reply)


@pytest.mark.parametrize("element", [b"\x0a", b"\x10", b"\x08", b"\x08\x87", b"\x3a\x05", b"\x08\x08\xff"])
def test_what_cannot_be_pinned_to_an_item_fails_the_call(element: bytes) -> None:
    with pytest.raises(BadReplyError):
        decode(body(element))


@pytest.mark.parametrize("area", ["1", "89.5", "1e3", ""])
@pytest.mark.parametrize("wrong", ["x", "1,5", "1\n2", " "])
def test_decimals(area: str, wrong: str) -> None:
    def unit(text: str) -> institution_pb2.InquiryReply:
        details = asset_pb2.RealEstateUnit(unit_number="1", area_square_metres=decimal_pb2.Decimal(value=text))
        return institution_pb2.InquiryReply(assets=[asset_pb2.Asset(real_estate_unit=details)])

    assert is_right(unit(area))
    assert not is_right(unit(wrong))
    assert are_plain([unit(area).SerializeToString(), unit("2").SerializeToString()])
    assert not are_plain([unit(area).SerializeToString(), unit(wrong).SerializeToString()])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(["张三", "a\x00", "\x85", "·"])
amounts = st.builds(money_pb2.Money, units=st.integers(-3, 3), nanos=st.sampled_from([0, 1, -1, 10**9, -(10**9)]))
dates = st.builds(date_pb2.Date, year=st.integers(0, 9999), month=st.integers(0, 12), day=st.integers(0, 31))
accounts = st.builds(
    asset_pb2.Account, account_number=texts, branch=texts, status=st.integers(0, 4), opened_on=dates, balance=amounts
)
holders = st.builds(asset_pb2.Holder, name=texts, document_type=st.integers(0, 6), document_number=texts, share=texts)
assets = st.builds(asset_pb2.Asset, holders=st.lists(holders, max_size=3), account=accounts)
problems = st.builds(lambda reason, message: {"reason": reason, "message": message}, texts, texts)
replies = st.builds(
    institution_pb2.InquiryReply,
    item=st.integers(0, 9),
    problem=st.none() | problems,
    assets=st.lists(assets, max_size=3),
)


@given(st.lists(replies, max_size=4))
def test_what_is_plain_together_is_right_alone(items: list[institution_pb2.InquiryReply]) -> None:
    if are_plain([one.SerializeToString() for one in items]):
        assert all(map(is_right, items))
    elif all(map(is_right, items)):  # then there is a negative amount, or a part of a date
        accounts = [asset.account for one in items for asset in one.assets]
        parts = [(day.year, day.month, day.day) for day in (account.opened_on for account in accounts)]
        assert any(account.balance.units < 0 or account.balance.nanos < 0 for account in accounts) or any(
            0 in day for day in parts
        )


ELEMENT = NUMBER + found(asset(share=b"1/2", balance=money(12, 5)))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(ELEMENT)), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3)
)
def test_a_changed_element_never_changes_another_answer(changes: list[tuple[int, int, bytes]]) -> None:
    element = ELEMENT
    for at, cut, put in changes:
        element = element[:at] + put + element[at + cut :]
    try:
        reply = decode(body(element))
    except BadReplyError:
        return
    assert_others_answered(reply)
