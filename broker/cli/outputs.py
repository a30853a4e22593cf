"""Where `broker investigate` puts its reports: a table, CSV, or JSON Lines.

Each output takes reports with the lines of their lookups, as they arrive, so that memory does not grow with the run.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Protocol, TextIO

import click
import msgspec

from broker.client import Outcome, Report, Totals
from broker.formats.lookup_line import LookupLine
from broker.formats.report_csv import HEADER, csv_row, csv_rows
from broker.formats.report_json import report_line
from broker.formats.tables import Shown, columns_for, console, reports_table, totals_line
from broker.model import PROPERTY_TYPES

_MAX_SHOWN = 100  # lookups in a table; the other outputs have all

Reported = tuple[Report, LookupLine]
"""A report, and the line of its lookup."""


class Output(Protocol):
    """Prints reports."""

    def take(self, reported: Sequence[Reported]) -> None:
        """Takes reports when they arrive."""

    def finish(self, totals: Totals) -> None:
        """Takes the totals, after the last report."""


class JsonLines:
    """One JSON object per report, then one with the totals. Other columns of the lookup's line are its `input`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def take(self, reported: Sequence[Reported]) -> None:
        """See `Output`."""
        self._stream.write(b"".join([report_line(report, line.extra) for report, line in reported]))

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        plain = {
            "lookups": totals.lookups,
            "inquiries": totals.inquiries,
            "outcomes": {outcome.name: count for outcome, count in totals.outcomes.items()},
            "sources": {source.name: count for source, count in totals.sources.items()},
            "unavailable_institution_ids": sorted(totals.unavailable),
            "complete": totals.complete,
        }
        self._stream.write(msgspec.json.encode({"totals": plain}) + b"\n")
        self._stream.flush()


class CsvTable:
    """CSV with a header. State: the columns of the lookups' file, which follow ours."""

    def __init__(self, stream: TextIO, extra_columns: Sequence[str]) -> None:
        self._stream = stream
        self._extra_columns = extra_columns
        self._stream.write(csv_row([*HEADER, *extra_columns]) + "\n")

    def take(self, reported: Sequence[Reported]) -> None:
        """See `Output`."""
        self._stream.write("".join([self._rows(report, line) for report, line in reported]))

    def _rows(self, report: Report, line: LookupLine) -> str:
        tail = [line.extra.get(column, "") for column in self._extra_columns]
        holders = line.subject_type in PROPERTY_TYPES
        return csv_rows(report, (report.ref, line.number, line.name), tail, holders=holders)

    def finish(self, totals: Totals) -> None:  # noqa: ARG002 - a table has no totals
        """See `Output`."""
        self._stream.flush()


class ReportTable:
    """A table in the order of the lookups, then a line with the totals. State: the reports to show."""

    def __init__(self, count: int, columns: Sequence[str] = ()) -> None:
        """`count`: of lookups. `columns`: by default, those that fit into the terminal."""
        self._columns = columns
        self._shown: dict[int, Shown] = {}
        self._left_out = max(0, count - _MAX_SHOWN)

    def take(self, reported: Sequence[Reported]) -> None:
        """See `Output`."""
        for report, line in reported:
            if report.position < _MAX_SHOWN:
                new = Shown(Report(), line.number, line.name, is_property=line.subject_type in PROPERTY_TYPES)
                self._shown.setdefault(report.position, new).report.MergeFrom(report)

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        screen = console()
        if self._shown:
            shown = [self._shown[position] for position in sorted(self._shown)]
            screen.print(reports_table(shown, self._columns or columns_for(screen.width)))
            screen.print()
        if self._left_out:
            screen.print(f"{self._left_out:,} more lookups are not shown; --format csv or json has all", style="dim")
        screen.print(totals_line(totals), markup=False)


class Only:
    """Passes on what was asked for, to another output. Totals count everything."""

    def __init__(self, output: Output, outcomes: Iterable[Outcome]) -> None:
        self._output = output
        self._outcomes: frozenset[int] = frozenset(outcomes)

    def take(self, reported: Sequence[Reported]) -> None:
        """See `Output`."""
        self._output.take([one for one in reported if self._has_wanted(one[0])])

    def _has_wanted(self, report: Report) -> bool:
        """Whether anything is left of a report without the answers that were not asked for, which are removed."""
        wanted = [answer for answer in report.answers if answer.outcome in self._outcomes]
        if len(wanted) < len(report.answers):
            del report.answers[:]
            report.answers.extend(wanted)
        return bool(wanted)

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        self._output.finish(totals)


class TotalsLine:
    """Prints the totals in one line, after an output that went into a file."""

    def __init__(self, output: Output, close: Callable[[], None]) -> None:
        """`close` ends the file."""
        self._output = output
        self._close = close

    def take(self, reported: Sequence[Reported]) -> None:
        """See `Output`."""
        self._output.take(reported)

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        self._output.finish(totals)
        self._close()
        click.echo(totals_line(totals))
