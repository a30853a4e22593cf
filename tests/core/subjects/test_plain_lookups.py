"""Plain lookups: what is taken for plain reads the same when it is looked at closely, and the usual ones are taken."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.core.planning.chunk import LookupColumns
from broker.core.subjects import plain_lookups
from broker.core.subjects.key import Keyer
from broker.core.subjects.plain_lookups import FORMS, Form, find_plain
from broker.model import Subject, SubjectType
from broker.serving.lookups import look_closely, read_lookups
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb

TODAY = date(2026, 11, 23)
KEYER = Keyer(b"secret")
NUMBERS = ["11010519491231002X", "440308199901010012", "540815197006071711", "622827200002294314"]
RIGHT = NUMBERS[0]
CODES = ["91350100M000100Y43", "91110108551385082Q", "91310000631696382C"]
PERSONS, ORGANIZATIONS = FORMS


def person(ref: str = "1", name: str = "张三", number: str = RIGHT, document: int = 1) -> bytes:
    subject = pb.Person(name=name, document_type=document, document_number=number)  # type: ignore[arg-type]
    return pb.Lookup(ref=ref, person=subject).SerializeToString()


def organization(ref: str = "1", name: str = "一二三四有限公司", code: str = CODES[0]) -> bytes:
    return pb.Lookup(ref=ref, organization=pb.Organization(name=name, code=code)).SerializeToString()


def read(*lookups: bytes) -> LookupColumns:
    """Among enough others for the batch to be read as one."""
    filler = [person(f"filler {number}") for number in range(20)]
    return read_lookups([*lookups, *filler], KEYER, today=TODAY).pick(range(len(lookups)))


USUAL: dict[Form, Callable[..., bytes]] = {PERSONS: person, ORGANIZATIONS: organization}


def is_plain(lookup: bytes, form: Form) -> bool:
    """Whether it is, among others that are."""
    usual = USUAL[form]
    places = find_plain([usual("a"), lookup, usual("b")], form, today=TODAY).indices
    assert places in ([0, 1, 2], [0, 2])
    return len(places) == 3


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
def test_a_usual_person_is_plain(lookup: bytes) -> None:
    assert is_plain(lookup, PERSONS)
    assert not is_plain(lookup, ORGANIZATIONS)


@pytest.mark.parametrize(
    "lookup",
    [
        *(organization(code=code) for code in CODES),
        organization(ref="x" * 64, name="一" * 12),
        organization(name="一" * 30),
        organization(name="一二（三四）有限公司"),
    ],
)
def test_a_usual_organisation_is_plain(lookup: bytes) -> None:
    assert is_plain(lookup, ORGANIZATIONS)
    assert not is_plain(lookup, PERSONS)


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
        pytest.param(organization(name="一" * 31), id="an organisation's long name"),
        pytest.param(organization(name="一(二)"), id="half-width brackets, of one byte each"),
        pytest.param(organization(name="一！"), id="another full-width mark"),
        pytest.param(organization(name="一［二］"), id="other full-width brackets"),
        pytest.param(organization(code=CODES[0].lower()), id="a code in small letters"),
        pytest.param(organization(code=CODES[0][8:17]), id="a code of 9 characters"),
        pytest.param(organization(code=RIGHT), id="a person's number"),
        pytest.param(organization(code=CODES[0][:-1] + "4"), id="a wrong check character"),
        pytest.param(organization(code="91350100M000100Y3" + "4"), id="a wrong inner check character"),
    ],
)
def test_the_unusual_is_left_for_a_closer_look(lookup: bytes) -> None:
    assert not is_plain(lookup, PERSONS)
    assert not is_plain(lookup, ORGANIZATIONS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("whole", [person(), organization()])
def test_no_piece_of_a_lookup_is_plain(form: Form, whole: bytes) -> None:
    for cut in range(1, len(whole)):
        assert find_plain([whole[:cut]], form, today=TODAY).indices == []
        assert find_plain([whole[cut:], whole[:cut]], form, today=TODAY).indices == []


names = st.text(st.sampled_from("张三一龥鿿㐀䷿\uf900·A a\u200b é（）(！＊"), max_size=20)
persons = st.builds(
    person,
    st.text("ab1第 ", max_size=70),
    names,
    st.sampled_from([*NUMBERS, RIGHT.lower(), "1" * 18]),
    st.integers(0, 3),
)


organizations = st.builds(
    organization,
    st.text("ab1第 ", max_size=70),
    names,
    st.sampled_from([*CODES, CODES[0].lower(), RIGHT, CODES[1][8:17]]),
)


def mutated(lookup: bytes, at: int, value: int) -> bytes:
    at %= max(1, len(lookup))
    return lookup[:at] + bytes((value,)) + lookup[at + 1 :]


anything = (
    persons | organizations | st.builds(mutated, persons | organizations, st.integers(0, 200), st.integers(0, 255))
)


@given(st.sampled_from(FORMS), st.lists(anything, max_size=8))
@example(PERSONS, [mutated(person(), 6, 0xFF)])
@example(ORGANIZATIONS, [mutated(organization(), 6, 0xFF)])
def test_what_is_plain_reads_the_same_looked_at_closely(form: Form, lookups: list[bytes]) -> None:
    found = find_plain(lookups, form, today=TODAY)
    chosen = [lookups[place] for place in found.indices]
    closely = look_closely(chosen, KEYER, TODAY)
    assert closely.problems == {}
    assert found.subjects() == closely.subjects
    assert found.heads == closely.heads
    assert KEYER.keys_of(found.messages) == closely.keys


def test_a_mixed_batch_is_read_in_its_order() -> None:
    lookups = [
        person("a"),
        organization("b"),
        person("c", name="Li Bai"),
        person("", number="1"),
        organization("e", code=CODES[1]),
        person("f", name="李四"),
    ]
    columns = read(*lookups)
    assert columns.subjects == [
        Subject(SubjectType.RESIDENT_ID, RIGHT, "张三"),
        Subject(SubjectType.ORGANIZATION_CODE, CODES[0], "一二三四有限公司"),
        Subject(SubjectType.RESIDENT_ID, RIGHT, "Li Bai"),
        Subject(SubjectType.RESIDENT_ID, "1", "张三"),
        Subject(SubjectType.ORGANIZATION_CODE, CODES[1], "一二三四有限公司"),
        Subject(SubjectType.RESIDENT_ID, RIGHT, "李四"),
    ]
    assert columns.heads == [b"\x0a\x01a", b"\x0a\x01b", b"\x0a\x01c", b"", b"\x0a\x01e", b"\x0a\x01f"]
    person_type, code_type = asset_pb2.DOCUMENT_TYPE_RESIDENT_ID, asset_pb2.DOCUMENT_TYPE_ORGANIZATION_CODE
    assert columns.types == [person_type, code_type, person_type, person_type, code_type, person_type]
    assert columns.keys == look_closely(lookups, KEYER, TODAY).keys


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_batch_has_no_plain_lookups(form: Form) -> None:
    assert find_plain([], form, today=TODAY).indices == []


def test_the_spare_bytes_suffice_for_whatever_the_lengths_say() -> None:
    hostile = [b"\x0a\xff", b"\x0a\x7f" + b"\xff" * 3, b"\xff" * 2, b"\x0a"]
    for lookup in hostile:
        for form in FORMS:
            assert find_plain([lookup], form, today=TODAY).indices == []
    assert len(plain_lookups._PADDING) > 3 * 257 + 4 + 18
