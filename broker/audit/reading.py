"""Reads the entries of logs in their order, with what is sealed beside them. It verifies nothing."""

from collections.abc import Iterator
from typing import NamedTuple

from broker.audit.entry import AuditEntry, read_entry
from broker.audit.journal import FOLDER, first_index, journal_path
from broker.audit.verification.expectations import read_checkpoint
from broker.audit.verification.folder import LogFolder
from broker.audit.verification.journal_content import read_content
from broker.errors import AuditError


class ReadEntry(NamedTuple):
    """An entry of a log."""

    log: str
    """The origin of the log."""
    at: int
    """Its index."""
    encoded: bytes
    entry: AuditEntry
    sealed: bytes
    """What is sealed beside it; empty if nothing is."""


def read_entries(folder: LogFolder) -> Iterator[ReadEntry]:
    """The entries that the journal of a log has. Raises `AuditError` if it cannot be read to its end."""
    for name in folder.names(FOLDER):
        first = first_index(name)
        if first is None:
            continue
        content = read_content(folder.read(journal_path(first)) or b"")
        if content is None:
            continue
        try:
            for at, (encoded, blob) in enumerate(zip(content.entries, content.material, strict=True), start=first):
                yield ReadEntry(content.head.origin, at, encoded, read_entry(encoded), blob[0] if blob else b"")
        except ValueError as error:
            msg = f"{folder.path}: {error}; run: broker audit verify"
            raise AuditError(msg) from None


def origin_of(folder: LogFolder) -> str:
    """The origin of a log. Raises `AuditError` if its checkpoint cannot be read."""
    try:
        found = read_checkpoint(folder)
    except ValueError as error:
        msg = f"{folder.path}: the published checkpoint {error}; run: broker audit verify"
        raise AuditError(msg) from None
    if found is None:
        msg = f"{folder.path}: there is no published checkpoint; run: broker audit verify"
        raise AuditError(msg)
    return found[0].origin
