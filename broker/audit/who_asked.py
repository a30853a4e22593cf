"""Who asked about a subject: every court, officer, case, document and time, and what the answers were.

A subject is found by its commitment, which is made from type, number and name as they were sent, or with the name in
its standard spelling. A name that was sent in yet another spelling has another commitment; so several can be looked for
at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from broker.audit.entry import Admitted, Ended
from broker.audit.material import Inquired, answer_columns, decode_blocks, decode_inquired
from broker.audit.reading import ReadEntry
from broker.audit.sealing import Sealer
from broker.errors import AuditError
from broker.model import Outcome


@dataclass(slots=True)
class Asking:
    """A request about the subject."""

    log: str
    entry_index: int
    time: int
    """When it was admitted, milliseconds since the epoch."""
    court: str
    officer: str
    case_number: str
    legal_document: str
    request_id: str
    method: str
    certificate: str
    lookups: int = 0
    """How many of its lookups were about the subject."""
    status: str = ""
    """With which gRPC status it ended; empty if its end is not recorded."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """The answers about the subject, by outcome."""
    institutions: dict[str, str] = field(default_factory=dict)
    """The outcome at each institution that answered about the subject."""


def who_asked(entries: Iterable[ReadEntry], sealer: Sealer, commitments: Iterable[bytes]) -> Iterator[Asking]:
    """The requests in one log about the subject that has one of these commitments, as they end; open ones come last.

    Raises `AuditError` if what is sealed cannot be opened.
    """
    return _Search(sealer, frozenset(commitments)).run(entries)


class _Search:
    """State: the requests about the subject that have not ended yet, by the index of their admission."""

    def __init__(self, sealer: Sealer, commitments: frozenset[bytes]) -> None:
        self._sealer = sealer
        self._commitments = commitments
        self._open: dict[int, tuple[Asking, Inquired, list[int]]] = {}

    def run(self, entries: Iterable[ReadEntry]) -> Iterator[Asking]:
        for read in entries:
            try:
                if isinstance(read.entry, Admitted) and read.sealed:
                    self._admit(read, read.entry)
                elif isinstance(read.entry, Ended) and read.entry.admitted in self._open:
                    yield self._end(read, read.entry)
            except ValueError as error:
                msg = f"{read.log}, entry {read.at}: the material cannot be read: {error}"
                raise AuditError(msg) from None
        yield from [asking for asking, _, _ in self._open.values()]

    def _admit(self, read: ReadEntry, entry: Admitted) -> None:
        texts, content = self._sealer.open(read.sealed)
        if not content:
            return
        inquired = decode_inquired(content)
        positions = sorted({at for each in self._commitments for at in inquired.positions(each)})
        if positions:
            asking = Asking(
                log=read.log,
                entry_index=read.at,
                time=entry.time,
                court=entry.court,
                officer=texts.get("officer", entry.officer),
                case_number=texts.get("case_number", entry.case_number),
                legal_document=texts.get("legal_document", entry.legal_document),
                request_id=texts.get("request_id", entry.request_id),
                method=entry.method,
                certificate=entry.certificate,
                lookups=len(positions),
            )
            self._open[read.at] = asking, inquired, positions

    def _end(self, read: ReadEntry, entry: Ended) -> Asking:
        asking, inquired, positions = self._open.pop(entry.admitted)
        asking.status = entry.status
        counts: Counter[str] = Counter()
        if read.sealed:
            for column in answer_columns(decode_blocks(self._sealer.open(read.sealed).content)):
                found = column.outcomes[np.isin(column.positions, positions)].tolist()
                for outcome in found:
                    counts[Outcome(outcome).name] += 1
                    asking.institutions[inquired.institutions[column.column]] = Outcome(outcome).name
        asking.outcomes = dict(counts)
        return asking
