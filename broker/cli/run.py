"""One run of `broker investigate`: lookups from a file to a broker, reports to an output.

Lookups are read while reports are written, so that memory does not grow with the run.
"""

import contextlib
import os
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from broker.cli.exits import Exit, fail, fail_because
from broker.cli.outputs import Output
from broker.cli.progress import progress
from broker.cli.resume import Done, ResumeError
from broker.client import Client, ClientError, Lookup, Mandate, Outcome, SubjectType, Terms, Totals, lookup
from broker.formats.lookup_file import LookupLine


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
        yield LookupLine(lookup("1", self.subject_type, self.number, self.name), self.number, self.name)


@dataclass(slots=True)
class Run:
    """One run of the command. State: the rows of the lookups in progress, by position."""

    count: int
    """Lookups, including those that are done."""
    source: LookupSource
    done: Done
    output: Output
    in_progress: dict[int, LookupLine] = field(default_factory=dict)
    totals: Totals | None = None

    async def investigate(self, address: str, mandate: Mandate, terms: Terms) -> Totals:
        """Asks, and prints. Raises `ClientError` after the last report."""
        positions = array("Q")
        async with (
            Client(address) as client,
            client.investigate(mandate, self._open_lookups(positions), terms) as investigation,
        ):
            try:
                with progress(self.count - self.done.count) as advance:
                    async for report in investigation:
                        report.position = positions[report.position]
                        row = (
                            self.in_progress.pop(report.position) if report.final else self.in_progress[report.position]
                        )
                        final = report.final
                        self.output.take(report, row)
                        if final:
                            advance()
            finally:
                self.totals = investigation.totals
                if investigation.totals.inquiries or not self.count - self.done.count:
                    self.output.finish(investigation.totals)
            return investigation.totals

    def _open_lookups(self, positions: "array[int]") -> Iterator[Lookup]:
        """The lookups to ask. Notes the position of each in the file."""
        for position, row in enumerate(self.source.read()):
            if not self.done.check(position, row):
                positions.append(position)
                self.in_progress[position] = row
                yield row.lookup


def run_to_exit(run: Run, investigate: Callable[[], Totals]) -> Exit:
    """The exit code of a run. Ends the program with a message if it failed."""
    try:
        totals = investigate()
    except ClientError as error:
        fail_because(error)
    except ResumeError as error:
        fail(f"--output: {error}", Exit.USAGE)
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # Python would flush once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except OSError as error:
        fail(f"the output cannot be written: {error.strerror}", Exit.USAGE)
    except KeyboardInterrupt:
        answered = run.totals.lookups if run.totals else 0
        left = run.count - run.done.count - answered
        fail(f"interrupted: {left:,} lookups have no report; --output with --resume goes on", Exit.INTERRUPTED)
    # For the broker, an INVALID lookup is settled. The caller has to correct it, so the exit code says "partial".
    has_invalid = run.done.has_invalid or Outcome.INVALID in totals.outcomes
    return Exit.COMPLETE if totals.complete and not has_invalid else Exit.PARTIAL
