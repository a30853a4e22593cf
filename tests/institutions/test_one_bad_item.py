"""One bad item harms that item alone. Each line of a table is what an institution says about one of 200 items."""

import json
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.subjects.mandate import read_mandate
from broker.errors import BadReplyError
from broker.institutions.json_http import JsonDialect
from broker.model import Kind, Outcome, Question, Reply, Subject, SubjectType
from broker.v1 import investigation_pb2

NOW = 1_800_000_000
SIZE = 200
BAD = 7  # the item in question
ALICE = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
MANDATE = read_mandate("京0101", "王法官", "（2026）京0101执123号", "（2026）京0101执123号裁定书")
QUESTION = Question("request-1", "bank", 1, [MANDATE], [0] * SIZE, [ALICE] * SIZE)

HOLDER = '{"name":"张三","document_type":"RESIDENT_ID","document_number":"11010519491231002X"}'
ACCOUNT = '"account":{"account_number":"6222020200112230","balance":{"currency_code":"CNY","units":12,"nanos":5}}'
ASSET = f'{{"holders":[{HOLDER}],{ACCOUNT}}}'
FOUND = f'"outcome":"FOUND","assets":[{ASSET}]'
REFUSED = '"outcome":"REFUSED","problem":{"reason":"SEALED","field":"","message":"封存"}'

OTHERS = [
    f'{{"item":{item},"outcome":"NOT_FOUND","observed_at":"2026-11-23T05:00:00Z"}}'
    if item % 3
    else f'{{"item":{item},"observed_at":"2026-11-23T05:00:00Z",{FOUND}}}'
    for item in range(SIZE)
]


def body(element: str, others: Sequence[str] = OTHERS) -> bytes:
    elements = [*others[:BAD], element, *others[BAD + 1 :]]
    return f'{{"request_id":"request-1","replies":[{",".join(elements)}]}}'.encode("utf-8", "surrogatepass")


def decode(data: bytes, dialect: JsonDialect | None = None) -> Reply:
    return (dialect or JsonDialect()).decode(data, QUESTION, kind=Kind.BANK, now=NOW)


def reason(reply: Reply, item: int = BAD) -> str:
    return investigation_pb2.Answer.FromString(reply.contents[item]).problem.reason


EXPECTED = decode(body(OTHERS[BAD]))


def assert_others_answered(reply: Reply) -> None:
    for item in range(SIZE):
        if item != BAD:
            assert reply.outcomes[item] == EXPECTED.outcomes[item] != Outcome.UNAVAILABLE
            assert reply.contents[item] == EXPECTED.contents[item]


def in_asset(**changes: str) -> str:
    """FOUND, with these members in the account instead of the balance, as JSON."""
    members = "".join(f',"{name}":{value}' for name, value in changes.items())
    return f'"outcome":"FOUND","assets":[{{"holders":[{HOLDER}],"account":{{"account_number":"1"{members}}}}}]'


def in_holder(members: str) -> str:
    return FOUND.replace('"name":"张三"', members)


# What is said about the item, and the outcome: of an element that begins with its number.
RIGHT: list[tuple[str, Outcome]] = [
    ('"outcome":"NOT_FOUND"', Outcome.NOT_FOUND),
    (FOUND, Outcome.FOUND),
    (REFUSED, Outcome.REFUSED),
    ('"outcome":"NOT_FOUND","assets":null', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","assets":[]', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","problem":null,"observed_at":null', Outcome.NOT_FOUND),
    (FOUND + ',"problem":null,"observed_at":null', Outcome.FOUND),
    ('"outcome":"REFUSED","problem":{"reason":"R","field":null,"message":null},"assets":null', Outcome.REFUSED),
    ('"outcome":"REFUSED","problem":{"reason":null}', Outcome.REFUSED),
    ('"outcome":"REFUSED","problem":null', Outcome.REFUSED),
    (in_asset(branch="null", category="null", status="null", opened_on="null", balance="null"), Outcome.FOUND),
    (in_asset(balance='{"units":1,"nanos":null,"currency_code":null}'), Outcome.FOUND),
    (in_asset(balance='{"units":-1,"nanos":-500000000}'), Outcome.FOUND),
    (in_asset(balance='{"units":0,"nanos":-500000000}'), Outcome.FOUND),
    (in_asset(balance='{"units":1,"nanos":999999999}'), Outcome.FOUND),
    (in_asset(branch='""', status='"UNSPECIFIED"', opened_on="null"), Outcome.FOUND),
    (in_asset(branch='"\\u671d\\u9633\\/\\"\\\\n"'), Outcome.FOUND),
    (in_asset(branch='"\\ud842\\udfb7"'), Outcome.FOUND),
    (in_asset(branch='"古丽米热·艾比布力\u3000"'), Outcome.FOUND),
    (in_holder('"name":null'), Outcome.FOUND),
    (in_holder('"name":"\\u5f20\\u4e09"'), Outcome.FOUND),
    (in_holder('"name":"张三","share":null'), Outcome.FOUND),
    (FOUND.replace(HOLDER, HOLDER + ',{"name":"李四","document_number":null}'), Outcome.FOUND),
    (FOUND.replace(HOLDER, '{"name":"李四"},' + HOLDER), Outcome.FOUND),
    (FOUND.replace('"holders"', '"measures":null,"vehicle":null,"holders"'), Outcome.FOUND),
    (FOUND.replace('"holders"', '"measures":[],"shoe_size":[{"a":1},{"a":2}],"holders"'), Outcome.FOUND),
    (FOUND.replace('"holders"', '"remark":"line 1\\nline 2","holders"'), Outcome.FOUND),
    ('  "outcome" : "NOT_FOUND" ,\n\t"observed_at" : "2026-11-23T05:00:00Z"\r\n', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","observed_at":"2016-12-31T23:59:60Z"', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","observed_at":"2016-12-31T24:00:00Z"', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","observed_at":"2016-12-31t23:59:59.123456789012z"', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","note":{"item":8,"outcome":"FOUND"},"item2":{"item":9}', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","serial":123456789012345678901234567890,"weight":1e400', Outcome.NOT_FOUND),
    (f'"outcome":"NOT_FOUND","serial":1{"0" * 5_000}', Outcome.NOT_FOUND),
    ('"outcome":"NOT_FOUND","log":[{"item":8,"outcome":"FOUND"},{"item":9,"outcome":"NOT_FOUND"}]', Outcome.NOT_FOUND),
]


@pytest.mark.parametrize(("said", "outcome"), RIGHT, ids=range(len(RIGHT)))
def test_what_is_right_is_read(said: str, outcome: Outcome) -> None:
    dialect = JsonDialect()
    for _ in range(2):  # the second time, its shape may be known
        reply = decode(body(f'{{"item":{BAD},{said}}}'), dialect)
        assert reply.outcomes[BAD] == outcome
        assert_others_answered(reply)
    assert decode(body(f'{{{said},"item":{BAD}}}'), dialect).outcomes[BAD] == outcome


WRONG: list[str] = [
    '"outcome":1e400',
    '"outcome":"NOT_FOUND","observed_at":1e400',
    '"outcome":"NOT_FOUND","problem":-1e400',
    '"outcome":"NOT_FOUND","assets":1e400',
    f'"outcome":"NOT_FOUND","log":{"[" * 2_000}{"]" * 2_000}',
    '"log":[{"a]\\"[":' + "[" * 5_000 + "]" * 5_000 + '}],"outcome":"NOT_FOUND"',
    '"outcome":"NOT_FOUND","problem":' + '{"x":' * 2_000 + "1" + "}" * 2_000,
    f'"outcome":"FOUND","assets":{"[" * 3_000}{"]" * 3_000}',
    '"x":0',
    '"outcome":null',
    '"outcome":1',
    '"outcome":["NOT_FOUND"]',
    '"outcome":"not_found"',
    '"outcome":"NOT_FOUND","observed_at":""',
    '"outcome":"NOT_FOUND","observed_at":1483228800',
    '"outcome":"NOT_FOUND","observed_at":"2026-11-23"',
    '"outcome":"NOT_FOUND","observed_at":"2026-11-23T12:34:60Z"',
    '"outcome":"NOT_FOUND","observed_at":["2026-11-23T05:00:00Z"]',
    '"outcome":"NOT_FOUND","observed_at":"2026-11-23T05:00:00Z\\u0000"',
    '"outcome":"NOT_FOUND","problem":"none"',
    '"outcome":"NOT_FOUND","assets":{}',
    '"outcome":"NOT_FOUND","assets":[null]',
    '"outcome":"FOUND"',
    '"outcome":"FOUND","assets":null',
    '"outcome":"REFUSED","problem":{"reason":7}',
    '"outcome":"REFUSED","problem":{"message":["no"]}',
    '"outcome":"REFUSED","problem":{"message":"a\\u0000b"}',
    '"outcome":"REFUSED","problem":{"message":"a\\nb"}',
    '"outcome":"REFUSED","problem":{"message":"a\x7fb"}',
    '"outcome":"REFUSED","problem":{"message":"a\x85b"}',
    '"outcome":"REFUSED","problem":{"message":"a\\u0085b"}',
    '"outcome":"REFUSED","problem":{"message":"\\ud842"}',
    '"outcome":"REFUSED","problem":{"message":"\\udfb7\\ud842"}',
    '"outcome":"REFUSED","problem":{"message":"\\\\\\ud842\\\\"}',
    in_asset(branch='"\\ud842"'),
    in_asset(branch='"\\u671d\\t"'),
    in_asset(branch='"a\x9fb"'),
    in_asset(branch="7"),
    in_asset(branch='{"name":"x"}'),
    in_asset(opened_on='"2015-13-01"'),
    in_asset(opened_on='""'),
    in_asset(balance='{"units":1,"nanos":1500000000}'),
    in_asset(balance='{"units":1,"nanos":-500000000}'),
    in_asset(balance='{"units":-1,"nanos":1}'),
    in_asset(balance='{"units":"1"}'),
    in_asset(balance='{"units":1.5}'),
    in_asset(balance='{"units":null}'),
    in_asset(balance='"12.50"'),
    in_asset(balance="1e400"),
    in_asset(balance='{"units":1,"nanos":1e400}'),
    in_asset(balance='{"units":9007199254740993.0}'),
    in_asset(balance='{"units":9223372036854775808}'),
    in_asset(branch="-1e999"),
    in_asset(opened_on="1e400"),
    in_asset(available_balance='{"units":1,"nanos":1000000000}'),
    in_holder('"name":7'),
    in_holder('"name":"张三","share":0.5'),
    in_holder('"name":"张\\u0000三"'),
    # A name twice.
    '"outcome":"NOT_FOUND","outcome":"NOT_FOUND"',
    FOUND + ',"outcome":"NOT_FOUND","assets":[]',
    FOUND + ',"assets":[]',
    FOUND + f',"assets":[{ASSET}]',
    '"outcome":"NOT_FOUND","observed_at":null,"observed_at":"2026-11-23T05:00:00Z"',
    '"outcome":"NOT_FOUND","\\u006futcome":"FOUND"',
    f'"outcome":"NOT_FOUND","item":{BAD}',
    REFUSED + ',"problem":null',
    REFUSED.replace('"field":""', '"field":"","message":"no"'),
    FOUND.replace('"holders"', '"holders":[],"holders"'),
    FOUND.replace('"account":', '"account":{"account_number":"1"},"account":'),
    FOUND.replace('"units":12', '"units":12,"units":13'),
    FOUND.replace('"units":12', '"units":12,"uni\\u0074s":13'),
    in_holder('"name":"张三","name":"张三"'),
    in_holder('"name":"李四","document_type":"RESIDENT_ID","name":"张三"'),
]


@pytest.mark.parametrize("said", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_harms_its_item_alone(said: str) -> None:
    dialect = JsonDialect()
    for learnt in (OTHERS[BAD], f'{{"item":{BAD},{FOUND}}}', f'{{"item":{BAD},{REFUSED}}}'):
        decode(body(learnt), dialect)
    for element in (f'{{"item":{BAD},{said}}}', f'{{ "item" : {BAD}, {said} }}', f'{{{said},"item":{BAD}}}'):
        reply = decode(body(element), dialect)
        assert reply.outcomes[BAD] == Outcome.UNAVAILABLE
        assert reason(reply) == "BAD_REPLY"
        assert (list(reply.missing), reply.unusable) == ([], 1)
        assert_others_answered(reply)


@pytest.mark.parametrize("said", [*(said for said, _ in RIGHT), *WRONG], ids=range(len(RIGHT) + len(WRONG)))
def test_a_long_reply_whose_assets_are_decoded_one_item_at_a_time_says_the_same(said: str) -> None:
    short = body(f'{{"item":{BAD},{said}}}')
    assert decode(short + b" " * 256 * 1024) == decode(short)


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa1\x82", b"\xc0\x80"])
@pytest.mark.parametrize("said", [FOUND, REFUSED])
def test_a_text_that_is_not_utf8_harms_its_item_alone(text: bytes, said: str) -> None:
    place = "张三" if said == FOUND else "封存"
    data = body(f'{{"item":{BAD},{said.replace(place, "@@")}}}').replace(b"@@", text)
    reply = decode(data)
    assert reason(reply) == "BAD_REPLY"
    assert_others_answered(reply)


@pytest.mark.parametrize(
    "element",
    ["null", "7", "[]", "{}", '{"outcome":"NOT_FOUND"}', '{"item":null,"outcome":"NOT_FOUND"}', '{"item":"7"}', "{"],
)
def test_what_cannot_be_pinned_to_an_item_fails_the_call(element: str) -> None:
    with pytest.raises(BadReplyError):
        decode(body(element))


REPLIES = f'"replies":[{",".join(OTHERS)}]'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"request_id":"request-1",{REPLIES},"replies":[]}}',
        f'{{"request_id":"request-1","replies":[],{REPLIES}}}',
        f'{{"request_id":"request-1",{REPLIES},{REPLIES}}}',
        f'{{"request_id":"request-1","replies":null,{REPLIES}}}',
        f'{{"request_id":"request-2","request_id":"request-1",{REPLIES}}}',
        f'{{"request_id":"request-1",{REPLIES},"request_id":"request-1"}}',
        f'{{"request_id":"request-1",{REPLIES},"more":1,"more":2}}',
        f'{{"request_id":null,{REPLIES}}}',
        '{"request_id":"request-1","replies":null}',
        '{"request_id":"request-1","replies":[],"replies":[]}',
    ],
    ids=range(10),
)
def test_a_reply_with_a_member_twice_is_none(text: str) -> None:
    dialect = JsonDialect()
    decode(body(OTHERS[BAD]), dialect)
    for data in (text, text.replace(",", " ,\n"), re.sub(":", ": ", text)):
        with pytest.raises(BadReplyError):
            decode(data.encode(), dialect)


@pytest.mark.parametrize(
    "text",
    [
        f'{{{REPLIES},"request_id":"request-1"}}',
        f'\n{{ "request_id" : "request-1" , {REPLIES} }}\n',
        f'{{"version":[{{"item":1}}],"request_id":"request-1",{REPLIES},"more":{{"request_id":"request-2"}}}}',
        f'{{"request_id":"request-1","note":"{OTHERS[1].replace(chr(34), "")}",{REPLIES}}}',
        json.dumps({"request_id": "request-1", "replies": [json.loads(one) for one in OTHERS]}),
        json.dumps({"request_id": "request-1", "replies": [json.loads(one) for one in OTHERS]}, indent=2),
        json.dumps({"replies": [dict(reversed(json.loads(one).items())) for one in OTHERS], "request_id": "request-1"}),
    ],
    ids=range(7),
)
def test_order_blanks_and_unknown_members_make_no_difference(text: str) -> None:
    dialect = JsonDialect()
    for _ in range(2):
        reply = decode(text.encode(), dialect)
        assert reply.outcomes == EXPECTED.outcomes
        assert list(reply.contents) == list(EXPECTED.contents)


OTHER_ORDER = f'{{"outcome":"NOT_FOUND","outcome":"NOT_FOUND","item":{BAD}}}'
NESTING = f'{{"item":5,"outcome":"NOT_FOUND","log":[{OTHERS[1]}]}}'


def test_an_element_is_never_taken_for_its_neighbour_of_a_known_shape() -> None:
    """One element contains what looks like another, and the bad one begins differently: the numbers agree."""
    dialect = JsonDialect()
    decode(body(OTHERS[BAD]), dialect)
    reply = decode(body(OTHER_ORDER, [*OTHERS[:5], NESTING, *OTHERS[6:]]), dialect)
    assert reason(reply) == "BAD_REPLY"
    assert reply.outcomes[5] == Outcome.NOT_FOUND


def test_a_second_list_is_never_taken_for_a_part_of_the_first() -> None:
    dialect = JsonDialect()
    decode(body(OTHERS[BAD]), dialect)
    text = f'{{"request_id":"request-1","replies":[{OTHERS[0]}],"replies":[{OTHER_ORDER}]}}'
    with pytest.raises(BadReplyError):
        decode(text.encode(), dialect)


def test_a_long_reply_with_a_bad_item_takes_no_more_calls_of_the_slow_decoder_than_it_has_objects() -> None:
    """What is read closely is bounded: beyond the bound, items are not usable."""
    asset = ASSET.replace('"holders"', '"measures":null,"holders"')
    many = f'"outcome":"FOUND","assets":[{",".join([asset] * 3_000)}]'
    elements = [f'{{"item":{item},{many}}}' for item in range(40)]
    question = Question("request-1", "bank", 1, [MANDATE], [0] * 40, [ALICE] * 40)
    text = f'{{"request_id":"request-1","replies":[{",".join(elements)}]}}'
    reply = JsonDialect().decode(text.encode(), question, kind=Kind.BANK, now=NOW)
    assert {*reply.outcomes} <= {Outcome.FOUND, Outcome.UNAVAILABLE}


ELEMENT = f'{{"item":{BAD},"observed_at":"2026-11-23T05:00:00Z",{FOUND}}}'
_PARTS = ['"', "{", "}", "[", "]", ":", ",", "\\", "\\u", "null", "1", "outcome", "assets", "é", "\x00", "\ud842"]


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(ELEMENT)), st.integers(0, 3), st.sampled_from(_PARTS)), min_size=1, max_size=3
    )
)
def test_a_changed_element_never_changes_another_answer(changes: list[tuple[int, int, str]]) -> None:
    element = ELEMENT
    for at, cut, put in changes:
        element = element[:at] + put + element[at + cut :]
    try:
        reply = decode(body(element))
    except BadReplyError:
        return
    for item in range(SIZE):
        if item != BAD and reply.outcomes[item] != Outcome.UNAVAILABLE:
            assert reply.contents[item] == EXPECTED.contents[item]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_name_twice_is_found_wherever_it_is(data: st.DataObject) -> None:
    """A member of any object of the element is repeated, with any shape known before."""
    dialect = JsonDialect()
    decode(body(ELEMENT), dialect)
    names = [*re.finditer(r'[{,]"([a-z_]+)":', ELEMENT)]
    chosen = data.draw(st.sampled_from(names))
    value = data.draw(st.sampled_from(["null", '""', "0", "[]", "{}", '"FOUND"']))
    blank = data.draw(st.sampled_from(["", " ", "\n"]))
    at = chosen.start() + 1
    element = f'{ELEMENT[:at]}"{chosen[1]}"{blank}:{blank}{value},{ELEMENT[at:]}'
    try:
        reply = decode(body(element), dialect)
    except BadReplyError:
        assert chosen[1] == "item"  # nobody knows which item it is about
        return
    assert reply.outcomes[BAD] == Outcome.UNAVAILABLE
    assert_others_answered(reply)
