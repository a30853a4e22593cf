"""Names that occur twice are found, and shapes are learnt only if nothing can hide in them."""

import msgspec
import pytest

from broker.institutions import json_structs
from broker.institutions.member_names import CloseReading, KnownShapes, RepeatedNameError

FRAME = '{{"request_id":"r","replies":[{}]}}'
ELEMENT = '{{"item":{},"outcome":"{}"}}'
ONE = ELEMENT.format(0, "NOT_FOUND")


def taught(*elements: str) -> KnownShapes:
    """Knows the shapes of these elements, and of replies that consist of such elements."""
    shapes = KnownShapes()
    for element in elements:
        shapes.learn_element(element.encode())
    shapes.learn_frame(FRAME.format(",".join(elements)).encode())
    return shapes


@pytest.mark.parametrize(
    ("elements", "known"),
    [
        ([ONE], True),
        ([ONE] * 5, True),
        ([ELEMENT.format(123, "NOT_FOUND"), ELEMENT.format(7, "张_三")], True),
        ([ELEMENT.format(1, " NOT _ FOUND")], True),
        ([ELEMENT.format(1, "FOUND")], False),
        ([ONE, ELEMENT.format(1, "not_found"), ONE], False),
        ([ONE.replace('"outcome"', '"outcome":"","outcome"')], False),
        ([ELEMENT.format('0,"x":1', "NOT_FOUND")], False),
        ([ONE + "}" + ONE], False),
        ([ELEMENT.format(0, "NOT_FOUND") + "]"], False),
    ],
    ids=range(10),
)
def test_which_replies_are_known(elements: list[str], known: bool) -> None:
    shapes = taught(ONE)
    count, odd = shapes.look(FRAME.format(",".join(elements)).encode())
    assert (count == len(elements) and not odd) == known
    assert all(shapes.has_element(one.encode()) for one in elements) == known


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        '{"request_id":"r","replies":[]}',
        '{"request_id":"r","request_id":"r","replies":[' + ONE + "]}",
        '{"request_id":"r","replies":[],"replies":[' + ONE + "]}",
        '{"request_id":"r","replies":[' + ONE + '],"replies":[]}',
        '{"replies":[' + ONE + '],"request_id":"r"}',
        FRAME.format('{"outcome":"NOT_FOUND","item":0}'),
        FRAME.format(ELEMENT.format(0, 'NOT_FOUND\\"')),
    ],
    ids=range(10),
)
def test_nothing_is_concluded_from_a_reply_of_another_shape(body: str) -> None:
    assert taught(ONE).look(body.encode())[0] == -1 or taught(ONE).look(body.encode())[1]


@pytest.mark.parametrize(
    "element",
    [
        '{"item":0,"\\u006futcome":"NOT_FOUND"}',
        '{"item":0,"outcome":"a\\"b"}',
        '{"item":0,"outcome":"' + "x" * 20_000 + '"}',
    ],
    ids=["escape in a name", "escaped quotation mark", "long"],
)
def test_some_shapes_are_not_learnt(element: str) -> None:
    assert taught(element).look(FRAME.format(element).encode())[0] == -1


def test_a_frame_is_not_learnt_before_the_elements_in_it() -> None:
    shapes = KnownShapes()
    shapes.learn_frame(FRAME.format(ONE).encode())
    shapes.learn_element(ONE.encode())
    assert shapes.look(FRAME.format(ONE).encode())[0] == -1


def test_what_is_known_is_bounded() -> None:
    shapes = KnownShapes()
    for number in range(50_000):
        name = "".join(chr(ord("g") + int(digit)) for digit in str(number))
        shapes.learn_element(f'{{"{name}":0,"{"x" * 100}":1}}'.encode())
    assert sum(len(rest) for known in shapes._elements.values() for rest in known) < 2 * 1024 * 1024


@pytest.mark.parametrize(
    "struct",
    [one for one in vars(json_structs).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)],
)
def test_the_names_of_the_contract_leave_different_letters(struct: type[msgspec.Struct]) -> None:
    """Otherwise replies would be read closely again and again."""
    close = CloseReading()
    close.read(msgspec.json.encode(dict.fromkeys(struct.__struct_fields__, 0)))
    assert close.is_exemplary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", b"1"),
        ('{"a":null,"b":[null,{"c":null}],"d":{"e":null}}', b'{"b":[null,{}],"d":{}}'),
        ('{"a":1.5,"b":-3,"c":"\\u5f20","d":true}', '{"a":1.5,"b":-3,"c":"张","d":true}'.encode()),
    ],
)
def test_null_is_absent(text: str, expected: bytes) -> None:
    assert CloseReading().read(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":1}', '{"a":null,"a":null}', '{"x":[{"a":{"b":1,"b":2}}]}', '{"a":1,"\\u0061":2}'],
)
def test_a_name_twice_is_an_error(text: str) -> None:
    with pytest.raises(RepeatedNameError):
        CloseReading().read(text.encode())


def test_names_that_leave_the_same_letters_are_no_example() -> None:
    close = CloseReading()
    close.read(b'{"item1":0,"item2":0}')
    assert not close.is_exemplary
    close.read(b'{"item":0,"other":0}')
    assert close.is_exemplary


def test_how_much_is_read_closely_is_bounded() -> None:
    close = CloseReading()
    text = b"[" + b",".join([b"{}"] * 12_000) + b"]"
    for _ in range(10):
        close.read(text)
    with pytest.raises(ValueError, match="too many objects"):
        close.read(text)
    with pytest.raises(ValueError, match="too many objects"):
        CloseReading().read(b"[" + b",".join([b"{}"] * 13_000) + b"]")
