"""One run of `broker investigate`: lookups from a file to a broker, reports to an output.

Lookups are read while reports are written, so that memory does not grow with the run.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from broker.cli.connection import Connection
from broker.cli.exits import Exit, fail, fail_because, without_traceback
from broker.cli.outputs import Output
from broker.cli.progress import progress
from broker.cli.resume import Done, ResumeError
from broker.client import (
    Client,
    ClientError,
    Lookup,
    Mandate,
    Outcome,
    Receipt,
    Report,
    RequestSigner,
    SubjectType,
    Terms,
    Totals,
)
from broker.formats.lookup_file import LookupFileError
from broker.formats.lookup_line import LookupLine


class LookupSource(Protocol):
    """Where lookups come from."""

    def check(self) -> int:
        """How many lookups there are. Raises `LookupFileError`."""

    def read(self) -> Iterator[LookupLine]:
        """The lookups, from the beginning."""


@dataclass(frozen=True, slots=True)
class Single:
    """A single lookup, as a file of one."""

    subject_type: SubjectType
    number: str
    name: str

    def check(self) -> int:
        """See `LookupFile`."""
        return 1

    def read(self) -> Iterator[LookupLine]:
        """See `LookupFile`."""
        yield LookupLine("1", self.subject_type, self.number, self.name)


@dataclass(slots=True)
class Run:
    """One run of the command. State: the lookups in progress."""

    count: int
    """Lookups, including those that are done."""
    source: LookupSource
    done: Done
    output: Output
    in_progress: dict[int, tuple[int, LookupLine]] = field(default_factory=dict)
    """By their position in the investigation: their position in the file, and their line."""
    totals: Totals | None = None
    signer: RequestSigner | None = None
    receipts: Path | None = None
    """A folder for the broker's receipts, which exists."""

    async def investigate(self, connection: Connection, mandate: Mandate, terms: Terms) -> Totals:
        """Asks, and prints. Raises `ClientError` after the last report."""
        async with (
            Client(connection.address, credentials=connection.credentials, signer=self.signer) as client,
            client.investigate(mandate, self._open_lookups(), terms) as investigation,
        ):
            try:
                with progress(self.count - self.done.count) as advance:
                    async with aclosing(investigation.messages()) as messages:
                        async for reports in messages:
                            advance(self._print(reports))
            finally:
                self.totals = investigation.totals
                if investigation.totals.inquiries or not self.count - self.done.count:
                    self.output.finish(investigation.totals)
                self._keep(investigation.receipts)  # last: if they cannot be kept, the answers are out
            return investigation.totals

    def _keep(self, receipts: Sequence[Receipt]) -> None:
        """Writes receipts into their folder. They are unique: by log and index."""
        if self.receipts is not None:
            for receipt in receipts:
                name = f"{receipt.log.replace('/', '_')}-{receipt.index}.tlog-proof"
                (self.receipts / name).write_text(receipt.text, encoding="utf-8")

    def _open_lookups(self) -> Iterator[Lookup]:
        """The lookups to ask."""
        asked = 0
        for position, line in enumerate(self.source.read()):
            if not self.done.check(position, line):
                self.in_progress[asked] = position, line
                asked += 1
                yield line.lookup()

    def _print(self, reports: Sequence[Report]) -> int:
        """Prints reports with their positions in the file. Returns how many lookups they conclude."""
        before = len(self.in_progress)
        reported = []
        for report in reports:
            asked = report.position
            position, line = self.in_progress.pop(asked) if report.final else self.in_progress[asked]
            if position != asked:
                report.position = position
            reported.append((report, line))
        self.output.take(reported)
        return before - len(self.in_progress)


@without_traceback()
def run_to_exit(run: Run, investigate: Callable[[], Totals]) -> Exit:
    """The exit code of a run. Ends the program with a message if it failed."""
    try:
        totals = investigate()
    except ClientError as error:
        fail_because(error)
    except ResumeError as error:
        fail(f"--output: {error}", Exit.USAGE)
    except LookupFileError as error:  # it was valid when it was checked
        fail(f"the lookups have changed while they were read: {error}", Exit.USAGE)
    except KeyboardInterrupt:
        answered = run.totals.lookups if run.totals else 0
        left = run.count - run.done.count - answered
        fail(f"interrupted: {left:,} lookups have no report; --output with --resume goes on", Exit.INTERRUPTED)
    # For the broker, an INVALID lookup is settled. The caller has to correct it, so the exit code says "partial".
    has_invalid = run.done.has_invalid or Outcome.INVALID in totals.outcomes
    return Exit.COMPLETE if totals.complete and not has_invalid else Exit.PARTIAL
