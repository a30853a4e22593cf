"""Reads whom `broker audit who-asked` is to look for. Number and name are never arguments, which others can see."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from broker.core.subjects.key import Keyer
from broker.core.subjects.name_standard import standard
from broker.core.subjects.names import read_names
from broker.core.subjects.numbers import normalise_numbers
from broker.errors import AuditError
from broker.model import SubjectType

_STANDARD_INPUT = Path("-")


def read_commitments(keyer: Keyer, subject_type: SubjectType, path: Path | None) -> list[bytes]:
    """The commitments of a subject under all spellings of its name. Raises `AuditError`."""
    number, names = _read_lines(path) if path else _prompted()
    normalised = normalise_numbers([subject_type], [number], today=datetime.now(UTC).date())
    if fault := normalised.faults.get(0):
        click.echo(f"note: the number {fault.message}", err=True)  # it may have been sent all the same
    spellings, _ = read_names(names or [""])
    spellings = list(dict.fromkeys([*spellings, *(standard(subject_type, name) for name in spellings)]))
    count = len(spellings)
    return keyer.keys([subject_type] * count, normalised.numbers * count, spellings)


def _read_lines(path: Path) -> tuple[str, list[str]]:
    try:
        text = sys.stdin.read() if path == _STANDARD_INPUT else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        msg = f"{path}: cannot be read as text in UTF-8"
        raise AuditError(msg) from None
    number, *names = text.splitlines() or [""]
    return number, [name for name in names if name.strip()]


def _prompted() -> tuple[str, list[str]]:
    number: str = click.prompt("number", err=True)
    names: list[str] = []
    while name := click.prompt(
        f"name, spelling {len(names) + 1} (none: end)", default="", show_default=False, err=True
    ):
        names.append(name)
    return number, names
