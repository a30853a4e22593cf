"""What every dialect must carry, and what it must not let through. One suite, run over all of them.

Replies are written down once, as protobuf messages, and brought into each dialect by a writer of this module's own.
"""

import json
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import trio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.subjects.mandate import read_mandate
from broker.core.wire.encoding import varint
from broker.errors import BadReplyError
from broker.institutions import subject_match
from broker.institutions.dialects import DIALECTS
from broker.institutions.interface import Dialect
from broker.institutions.reply_check import MAX_PER_ASSET, ReplyChecker, Statement
from broker.institutions.stub import StubInstitution, content, holds, stub_spec
from broker.model import Kind, Outcome, Question, Reply, Subject, SubjectType
from broker.v1 import asset_pb2, institution_pb2, investigation_pb2
from tests.institutions.over_http import Posted, ask, over_http

NOW = 1_800_000_000
MIB = 1 << 20
ALICE = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
FIRM = Subject(SubjectType.ORGANIZATION_CODE, "91350100M000100Y43", "某某有限公司")
BOB = Subject(SubjectType.PASSPORT, "E12345678", "BOB")
MANDATES = [
    read_mandate("京0101", "王法官", "（2026）京0101执123号", "（2026）京0101执123号裁定书"),
    read_mandate("最高法", "李法官", "（2026）最高法执1号", "（2026）最高法执1号裁定书"),
]
PEOPLE = Question("request-1", "mock-bank", 2, MANDATES, [0, 1, 0], [ALICE, FIRM, BOB])

Write = Callable[[institution_pb2.InquiryBatchReply], bytes]


# --- writers ----------------------------------------------------------------------------------------------------------


def plain(message: Message) -> dict[str, Any]:
    """A message as docs/institutions.md has it in JSON."""
    return {
        field.name: _plain_field(field, getattr(message, field.name))
        for field in cast("Iterable[FieldDescriptor]", message.DESCRIPTOR.fields)
        if field.message_type is None or field.is_repeated or message.HasField(field.name)
    }


def _plain_field(field: FieldDescriptor, value: Any) -> Any:
    return [_plain_value(field, one) for one in value] if field.is_repeated else _plain_value(field, value)


def _plain_value(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number
        prefix = known[0].name.removesuffix("UNSPECIFIED")
        return known[value].name.removeprefix(prefix) if value in known else "NO_SUCH_WORD"
    match field.message_type.full_name if field.message_type is not None else "":
        case "":
            return value
        case "google.type.Date":
            return f"{value.year:04}-{value.month:02}-{value.day:02}"
        case "google.type.Decimal":
            return value.value
        case "google.protobuf.Timestamp":
            moment = datetime.fromtimestamp(value.seconds, UTC).replace(microsecond=value.nanos // 1000)
            return moment.isoformat().replace("+00:00", "Z")
    return plain(value)


def write_json(reply: institution_pb2.InquiryBatchReply) -> bytes:
    return json.dumps(plain(reply), ensure_ascii=False).encode()


def write_protobuf(reply: institution_pb2.InquiryBatchReply) -> bytes:
    return reply.SerializeToString()


WRITERS: dict[str, Write] = {"json": write_json, "protobuf": write_protobuf}


@pytest.fixture(params=sorted(DIALECTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dialect(name: str) -> Dialect:
    return DIALECTS[name]


@pytest.fixture
def read(name: str) -> Callable[..., Reply]:
    """Brings replies into the dialect, and lets it read them."""

    def read_reply(*replies: dict[str, Any], request_id: str = "request-1", question: Question = PEOPLE) -> Reply:
        return read_as(name, replies, request_id=request_id, question=question)

    return read_reply


def read_as(
    name: str, replies: Sequence[dict[str, Any]], *, request_id: str = "request-1", question: Question = PEOPLE
) -> Reply:
    message = institution_pb2.InquiryBatchReply(request_id=request_id, replies=[said(**reply) for reply in replies])
    kind = KINDS.get(question.institution_id, Kind.BANK)
    return DIALECTS[name].decode(WRITERS[name](message), question, kind=kind, now=NOW)


KINDS = {"vehicles": Kind.VEHICLE, "securities": Kind.SECURITIES, "land": Kind.REAL_ESTATE}


def said(item: int, outcome: int, *, at: float | None = NOW - 60, **fields: Any) -> institution_pb2.InquiryReply:
    words: Any = outcome
    reply = institution_pb2.InquiryReply(item=item, outcome=words, **fields)
    if at is not None:
        reply.observed_at.seconds = int(at // 1)
        reply.observed_at.nanos = int(at % 1 * 1e9)
    return reply


def account(holder: Subject = ALICE, number: str = "6222020200112230") -> asset_pb2.Asset:
    asset = asset_pb2.Asset(
        holders=[
            asset_pb2.Holder(
                name=holder.name,
                document_type=asset_pb2.DOCUMENT_TYPE_RESIDENT_ID,
                document_number=holder.number,
                share="1/2",
            ),
            asset_pb2.Holder(name="他人", document_number="another"),
        ],
        measures=[
            asset_pb2.JudicialMeasure(
                type=asset_pb2.MEASURE_TYPE_WAITING_FREEZE, authority="法院", document_number="号", rank=2
            )
        ],
        account=asset_pb2.Account(
            account_number=number, category="savings", status=asset_pb2.ACCOUNT_STATUS_FROZEN, branch="朝阳支行"
        ),
    )
    asset.measures[0].amount.currency_code = "CNY"
    asset.measures[0].amount.units = 20_000
    asset.measures[0].starts_on.CopyFrom(_date(2025, 1, 31))
    asset.account.balance.CopyFrom(_money(-12, -340_000_000))
    asset.account.available_balance.CopyFrom(_money(0, 0))
    asset.account.opened_on.CopyFrom(_date(1999, 12, 1))
    return asset


def _date(year: int, month: int, day: int) -> Any:
    from google.type import date_pb2  # noqa: PLC0415 - untyped, and needed nowhere else

    return date_pb2.Date(year=year, month=month, day=day)


def _money(units: int, nanos: int) -> Any:
    from google.type import money_pb2  # noqa: PLC0415 - untyped, and needed nowhere else

    return money_pb2.Money(currency_code="CNY", units=units, nanos=nanos)


def car(holder: Subject = ALICE, plate: str = "京A12345", vin: str = "LSVAU033952176543") -> asset_pb2.Asset:
    return asset_pb2.Asset(
        holders=[asset_pb2.Holder(name=holder.name, document_number=holder.number)],
        vehicle=asset_pb2.Vehicle(plate=plate, vin=vin, mortgaged=True),
    )


NONE = [{"item": item, "outcome": Outcome.NOT_FOUND} for item in range(3)]


def answer(reply: Reply, item: int) -> investigation_pb2.Answer:
    """An item's content as what it becomes: an answer to a court."""
    parsed = investigation_pb2.Answer.FromString(reply.contents[item])
    assert not len(UnknownFieldSet(parsed))
    assert parsed.institution_id == ""
    assert parsed.source == investigation_pb2.SOURCE_UNSPECIFIED
    assert parsed.outcome == reply.outcomes[item]
    return parsed


def assert_unusable(reply: Reply, item: int, reason: str = "BAD_REPLY") -> None:
    assert reply.outcomes[item] == Outcome.UNAVAILABLE
    given = answer(reply, item)
    assert (given.problem.reason, len(given.assets)) == (reason, 0)


# --- questions --------------------------------------------------------------------------------------------------------


def test_a_question_carries_everything(name: str, dialect: Dialect) -> None:
    expected = institution_pb2.InquiryBatch(request_id="request-1", institution_id="mock-bank", attempt=2)
    for mandate in MANDATES:
        expected.mandates.add(
            court_code=mandate.court.code,
            officer=mandate.officer,
            case_number=mandate.case_number,
            legal_document=mandate.legal_document,
        )
    for item, (mandate_index, subject) in enumerate(zip(PEOPLE.mandate_of, PEOPLE.subjects, strict=True)):
        subject_type: Any = int(subject.type)
        expected.inquiries.add(
            item=item, mandate=mandate_index, subject_type=subject_type, number=subject.number, name=subject.name
        )
    body = dialect.encode(PEOPLE)
    if name == "json":
        assert json.loads(body) == plain(expected)
    else:
        assert institution_pb2.InquiryBatch.FromString(body) == expected


@pytest.mark.parametrize("subject_type", SubjectType)
def test_every_type_of_subject_can_be_asked_about(dialect: Dialect, subject_type: SubjectType) -> None:
    question = Question("r", "mock-bank", 1, MANDATES[:1], [0], [Subject(subject_type, "12345678", "")])
    body = dialect.encode(question)
    if dialect.content_type == "application/json":
        assert json.loads(body)["inquiries"][0]["subject_type"] == subject_type.name
    else:
        assert int(institution_pb2.InquiryBatch.FromString(body).inquiries[0].subject_type) == subject_type


def test_dialects_can_be_told_apart_by_content_type() -> None:
    assert len({dialect.content_type for dialect in DIALECTS.values()}) == len(DIALECTS)


# --- right replies ----------------------------------------------------------------------------------------------------

SAID: list[dict[str, Any]] = [
    {"item": 0, "outcome": Outcome.FOUND, "assets": [account(), account(number="2")]},
    {"item": 1, "outcome": Outcome.REFUSED, "problem": {"reason": "SEALED", "field": "name", "message": "封存"}},
    {"item": 2, "outcome": Outcome.NOT_FOUND},
]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_right_reply_is_read_in_any_order(read: Callable[..., Reply], order: Sequence[int]) -> None:
    reply = read(*[SAID[item] for item in order])
    assert reply.outcomes == bytes([Outcome.FOUND, Outcome.REFUSED, Outcome.NOT_FOUND])
    assert list(reply.observed_at) == [NOW - 60] * 3
    for item in range(3):
        expected = investigation_pb2.Answer.FromString(said(**SAID[item]).SerializeToString()[2 * bool(item) :])
        assert answer(reply, item) == expected


@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(data=st.data())
def test_whatever_the_order_each_item_gets_its_own_answer(name: str, data: st.DataObject) -> None:
    """Items that say the same are recognised by their bytes, which must not confuse them."""
    count = data.draw(st.integers(1, 140), label="asked")
    found = data.draw(st.sets(st.integers(0, count - 1), max_size=5), label="found")
    order = data.draw(st.permutations(range(count)) | st.just(list(range(count))), label="order")
    swaps = data.draw(st.lists(st.integers(0, count - 1), max_size=3), label="moved to the end")
    order = [item for item in order if item not in swaps] + list(dict.fromkeys(swaps))
    missing = data.draw(st.sets(st.integers(0, count - 1), max_size=3), label="passed over")
    subjects = [ALICE._replace(number=f"{item}") for item in range(count)]
    question = Question("request-1", "mock-bank", 1, MANDATES[:1], [0] * count, subjects)
    replies = [
        {"item": item, "outcome": Outcome.FOUND, "assets": [account(subjects[item])]}
        if item in found
        else {"item": item, "outcome": Outcome.NOT_FOUND}
        for item in order
        if item not in missing
    ]
    reply = read_as(name, replies, question=question)
    for item in range(count):
        expected = Outcome.FOUND if item in found else Outcome.NOT_FOUND
        assert reply.outcomes[item] == (Outcome.UNAVAILABLE if item in missing else expected)
        for asset in answer(reply, item).assets:
            assert asset == account(subjects[item])


def test_all_dialects_hand_on_the_same_content() -> None:
    replies = [read_as(name, SAID) for name in sorted(DIALECTS)]
    for item in range(3):
        assert all(answer(reply, item) == answer(replies[0], item) for reply in replies)


def test_content_begins_with_the_outcome(read: Callable[..., Reply]) -> None:
    """What is cached relies on it (core.wire)."""
    reply = read(*SAID)
    assert [each[:2] for each in reply.contents] == [b"\x10" + bytes([outcome]) for outcome in reply.outcomes]


def test_the_stub_says_what_an_institution_over_http_says() -> None:
    moment = NOW - 60
    assets = [account(), account(number="2")]
    stub = StubInstitution(stub_spec(), holds({ALICE.number: assets}, observed_at=moment))
    replies = [trio.run(stub.ask, PEOPLE)]
    for name, dialect in DIALECTS.items():
        message = institution_pb2.InquiryBatchReply(
            request_id="request-1",
            replies=[
                said(0, Outcome.FOUND, assets=assets),
                said(1, Outcome.NOT_FOUND),
                said(2, Outcome.NOT_FOUND),
            ],
        )
        body = WRITERS[name](message)

        post = Posted(body)
        replies.append(ask(over_http(name, post, now=NOW + 0.9), PEOPLE))
        assert (bool(post.body), post.content_type) == (True, dialect.content_type)
    for reply in replies[1:]:
        assert reply.outcomes == replies[0].outcomes
        assert [answer(reply, item) for item in range(3)] == [answer(replies[0], item) for item in range(3)]
        assert list(reply.observed_at) == list(replies[0].observed_at)


def test_an_empty_question_may_get_an_empty_reply(read: Callable[..., Reply]) -> None:
    reply = read(question=Question("request-1", "mock-bank", 1, [], [], []))
    assert (reply.outcomes, list(reply.contents), list(reply.observed_at)) == (b"", [], [])


@pytest.mark.parametrize(
    ("institution", "subject", "asset"),
    [
        ("mock-bank", Subject(SubjectType.BANK_ACCOUNT, "6222020200112230", ""), account()),
        ("vehicles", Subject(SubjectType.VEHICLE_PLATE, "京A12345", ""), car()),
        ("vehicles", Subject(SubjectType.VEHICLE_VIN, "LSVAU033952176543", ""), car()),
        (
            "securities",
            Subject(SubjectType.SECURITIES_ACCOUNT, "A123456789", ""),
            asset_pb2.Asset(holding=asset_pb2.SecuritiesHolding(account_number="A123456789", quantity=-5)),
        ),
        (
            "land",
            Subject(SubjectType.REAL_ESTATE_UNIT, "110101001001GB00001F00010001", ""),
            asset_pb2.Asset(
                real_estate_unit=asset_pb2.RealEstateUnit(unit_number="110101001001GB00001F00010001", usage="office")
            ),
        ),
    ],
    ids=["account", "plate", "vin", "securities", "unit"],
)
def test_a_thing_is_recognised_by_its_number(
    read: Callable[..., Reply], institution: str, subject: Subject, asset: asset_pb2.Asset
) -> None:
    found = {"item": 0, "outcome": Outcome.FOUND, "assets": [asset]}
    question = Question("request-1", institution, 1, MANDATES[:1], [0], [subject])
    assert list(answer(read(found, question=question), 0).assets) == [asset]
    other = Question("request-1", institution, 1, MANDATES[:1], [0], [subject._replace(number=subject.number[:-1])])
    assert_unusable(read(found, question=other), 0)


PETER = Subject(SubjectType.PASSPORT, "E12345678", "Peter O·Hara")
NINE = Subject(SubjectType.ORGANIZATION_CODE, "M000100Y4", FIRM.name)
_RESIDENT, _PASSPORT, _HK_MACAO, _FIRM = 1, 2, 4, 6


def held_by(read: Callable[..., Reply], subject: Subject, holder: tuple[int, str, str]) -> Reply:
    """The reply to a question about the subject: an account with one holder (document type, number, name)."""
    words: Any = holder[0]
    asset = asset_pb2.Asset(account=account().account)
    asset.holders.add(document_type=words, document_number=holder[1], name=holder[2])
    question = Question("request-1", "mock-bank", 1, MANDATES[:1], [0], [subject])
    return read({"item": 0, "outcome": Outcome.FOUND, "assets": [asset]}, question=question)


# Subject, and the holder in the reply: document type, number, name.
SAME_HOLDER: list[tuple[Subject, tuple[int, str, str]]] = [
    (ALICE, (_RESIDENT, ALICE.number, "张三")),
    (ALICE, (0, ALICE.number, "张三")),
    (ALICE, (_RESIDENT, ALICE.number, "")),
    (ALICE, (0, ALICE.number, "")),
    (ALICE, (_RESIDENT, ALICE.number.lower(), " 张三\u3000")),
    (ALICE, (_RESIDENT, "110105 19491231 002X", "张三")),
    (ALICE, (_RESIDENT, "110105-19491231-002x", "张三")),
    (ALICE, (_RESIDENT, "  11010519491231002X\u3000", "张三")),
    (ALICE, (_RESIDENT, "１１０１０５１９４９１２３１００２Ｘ", "张三")),
    (ALICE, (_RESIDENT, "110105491231002", "张三")),
    (ALICE, (0, "110105 491231 002", "")),
    (ALICE, (_RESIDENT, ALICE.number, "张\u3000三")),
    (PETER, (_PASSPORT, "e12345678", "ＰＥＴＥＲ  O•HARA")),
    (PETER, (_PASSPORT, "E 1234 5678", "PETER O·HARA")),
    (FIRM, (_FIRM, FIRM.number, FIRM.name)),
    (FIRM, (_FIRM, "9135 0100 M000 100Y 43", FIRM.name)),
    (FIRM, (_FIRM, NINE.number, FIRM.name)),
    (FIRM, (_FIRM, "M000100Y-4", FIRM.name)),
    (FIRM, (0, "m000100y-4", "")),
    (NINE, (_FIRM, NINE.number, FIRM.name)),
    (NINE, (_FIRM, "M000100Y-4", FIRM.name)),
    (NINE, (_FIRM, FIRM.number, FIRM.name)),
    (NINE, (0, FIRM.number.lower(), "")),
]


@pytest.mark.parametrize(("subject", "holder"), SAME_HOLDER, ids=range(len(SAME_HOLDER)))
def test_a_holder_is_recognised_however_it_is_spelled(
    read: Callable[..., Reply], subject: Subject, holder: tuple[int, str, str]
) -> None:
    reply = held_by(read, subject, holder)
    assert reply.outcomes[0] == Outcome.FOUND
    [asset] = answer(reply, 0).assets
    assert asset.holders[0].document_number == holder[1]  # handed on as it was said


OTHER_HOLDER: list[tuple[Subject, tuple[int, str, str]]] = [
    (PETER, (_HK_MACAO, PETER.number, PETER.name)),
    (PETER, (_RESIDENT, PETER.number, "")),
    (PETER, (_PASSPORT, "", PETER.name)),
    (PETER, (_PASSPORT, PETER.number[:-1], PETER.name)),
    (ALICE, (_RESIDENT, "110105491231003", ALICE.name)),
    (ALICE, (_RESIDENT, "11010549123100", ALICE.name)),
    (ALICE, (_RESIDENT, "1" * 100_000, ALICE.name)),
    (ALICE, (_FIRM, ALICE.number, ALICE.name)),
    (FIRM, (_FIRM, "M000100Y5", FIRM.name)),
    (FIRM, (_FIRM, "000100Y43", FIRM.name)),
    (FIRM, (_FIRM, "92350100M000100Y42", FIRM.name)),
    (NINE, (_FIRM, "9135010000000000M000100Y4", FIRM.name)),
    (NINE, (_FIRM, "91M000100Y43501003", FIRM.name)),
    (NINE, (_RESIDENT, FIRM.number, FIRM.name)),
    (Subject(SubjectType.PASSPORT, NINE.number, "BOB"), (_PASSPORT, FIRM.number, "BOB")),
]


@pytest.mark.parametrize(("subject", "holder"), OTHER_HOLDER, ids=range(len(OTHER_HOLDER)))
def test_somebody_else_is_never_taken_for_the_subject(
    read: Callable[..., Reply], subject: Subject, holder: tuple[int, str, str]
) -> None:
    """Numbers of two kinds of document may be equal, and an institution may confuse two people."""
    assert_unusable(held_by(read, subject, holder), 0)


OTHER_NAME: list[tuple[Subject, tuple[int, str, str]]] = [
    (ALICE, (_RESIDENT, ALICE.number, "张三丰")),
    (ALICE, (0, "110105491231002", "李四")),
    (PETER, (_PASSPORT, PETER.number, "Paul O·Hara")),
    (PETER, (0, PETER.number, "PETER")),
    (NINE, (_FIRM, FIRM.number, "另一有限公司")),
    (FIRM, (_FIRM, FIRM.number, "某某股份有限公司")),
    (FIRM, (_FIRM, "M000100Y-4", "长" * 10_000)),
]


@pytest.mark.parametrize(("subject", "holder"), OTHER_NAME, ids=range(len(OTHER_NAME)))
def test_the_right_number_under_another_name_has_a_reason_of_its_own(
    read: Callable[..., Reply], subject: Subject, holder: tuple[int, str, str]
) -> None:
    """A court can tell a renamed firm from garbage. It is an answer: it is not asked for again, and no failure."""
    reply = held_by(read, subject, holder)
    assert_unusable(reply, 0, "NAME_DIFFERS")
    assert (list(reply.missing), reply.unusable) == ([], 0)


@pytest.mark.parametrize("holders", [1, MAX_PER_ASSET])
@pytest.mark.parametrize("assets", [1, 4])
def test_names_are_folded_at_most_a_few_times_an_item(
    read: Callable[..., Reply], holders: int, assets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded: list[str] = []

    def fold(name: str) -> str:
        folded.append(name)
        return name

    monkeypatch.setattr(subject_match, "folded", fold)
    asset = asset_pb2.Asset(account=account().account)
    asset.holders.extend(asset_pb2.Holder(document_number=ALICE.number, name=f"他人{i}") for i in range(holders))
    reply = read({"item": 0, "outcome": Outcome.FOUND, "assets": [asset] * assets}, *NONE[1:])
    assert_unusable(reply, 0, "NAME_DIFFERS")
    assert folded.count(ALICE.name) == 1
    assert len(folded) <= 1 + 64


def test_what_is_about_another_is_worse_than_another_name(read: Callable[..., Reply]) -> None:
    renamed = asset_pb2.Asset(account=account().account)
    renamed.holders.add(document_number=ALICE.number, name="李四")
    for assets in ([renamed, account(BOB)], [account(BOB), renamed]):
        assert_unusable(read({"item": 0, "outcome": Outcome.FOUND, "assets": assets}, *NONE[1:]), 0)
    assert_unusable(
        read({"item": 0, "outcome": Outcome.FOUND, "assets": [account(), renamed]}, *NONE[1:]), 0, "NAME_DIFFERS"
    )


# Institution, subject, and the asset in the reply, whose number is spelled differently.
_UNIT = "110101001001GB00001F00010001"
SAME_THING = [
    (
        "mock-bank",
        Subject(SubjectType.BANK_ACCOUNT, "6222020200112233446", ""),
        account(number="6222 0202 0011 2233 446"),
    ),
    (
        "mock-bank",
        Subject(SubjectType.BANK_ACCOUNT, "6222020200112233446", ""),
        account(number="６２２２020200112233446 "),
    ),
    ("vehicles", Subject(SubjectType.VEHICLE_PLATE, "京A12345", ""), car(plate="京A·12345")),
    ("vehicles", Subject(SubjectType.VEHICLE_PLATE, "京A12345", ""), car(plate="京a 12345")),
    ("vehicles", Subject(SubjectType.VEHICLE_PLATE, "京AD12345", ""), car(plate="京Ａ•D12345")),
    ("vehicles", Subject(SubjectType.VEHICLE_VIN, "LSVAU033952176543", ""), car(vin="lsvau033952176543")),
    ("vehicles", Subject(SubjectType.VEHICLE_VIN, "LSVAU033952176543", ""), car(vin=" LSVAU0339 52176543")),
    (
        "securities",
        Subject(SubjectType.SECURITIES_ACCOUNT, "A123456789", ""),
        asset_pb2.Asset(holding=asset_pb2.SecuritiesHolding(account_number="a 123 456 789")),
    ),
    (
        "land",
        Subject(SubjectType.REAL_ESTATE_UNIT, _UNIT, ""),
        asset_pb2.Asset(real_estate_unit=asset_pb2.RealEstateUnit(unit_number="110101 001001 gb00001 F00010001")),
    ),
]


@pytest.mark.parametrize(("institution", "subject", "asset"), SAME_THING, ids=range(len(SAME_THING)))
def test_a_thing_is_recognised_however_its_number_is_spelled(
    read: Callable[..., Reply], institution: str, subject: Subject, asset: asset_pb2.Asset
) -> None:
    found = {"item": 0, "outcome": Outcome.FOUND, "assets": [asset, asset]}
    question = Question("request-1", institution, 1, MANDATES[:1], [0], [subject])
    assert list(answer(read(found, question=question), 0).assets) == [asset, asset]


@pytest.mark.parametrize("subject_type", [SubjectType.BANK_ACCOUNT, SubjectType.ORGANIZATION_CODE])
def test_a_holder_is_never_taken_for_a_thing(subject_type: SubjectType) -> None:
    """Nor by a document type the contract does not have, which only protobuf can carry."""
    words: Any = int(subject_type)
    asset = asset_pb2.Asset(holders=[asset_pb2.Holder(document_type=words, document_number="62220002")])
    asset.account.account_number = "62220001"
    question = Question("request-1", "mock-bank", 1, MANDATES[:1], [0], [Subject(subject_type, "62220002", "")])
    found = {"item": 0, "outcome": Outcome.FOUND, "assets": [asset]}
    assert_unusable(read_as("protobuf", [found], question=question), 0)


def test_the_subject_may_be_any_of_the_holders(read: Callable[..., Reply]) -> None:
    asset = account(BOB)
    asset.holders[0].document_type = asset_pb2.DOCUMENT_TYPE_PASSPORT
    asset.holders.extend(account().holders)
    for item, subject in ((0, ALICE), (2, BOB)):
        found = {"item": item, "outcome": Outcome.FOUND, "assets": [asset, asset]}
        assert list(answer(read(found, question=PEOPLE), item).assets) == [asset, asset], subject


# --- replies that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", ["", "request-2", "request-1 ", "REQUEST-1"])
def test_a_reply_to_another_request_is_refused(read: Callable[..., Reply], request_id: str) -> None:
    with pytest.raises(BadReplyError, match="another request"):
        read(*NONE, request_id=request_id)


@pytest.mark.parametrize("item", [3, 4, 2**31, 2**32 - 1])
@pytest.mark.parametrize("outcome", [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED, 99])
def test_an_item_that_was_not_asked_spoils_the_reply(read: Callable[..., Reply], item: int, outcome: int) -> None:
    assets = [account()] if outcome == Outcome.FOUND else []
    surplus = {"item": item, "outcome": outcome, "assets": assets}
    with pytest.raises(BadReplyError, match="4 replies to 3 inquiries"):
        read(*NONE, surplus)
    with pytest.raises(BadReplyError, match="never asked: 1"):
        read(*NONE[:2], surplus)


@pytest.mark.parametrize("second", [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.INVALID, 0])
def test_an_item_answered_twice_spoils_the_reply(read: Callable[..., Reply], second: int) -> None:
    assets = [account()] if second == Outcome.FOUND else []
    with pytest.raises(BadReplyError, match="4 replies to 3 inquiries"):
        read(*NONE, {"item": 0, "outcome": second, "assets": assets})
    with pytest.raises(BadReplyError, match="twice: 1"):
        read(NONE[0], NONE[1], {"item": 0, "outcome": second, "assets": assets})


def test_a_reply_with_more_items_than_asked_is_refused_unread(
    read: Callable[..., Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*_: Any, **__: Any) -> Statement:
        pytest.fail("an item of it was read")

    for verdict in ("not_found", "found", "refusal"):
        monkeypatch.setattr(ReplyChecker, verdict, unexpected)
    with pytest.raises(BadReplyError, match="4 replies to 3 inquiries"):
        read(*NONE, NONE[0])


def test_an_item_passed_over_is_unavailable_alone(read: Callable[..., Reply]) -> None:
    reply = read(SAID[0], SAID[2])
    assert reply.outcomes == bytes([Outcome.FOUND, Outcome.UNAVAILABLE, Outcome.NOT_FOUND])
    assert_unusable(reply, 1, "NO_ANSWER")


def test_a_reply_without_items_passes_all_over(read: Callable[..., Reply]) -> None:
    reply = read()
    for item in range(3):
        assert_unusable(reply, item, "NO_ANSWER")


BAD_BODIES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>Bad Gateway</html>",
    b"\xff\xfe\xfd",
    b"\x00" * 100,
    b'{"request_id":"request-1"}',
    b'{"request_id":"request-1","replies":{}}',
    b'{"request_id":1,"replies":[]}',
    b'{"request_id":"request-1","replies":[null]}',
    b'{"request_id":"request-1","replies":[{"outcome":"NOT_FOUND"}]}',
    b'{"request_id":"request-1","replies":[{"item":null,"outcome":"NOT_FOUND"}]}',
    b'{"request_id":"request-1","replies":[{"item":"0","outcome":"NOT_FOUND"}]}',
    b'{"request_id":"request-1","replies":[{"item":0.0,"outcome":"NOT_FOUND"}]}',
    b'{"request_id":"request-1","replies":[{"item":-1,"outcome":"NOT_FOUND"}]}',
    b'{"request_id":"request-1","replies":[{"item":1' + b"0" * 5_000 + b',"outcome":"NOT_FOUND"}]}',
    b'{"request_id":"\xff","replies":[]}',
    b'{"request_id":"\\ud800","replies":[]}',
    b'{"request_id":"request-1","replies":[],"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"request_id":"request-1","replies":[]} {"request_id":"request-1","replies":[]}',
    b"\x0a\x09request-\xff",  # as protobuf: no UTF-8
    b"\x0a\x09request-1\x12\xff\xff\xff\xff\x0f",  # a length beyond the end
    b"\x0a\x09request-1\x12\x02\x08",  # cut short
    b"\x0a\x09request-1\x0b" * 200,  # groups that never end
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_what_is_no_reply_is_refused_without_being_quoted(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(BadReplyError) as refusal:
        dialect.decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
    assert len(str(refusal.value)) < 200


def test_a_refusal_never_shows_what_was_sent_as_a_number() -> None:
    body = b'{"request_id":"request-1","replies":[{"item":110105194912310021,"outcome":"NOT_FOUND"}]}'
    with pytest.raises(BadReplyError) as refusal:
        DIALECTS["json"].decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
    assert "110105194912310021" not in str(refusal.value)


# --- items that cannot be used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": Outcome.FOUND},
        {"outcome": Outcome.NOT_FOUND, "assets": [account()]},
        {"outcome": Outcome.REFUSED, "problem": {"reason": "R"}, "assets": [account()]},
        {"outcome": Outcome.FOUND, "assets": [account()], "problem": {"reason": "R"}},
        {"outcome": Outcome.NOT_FOUND, "problem": {"reason": "R"}},
        {"outcome": Outcome.FOUND, "assets": [car()]},
        {"outcome": Outcome.FOUND, "assets": [account(), car()]},
        {"outcome": Outcome.FOUND, "assets": [account(BOB)]},
        {"outcome": Outcome.FOUND, "assets": [account(), account(BOB)]},
        {"outcome": Outcome.FOUND, "assets": [asset_pb2.Asset()]},
        {"outcome": Outcome.FOUND, "assets": [asset_pb2.Asset(account=account().account)]},
        {"outcome": Outcome.FOUND, "assets": [asset_pb2.Asset(holders=account().holders)]},
        {"outcome": 0},
        {"outcome": 99},
        {"outcome": Outcome.UNAVAILABLE},
        {"outcome": Outcome.TIMED_OUT},
        {"outcome": Outcome.PENDING},
        {"outcome": Outcome.NOT_FOUND, "at": 0},
        {"outcome": Outcome.NOT_FOUND, "at": -1},
        {"outcome": Outcome.NOT_FOUND, "at": -62_000_000_000},
        {"outcome": Outcome.FOUND, "assets": [account()], "at": -1},
        {"outcome": Outcome.REFUSED, "at": -1},
        {"outcome": Outcome.NOT_FOUND, "at": NOW + 301},
        {"outcome": Outcome.FOUND, "assets": [account()], "at": NOW + 86_400},
        {"outcome": Outcome.NOT_FOUND, "at": 253_402_300_799},
        {"outcome": Outcome.FOUND, "assets": [account(number="1" * 300_000)]},
        {"outcome": Outcome.FOUND, "at": None},
    ],
    ids=range(27),
)
def test_an_item_that_cannot_be_used_is_unavailable_alone(read: Callable[..., Reply], wrong: dict[str, Any]) -> None:
    reply = read({"item": 0, **wrong}, *NONE[1:])
    assert_unusable(reply, 0)
    assert reply.outcomes[1:] == bytes([Outcome.NOT_FOUND] * 2)


JOINTLY_HELD = account()
JOINTLY_HELD.holders.extend([asset_pb2.Holder(document_number="another")] * (MAX_PER_ASSET - len(JOINTLY_HELD.holders)))
QUEUE = account()
QUEUE.measures.extend([asset_pb2.JudicialMeasure(rank=9)] * (MAX_PER_ASSET - len(QUEUE.measures)))


@pytest.mark.parametrize("assets", [[JOINTLY_HELD], [QUEUE]], ids=["holders", "measures"])
def test_an_asset_may_have_many_holders_and_measures(read: Callable[..., Reply], assets: list[asset_pb2.Asset]) -> None:
    found = {"item": 0, "outcome": Outcome.FOUND, "assets": assets}
    assert list(answer(read(found, *NONE[1:]), 0).assets) == assets


def test_an_asset_without_end_is_unavailable_alone(read: Callable[..., Reply]) -> None:
    endless = asset_pb2.Asset()
    endless.CopyFrom(JOINTLY_HELD)
    endless.holders.add(document_number="another")
    reply = read({"item": 0, "outcome": Outcome.FOUND, "assets": [endless]}, *NONE[1:])
    assert_unusable(reply, 0)
    assert reply.outcomes[1:] == bytes([Outcome.NOT_FOUND] * 2)


HELD = asset_pb2.Asset(
    holders=[asset_pb2.Holder(document_number=ALICE.number)], account=asset_pb2.Account(account_number="1")
)
FLOODS = {
    "empty": {"json": b"{}", "protobuf": b""},
    "held": {
        "json": b'{"holders":[{"document_number":"%b"}],"account":{"account_number":"1"}}' % ALICE.number.encode(),
        "protobuf": HELD.SerializeToString(),
    },
}


def flood(name: str, outcome: Outcome, asset: bytes) -> bytes:
    """A reply of a megabyte, nearly all of it assets of the first item."""
    if name == "json":
        nothing = write_json(
            institution_pb2.InquiryBatchReply(
                request_id="request-1", replies=[said(0, outcome), *[said(**one) for one in NONE[1:]]]
            )
        )
        assets = b",".join([asset] * (MIB // (len(asset) + 1)))
        return nothing.replace(b'"assets": []', b'"assets": [%b]' % assets, 1)
    item = said(0, outcome).SerializeToString() + _field(5, asset) * (MIB // (len(asset) + 2))
    rest = institution_pb2.InquiryBatchReply(request_id="request-1", replies=[said(**one) for one in NONE[1:]])
    return b"\x12" + varint(len(item)) + item + rest.SerializeToString()


@pytest.mark.parametrize("outcome", [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED])
@pytest.mark.parametrize("asset", sorted(FLOODS))
def test_assets_without_end_are_unavailable_alone_and_never_built(name: str, asset: str, outcome: Outcome) -> None:
    """A megabyte of nothing, which compresses to a kilobyte, must not become a hundred megabytes of objects."""
    body = flood(name, outcome, FLOODS[asset][name])
    tracemalloc.start()
    try:
        reply = DIALECTS[name].decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert_unusable(reply, 0)
    assert reply.outcomes[1:] == bytes([Outcome.NOT_FOUND] * 2)
    assert peak < 4 * MIB


@pytest.mark.parametrize(
    ("at", "kept"),
    [(None, NOW), (NOW, NOW), (1, 1), (NOW - 0.75, NOW - 1), (NOW + 300, NOW), (NOW + 0.5, NOW), (NOW - 60, NOW - 60)],
)
@pytest.mark.parametrize("outcome", [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.INVALID])
def test_moments_are_whole_seconds_and_never_in_the_future(
    read: Callable[..., Reply], outcome: Outcome, at: float | None, kept: int
) -> None:
    assets = [account()] if outcome is Outcome.FOUND else []
    reply = read({"item": 0, "outcome": outcome, "assets": assets, "at": at}, *NONE[1:])
    assert reply.outcomes[0] == outcome
    assert reply.observed_at[0] == kept
    moment = answer(reply, 0).observed_at
    assert (moment.seconds, moment.nanos) == (kept, 0)


def test_an_institutions_explanation_is_bounded(read: Callable[..., Reply]) -> None:
    long = {"reason": "R" * 10_000, "field": "f" * 10_000, "message": "长" * 10_000}
    problem = answer(read({"item": 0, "outcome": Outcome.INVALID, "problem": long}, *NONE[1:]), 0).problem
    assert (len(problem.reason), len(problem.field), len(problem.message)) == (64, 64, 500)


@pytest.mark.parametrize("problem", [None, {}, {"message": "no"}])
def test_a_refusal_has_a_reason_even_if_the_institution_gave_none(
    read: Callable[..., Reply], problem: dict[str, str] | None
) -> None:
    reply = read({"item": 0, "outcome": Outcome.REFUSED, "problem": problem}, *NONE[1:])
    assert answer(reply, 0).problem.reason == "UNSPECIFIED"


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


@pytest.mark.parametrize("number", [1, 6, 7, 15])
@pytest.mark.parametrize("outcome", [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED])
def test_unknown_protobuf_fields_cannot_be_smuggled_into_an_answer(number: int, outcome: Outcome) -> None:
    """Field 1 would be the institution's id in the court's answer, field 6 the source."""
    reply = said(0, outcome, assets=[account()] if outcome is Outcome.FOUND else []).SerializeToString()
    smuggled = _field(number, b"other-bank") if number == 1 else bytes((number << 3, 2))
    body = _field(1, b"request-1") + _long_field(2, smuggled + reply + smuggled)
    read = DIALECTS["protobuf"].decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
    assert read.outcomes[0] == outcome
    assert list(answer(read, 0).assets) == ([account()] if outcome is Outcome.FOUND else [])


def test_unknown_protobuf_fields_within_assets_are_dropped() -> None:
    """They could nest so deeply that they can be read here, but not one level deeper, where a court reads them."""
    unknown = _field(15, b"?")
    plain = account().SerializeToString()
    account_tag = 10 << 3 | 2
    held = asset_pb2.Asset(holders=account().holders[:1]).SerializeToString()
    details = account().account.SerializeToString() + unknown
    for asset in (plain + unknown, held + bytes((account_tag, len(details))) + details):
        item = said(0, Outcome.FOUND).SerializeToString() + _long_field(5, asset)
        body = _field(1, b"request-1") + _long_field(2, item)
        read = DIALECTS["protobuf"].decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
        assert read.outcomes[0] == Outcome.FOUND
        assert unknown not in read.contents[0]


def _long_field(number: int, content: bytes) -> bytes:
    length = bytes((len(content) & 0x7F | 0x80, len(content) >> 7))
    return bytes((number << 3 | 2,)) + length + content


def test_unknown_members_are_ignored_in_json() -> None:
    message = plain(institution_pb2.InquiryBatchReply(request_id="request-1", replies=[said(**one) for one in SAID]))
    for reply in message["replies"]:
        reply |= {"institution_id": "other-bank", "source": "CACHE", "shoe_size": 43}
    read = DIALECTS["json"].decode(json.dumps(message).encode(), PEOPLE, kind=Kind.BANK, now=NOW)
    assert list(read.contents) == list(read_as("json", SAID).contents)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("item", 2**70),
        ("assets", None),
        ("assets", {}),
        ("assets", [1]),
        ("assets.0.holders.0.document_number", 110105194912310021),
        ("assets.0.account.balance.units", "1"),
        ("observed_at", "2026-01-31T00:00:00"),
        ("outcome", "found"),
        ("assets.0.vehicle", {"plate": "京A12345"}),
        ("assets.0.holders.0.document_type", "LIBRARY_CARD"),
        ("assets.0.account.status", "SLEEPY"),
        ("assets.0.measures.0.type", "HUG"),
        ("assets.0.measures.0.rank", -1),
        ("assets.0.measures.0.rank", 2**32),
        ("assets.0.account.balance.units", 2**63),
        ("assets.0.account.balance.nanos", 2**31),
    ],
)
def test_json_that_the_contract_has_no_word_for_is_unusable(path: str, value: Any) -> None:
    message = plain(institution_pb2.InquiryBatchReply(request_id="request-1", replies=[said(**one) for one in SAID]))
    place: Any = message["replies"][0]
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    body = json.dumps(message).encode()
    if path == "item":
        with pytest.raises(BadReplyError):
            DIALECTS["json"].decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
    else:
        assert_unusable(DIALECTS["json"].decode(body, PEOPLE, kind=Kind.BANK, now=NOW), 0)


@pytest.mark.parametrize("bad", [{"status": "SLEEPY"}, {"balance": {"units": 2**63}}])
def test_assets_that_cannot_be_written_spoil_no_others(bad: dict[str, Any]) -> None:
    """Assets of several items are written together."""
    replies = [said(item, Outcome.FOUND, assets=[account(PEOPLE.subjects[item])]) for item in range(3)]
    message = plain(institution_pb2.InquiryBatchReply(request_id="request-1", replies=replies))
    for reply in message["replies"]:
        reply["assets"][0]["holders"][0]["document_type"] = "UNSPECIFIED"
    message["replies"][1]["assets"][0]["account"] |= bad
    read = DIALECTS["json"].decode(json.dumps(message).encode(), PEOPLE, kind=Kind.BANK, now=NOW)
    assert read.outcomes == bytes([Outcome.FOUND, Outcome.UNAVAILABLE, Outcome.FOUND])
    assert_unusable(read, 1)
    for item in (0, 2):
        assert [a.holders[0].document_number for a in answer(read, item).assets] == [PEOPLE.subjects[item].number]


def test_large_answers_are_read_like_small_ones(read: Callable[..., Reply]) -> None:
    """More than is written together."""
    assets = {item: [account(number=f"{item}-{n}") for n in range(500)] for item in range(3)}
    question = Question("request-1", "mock-bank", 1, MANDATES[:1], [0] * 3, [ALICE] * 3)
    reply = read(
        *[{"item": item, "outcome": Outcome.FOUND, "assets": owned} for item, owned in assets.items()],
        question=question,
    )
    for item, owned in assets.items():
        assert list(answer(reply, item).assets) == owned


# --- anything at all --------------------------------------------------------------------------------------------------


def decode_anything(name: str, body: bytes) -> None:
    """Whatever the body, the only error is `BadReplyError`, and what is FOUND is the subject's own."""
    try:
        reply = DIALECTS[name].decode(body, PEOPLE, kind=Kind.BANK, now=NOW)
    except BadReplyError as error:
        assert ALICE.number not in str(error)  # noqa: PT017 - that it is raised is no condition
        return
    assert len(reply.outcomes) == len(reply.contents) == len(reply.observed_at) == 3
    for item, subject in enumerate(PEOPLE.subjects):
        given = answer(reply, item)
        assert bool(given.assets) == (reply.outcomes[item] == Outcome.FOUND)
        for asset in given.assets:
            assert asset.WhichOneof("details") == "account"
            holders = [(holder.document_type, holder.document_number.upper().strip()) for holder in asset.holders]
            assert {(subject.type, subject.number), (0, subject.number)} & {*holders}
        if reply.outcomes[item] in (Outcome.FOUND, Outcome.NOT_FOUND):
            assert 0 < reply.observed_at[item] == given.observed_at.seconds <= NOW
            assert not given.HasField("problem")
        else:
            assert given.problem.reason


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=300))
def test_noise_is_never_mistaken_for_a_reply(body: bytes) -> None:
    for name in DIALECTS:
        decode_anything(name, body)


VALID = {
    name: write(institution_pb2.InquiryBatchReply(request_id="request-1", replies=[said(**one) for one in SAID]))
    for name, write in WRITERS.items()
}
_CHANGES = st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=4)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=400, deadline=None)
@given(changes=_CHANGES)
def test_a_reply_changed_on_the_way_never_says_somebody_elses(name: str, changes: list[tuple[int, int, bytes]]) -> None:
    body = VALID[name]
    for at, cut, put in changes:
        start = at % (len(body) + 1)
        body = body[:start] + put + body[start + cut :]
    decode_anything(name, body)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_reply_cut_short_anywhere_is_never_taken_for_whole(name: str) -> None:
    for length in range(len(VALID[name])):
        decode_anything(name, VALID[name][:length])


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_reply_with_any_bit_turned_says_nothing_of_anybody_else(name: str) -> None:
    for place in range(len(VALID[name])):
        body = bytearray(VALID[name])
        body[place] ^= 1 << place % 8
        decode_anything(name, bytes(body))


def test_the_stubs_contents_are_answers_as_well() -> None:
    """`content` is what tests elsewhere put into a `Reply`."""
    for outcome in (Outcome.FOUND, Outcome.NOT_FOUND, Outcome.REFUSED, Outcome.UNAVAILABLE):
        assets = [account()] if outcome is Outcome.FOUND else []
        parsed = investigation_pb2.Answer.FromString(content(outcome, assets))
        assert (int(parsed.outcome), parsed.institution_id, int(parsed.source)) == (outcome, "", 0)


def test_a_subject_without_a_mandate_makes_no_question() -> None:
    with pytest.raises(ValueError, match="but 2 mandates"):
        replace(PEOPLE, mandate_of=PEOPLE.mandate_of[1:])
