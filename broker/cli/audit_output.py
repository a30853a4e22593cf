"""How the commands of `broker audit` show what they found: a table of requests, and entries as JSON."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
from rich.table import Table
from rich.text import Text

from broker.audit.entry import Admitted, Ended
from broker.audit.material import answer_columns, decode_blocks, decode_inquired
from broker.audit.reading import ReadEntry
from broker.audit.sealing import Sealer
from broker.audit.who_asked import Asking
from broker.core.subjects.key import SIZE as COMMITMENT_SIZE
from broker.errors import AuditError
from broker.formats.tables import table
from broker.model import Outcome, Source


def asking_table(askings: Sequence[Asking]) -> Table:
    """Requests, in their order."""
    made = table("time", "court", "officer", "case", "document", "status", "what")
    for asking in askings:
        outcomes = ", ".join(f"{institution} {outcome}" for institution, outcome in asking.institutions.items())
        cells = (
            f"{datetime.fromtimestamp(asking.time / 1000, UTC):%Y-%m-%d %H:%M:%S}Z",
            asking.court,
            asking.officer,
            asking.case_number,
            asking.legal_document,
            asking.status or "no end",
            outcomes or "no answer",
        )
        made.add_row(*map(_printable, cells))
    return made


def _printable(text: str) -> Text:
    return Text("".join([character if character.isprintable() else "\ufffd" for character in text]))


def exported(read: ReadEntry, sealer: Sealer | None) -> bytes:
    """An entry as a line of JSON; with what is sealed beside it, if it can be opened. Raises `AuditError`."""
    line: dict[str, object] = {"log": read.log, "index": read.at, "entry": msgspec.Raw(read.encoded)}
    if sealer is not None and read.sealed:
        try:
            line["sealed"] = _opened(read, sealer)
        except ValueError as error:
            msg = f"{read.log}, entry {read.at}: the material cannot be read: {error}"
            raise AuditError(msg) from None
    return msgspec.json.encode(line)


def _opened(read: ReadEntry, sealer: Sealer) -> dict[str, object]:
    texts, content = sealer.open(read.sealed)
    found: dict[str, object] = {"texts": texts} if texts else {}
    if isinstance(read.entry, Admitted) and content:
        inquired = decode_inquired(content)
        raw = inquired.commitments
        found["institutions"] = inquired.institutions
        found["commitments"] = [raw[at : at + COMMITMENT_SIZE].hex() for at in range(0, len(raw), COMMITMENT_SIZE)]
    elif isinstance(read.entry, Ended):
        found["answers"] = list(_answers(content))
    return found


def _answers(content: bytes) -> Iterator[tuple[int, int, str, int, str]]:
    for column in answer_columns(decode_blocks(content)):
        source = Source(column.source).name
        for position, outcome, observed in zip(
            column.positions.tolist(), column.outcomes.tolist(), column.observed.tolist(), strict=True
        ):
            yield position, column.column, Outcome(outcome).name, observed, source
