"""Plain lookups: what is taken for plain reads the same when it is looked at closely, and the usual ones are taken."""

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.core import plain
from broker.core.key import Keyer
from broker.core.plain import find_plain
from broker.lookups import Columns, _look_closely, read_lookups
from broker.model import Subject, SubjectType
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb

TODAY = date(2026, 11, 23)
KEYER = Keyer(b"secret")
NUMBERS = ["11010519491231002X", "440308199901010012", "540815197006071711", "622827200002294314"]
RIGHT = NUMBERS[0]


def person(ref: str = "1", name: str = "张三", number: str = RIGHT, document: int = 1) -> bytes:
    subject = pb.Person(name=name, document_type=document, document_number=number)  # type: ignore[arg-type]
    return pb.Lookup(ref=ref, person=subject).SerializeToString()


def read(*lookups: bytes) -> Columns:
    """Among enough others for the batch to be read as one."""
    filler = [person(f"filler {number}") for number in range(20)]
    return read_lookups([*lookups, *filler], KEYER, today=TODAY).pick(range(len(lookups)))


def is_plain(lookup: bytes) -> bool:
    return find_plain([person("a"), lookup, person("b")], today=TODAY).places == [0, 1, 2]


@pytest.mark.parametrize(
    "lookup",
    [
        person(),
        person(ref="x" * 64),
        person(name="龥"),
        person(name="一" * 14),
        person(name="鿿鿿"),
    ],
)
def test_the_usual_is_plain(lookup: bytes) -> None:
    assert is_plain(lookup)


@pytest.mark.parametrize(
    "lookup",
    [
        pytest.param(person(ref=""), id="no ref"),
        pytest.param(person(ref="第一"), id="a ref that is not ASCII"),
        pytest.param(person(ref="x" * 65), id="a long ref"),
        pytest.param(person(name=""), id="no name"),
        pytest.param(person(name="Wang"), id="a Latin name"),
        pytest.param(person(name="阿·买"), id="a dot"),
        pytest.param(person(name="㐀一"), id="a rare character"),
        pytest.param(person(name="䷿一"), id="a hexagram"),
        pytest.param(person(name="\uf900"), id="a character that has another spelling"),
        pytest.param(person(name="一" * 15), id="a long name"),
        pytest.param(person(number=RIGHT.lower()), id="a small x"),
        pytest.param(person(number="110105491231002"), id="15 digits"),
        pytest.param(person(number="110105194912310021"), id="a wrong check digit"),
        pytest.param(person(number="11010520491231002X"), id="not born yet"),
        pytest.param(person(document=2), id="a passport"),
        pytest.param(person(document=0), id="no document type"),
        pytest.param(person() + b"\x0a\x01y", id="a second ref, which counts"),
        pytest.param(person() + b"\xf8\x07\x01", id="an unknown field"),
        pytest.param(person()[2:], id="cut at the front"),
        pytest.param(b"", id="nothing"),
        pytest.param(
            pb.Lookup(ref="1", organization=pb.Organization(name="一", code=RIGHT)).SerializeToString(),
            id="organisation",
        ),
    ],
)
def test_the_unusual_is_left_for_a_closer_look(lookup: bytes) -> None:
    assert find_plain([person("a"), lookup, person("b")], today=TODAY).places == [0, 2]


@pytest.mark.parametrize("cut", range(1, len(person())))
def test_no_piece_of_a_lookup_is_plain(cut: int) -> None:
    assert find_plain([person()[:cut]], today=TODAY).places == []
    assert find_plain([person()[cut:], person()[:cut]], today=TODAY).places == []


names = st.text(st.sampled_from("张三一龥鿿㐀䷿\uf900·A a\u200b é"), max_size=20)
persons = st.builds(
    person,
    st.text("ab1第 ", max_size=70),
    names,
    st.sampled_from([*NUMBERS, RIGHT.lower(), "1" * 18]),
    st.integers(0, 3),
)


def mutated(lookup: bytes, at: int, value: int) -> bytes:
    at %= max(1, len(lookup))
    return lookup[:at] + bytes((value,)) + lookup[at + 1 :]


@given(st.lists(st.builds(mutated, persons, st.integers(0, 200), st.integers(0, 255)) | persons, max_size=8))
@example([mutated(person(), 6, 0xFF)])
def test_what_is_plain_reads_the_same_looked_at_closely(lookups: list[bytes]) -> None:
    found = find_plain(lookups, today=TODAY)
    chosen = [lookups[place] for place in found.places]
    closely = _look_closely(chosen, KEYER, TODAY)
    assert closely.problems == {}
    assert [found.subject(index) for index in range(len(chosen))] == closely.subjects
    assert found.heads == closely.heads
    assert KEYER.keys_of(found.material) == closely.keys


def test_a_mixed_batch_is_read_in_its_order() -> None:
    lookups = [person("a"), person("b", name="Li Bai"), person("", number="1"), person("d", name="李四")]
    columns = read(*lookups)
    assert columns.subjects == [
        Subject(SubjectType.RESIDENT_ID, RIGHT, "张三"),
        Subject(SubjectType.RESIDENT_ID, RIGHT, "Li Bai"),
        Subject(SubjectType.RESIDENT_ID, "1", "张三"),
        Subject(SubjectType.RESIDENT_ID, RIGHT, "李四"),
    ]
    assert columns.heads == [b"\x0a\x01a", b"\x0a\x01b", b"", b"\x0a\x01d"]
    assert columns.types == [asset_pb2.DOCUMENT_TYPE_RESIDENT_ID] * 4
    assert columns.keys == _look_closely(lookups, KEYER, TODAY).keys


def test_an_empty_batch_has_no_plain_lookups() -> None:
    assert find_plain([], today=TODAY).places == []


def test_the_spare_bytes_suffice_for_whatever_the_lengths_say() -> None:
    hostile = [b"\x0a\xff", b"\x0a\x7f" + b"\xff" * 3, b"\xff" * 2, b"\x0a"]
    for lookup in hostile:
        assert find_plain([lookup], today=TODAY).places == []
    assert len(plain._SPARE) > 3 * 257 + 4 + 18
