"""The key file and what is sealed: nothing is shown, and nothing opens under another key."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.keys import AuditKeys, load_keys, parse_keys
from broker.audit.sealing import OVERHEAD, Sealer, open_with
from broker.errors import AuditError
from broker.model import SubjectType
from tests.audit.logs import KEYS

SEALER = KEYS.sealer()
TEXT = f"signing {'01' * 32}\nsealing {'02' * 32}\n"


def test_a_key_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "var" / "audit.key"
    made = load_keys(path, make=True)
    assert load_keys(path, make=True) == load_keys(path) == made
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["audit.key"]


def test_a_missing_key_file_is_not_made_by_whoever_only_reads(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="No such file"):
        load_keys(tmp_path / "audit.key")


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (TEXT.encode(), 0o640, "chmod 600"),
        (TEXT.encode()[:-10], 0o600, "lines signing and sealing"),
        (b"", 0o600, "lines signing and sealing"),
        (b"\xff\xfe", 0o600, "is not text"),
    ],
)
def test_what_is_no_key_file_is_refused_without_showing_it(
    tmp_path: Path, content: bytes, mode: int, reason: str
) -> None:
    path = tmp_path / "audit.key"
    path.touch(mode)
    path.write_bytes(content)
    with pytest.raises(AuditError, match=reason) as error:
        load_keys(path)
    assert "0202" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_copy_without_the_signing_key_opens_and_does_not_sign() -> None:
    whole, copy = parse_keys(TEXT), parse_keys(TEXT.partition("\n")[2])
    assert copy.sealer().open(whole.sealer().seal({}, [b"content"])).content == b"content"
    assert whole.signing_key()
    with pytest.raises(AuditError, match="can only open"):
        copy.signing_key()


def test_commitments_depend_on_the_key() -> None:
    subject = ([SubjectType.RESIDENT_ID], ["110101199003074514"], ["张三"])
    assert KEYS.keyer().keys(*subject) == KEYS.keyer().keys(*subject)
    assert KEYS.keyer().keys(*subject) != AuditKeys(None, bytes(32)).keyer().keys(*subject)


def test_keys_are_not_shown() -> None:
    assert repr(KEYS) == "AuditKeys()"


@given(st.dictionaries(st.text(), st.text()), st.lists(st.binary()))
def test_what_was_sealed_is_opened(texts: dict[str, str], pieces: list[bytes]) -> None:
    sealed = SEALER.seal(texts, pieces)
    opened = SEALER.open(sealed)
    assert opened.texts == texts
    assert opened.content == b"".join(pieces)
    assert len(sealed) > OVERHEAD


def test_the_same_is_never_sealed_the_same() -> None:
    assert SEALER.seal({}, [b"content"]) != SEALER.seal({}, [b"content"])


def test_the_key_of_one_blob_opens_no_other() -> None:
    one, other = SEALER.seal({}, [b"one"]), SEALER.seal({}, [b"other"])
    key = SEALER.blob_key(one[:16])
    assert open_with(key, one).content == b"one"
    with pytest.raises(ValueError, match="another key"):
        open_with(key, other)


def test_nothing_opens_under_another_key() -> None:
    with pytest.raises(ValueError, match="another key"):
        Sealer(bytes(32)).open(SEALER.seal({}, [b"content"]))


def test_what_was_changed_does_not_open() -> None:
    sealed = SEALER.seal({"a": "b"}, [b"content"])
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(ValueError, match=r"another key|damaged"):
            SEALER.open(changed)
        with pytest.raises(ValueError, match=r"another key|damaged"):
            SEALER.open(sealed[:at])
