"""Who asked about a subject, found by nothing but its commitment."""

from pathlib import Path

import pytest

from broker.audit.entry import Admitted
from broker.audit.keys import AuditKeys
from broker.audit.material import Inquired
from broker.audit.reading import origin_of, read_entries
from broker.audit.verification.folder import LogFolder, find_logs
from broker.audit.who_asked import Asking, who_asked
from broker.errors import AuditError
from broker.model import Outcome
from tests.audit.logs import KEYS, ORIGIN
from tests.audit.verification.written import INSTITUTIONS, Writer, admission, commitments, ending, refusal


def asked(folder: Path, *subjects: int, keys: AuditKeys = KEYS) -> list[Asking]:
    wanted = [commitments([subject]) for subject in subjects]
    return [asking for log in find_logs(folder) for asking in who_asked(read_entries(log), keys.sealer(), wanted)]


def test_every_request_about_the_subject_is_found_with_the_answers_about_it(tmp_path: Path) -> None:
    Writer(tmp_path / "worker-0").write(
        [admission([1, 2, 1], officer="李法官")],
        [admission([3])],
        [refusal()],
        [ending(1, [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.TIMED_OUT])],
        [ending(2, [Outcome.FOUND])],
        [admission([1])],
    )
    Writer(tmp_path / "worker-1", origin=ORIGIN.replace("0", "1")).write(
        [admission([2, 1])], [ending(1, [Outcome.FOUND, Outcome.REFUSED])]
    )
    first, unended, other = asked(tmp_path, 1)
    assert (first.log, first.entry_index, first.lookups, first.status) == (ORIGIN, 1, 2, "OK")
    assert (first.court, first.officer, first.case_number) == ("京01", "李法官", "（2026）京01执1号")
    assert first.outcomes == {"FOUND": 2, "TIMED_OUT": 2}
    assert set(first.institutions) == set(INSTITUTIONS)
    assert (unended.entry_index, unended.status, unended.outcomes) == (6, "", {})
    assert (other.log, other.outcomes) == (ORIGIN.replace("0", "1"), {"REFUSED": 2})
    assert [asking.entry_index for asking in asked(tmp_path, 3)] == [2]
    assert asked(tmp_path, 4) == []


def test_several_spellings_are_looked_for_at_a_time(tmp_path: Path) -> None:
    Writer(tmp_path).write([admission([1])], [admission([2])], [admission([3])])
    assert [asking.entry_index for asking in asked(tmp_path, 1, 3)] == [1, 3]


def test_withheld_texts_are_shown_to_whoever_has_the_key(tmp_path: Path) -> None:
    document = "查询110101199003074514"
    entry = Admitted(method="Investigate", legal_document=document, lookups=1, institutions=1)
    Writer(tmp_path).write([(entry, Inquired(("bank",), commitments([1])).encode())])
    (asking,) = asked(tmp_path, 1)
    assert asking.legal_document == document


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    Writer(tmp_path).write([admission([1])])
    with pytest.raises(AuditError, match="entry 1: the material cannot be read"):
        asked(tmp_path, 1, keys=AuditKeys(None, bytes(32)))


def test_a_log_without_checkpoint_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no published checkpoint"):
        origin_of(LogFolder(tmp_path))
    (tmp_path / "checkpoint").write_text("text")
    with pytest.raises(AuditError, match="note"):
        origin_of(LogFolder(tmp_path))
