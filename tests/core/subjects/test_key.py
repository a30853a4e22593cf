"""Keys: everything a subject is counts, the secret counts, and nothing else does."""

from hashlib import blake2b

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from broker.core.subjects.key import SIZE, Keyer
from broker.model import Subject, SubjectType

subjects = st.builds(
    Subject,
    st.sampled_from(SubjectType),
    st.text("0123456789ABCDEFGX京", min_size=1, max_size=28),
    st.text("张三王ABC ·", max_size=10),
)


def key(keyer: Keyer, subject: Subject) -> bytes:
    (one,) = keyer.keys([subject.type], [subject.number], [subject.name])
    return one


@given(st.lists(subjects, max_size=20))
def test_keys_are_equal_exactly_when_subjects_are(asked: list[Subject]) -> None:
    keys = Keyer(b"secret").keys(*zip(*asked, strict=True)) if asked else []
    assert len(set(keys)) == len(set(asked))
    assert {len(one) for one in keys} <= {SIZE}


@given(subjects)
def test_a_key_is_the_same_every_time(subject: Subject) -> None:
    keyer = Keyer(b"secret")
    assert key(keyer, subject) == key(keyer, subject) == key(Keyer(b"secret"), subject)


@given(subjects)
def test_a_key_says_nothing_without_the_secret(subject: Subject) -> None:
    assert key(Keyer(b"secret"), subject) != key(Keyer(b"another"), subject)


def test_the_same_number_under_another_name_is_another_subject() -> None:
    keyer = Keyer(b"secret")
    one = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")
    assert key(keyer, one) != key(keyer, one._replace(name="张叁"))
    assert key(keyer, one) != key(keyer, one._replace(type=SubjectType.PASSPORT))


def test_text_cannot_move_between_number_and_name() -> None:
    keyer = Keyer(b"secret")
    assert keyer.keys([1], ["12"], ["3"]) != keyer.keys([1], ["1"], ["23"])
    assert keyer.keys([1], ["12"], [""]) != keyer.keys([11], ["2"], [""])


def test_a_column_is_its_lines() -> None:
    keyer = Keyer(b"secret")
    assert keyer.keys([1, 7], ["12", "34"], ["a", ""]) == [
        *keyer.keys([1], ["12"], ["a"]),
        *keyer.keys([7], ["34"], [""]),
    ]


@given(st.lists(subjects, max_size=40))
def test_keys_are_cmacs_however_many_are_made_at_a_time(asked: list[Subject]) -> None:
    secret = algorithms.AES(blake2b(b"secret", digest_size=32).digest())

    def cmac(subject: Subject) -> bytes:
        state = CMAC(secret)
        state.update(bytes((subject.type,)) + subject.number.encode() + b"\x1f" + subject.name.encode())
        return state.finalize()

    columns = zip(*asked, strict=True) if asked else ([], [], [])
    assert Keyer(b"secret").keys(*columns) == list(map(cmac, asked))
