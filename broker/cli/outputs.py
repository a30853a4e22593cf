"""Where `broker investigate` puts its reports: a table, CSV, or JSON Lines.

Each output takes a report with the row of its lookup, when it arrives, so that memory does not grow with the run.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, Protocol, TextIO

import click
import msgspec

from broker.client import Outcome, Report, Totals
from broker.formats.lookup_file import LookupLine
from broker.formats.report_csv import HEADER, csv_rows
from broker.formats.report_json import to_json
from broker.formats.tables import Shown, columns_for, console, reports_table, totals_line

_MAX_SHOWN = 100  # lookups in a table; the other outputs have all


class Output(Protocol):
    """Prints reports."""

    def take(self, report: Report, row: LookupLine) -> None:
        """Takes a report when it arrives."""

    def finish(self, totals: Totals) -> None:
        """Takes the totals, after the last report."""


class JsonLines:
    """One JSON object per report, then one with the totals. Other columns of the lookup's line are its `input`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def take(self, report: Report, row: LookupLine) -> None:
        """See `Output`."""
        more: dict[str, Any] = {"input": row.extra} if row.extra else {}
        self._stream.write(to_json(report, **more) + b"\n")

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
        self._writer = csv.writer(stream, lineterminator="\n")
        self._extra_columns = extra_columns
        self._writer.writerow([*HEADER, *extra_columns])

    def take(self, report: Report, row: LookupLine) -> None:
        """See `Output`."""
        self._writer.writerows(
            csv_rows(
                report,
                number=row.number,
                name=row.name,
                extra=row.extra,
                extra_columns=self._extra_columns,
                holders=row.lookup.HasField("property"),
            )
        )

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

    def take(self, report: Report, row: LookupLine) -> None:
        """See `Output`."""
        if report.position < _MAX_SHOWN:
            new = Shown(Report(), row.number, row.name, is_property=row.lookup.HasField("property"))
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

    def take(self, report: Report, row: LookupLine) -> None:
        """See `Output`."""
        wanted = [answer for answer in report.answers if answer.outcome in self._outcomes]
        if wanted:
            if len(wanted) < len(report.answers):
                del report.answers[:]
                report.answers.extend(wanted)
            self._output.take(report, row)

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        self._output.finish(totals)


class TotalsLine:
    """Prints the totals in one line, after an output that went into a file."""

    def __init__(self, output: Output, close: Callable[[], None]) -> None:
        """`close` ends the file."""
        self._output = output
        self._close = close

    def take(self, report: Report, row: LookupLine) -> None:
        """See `Output`."""
        self._output.take(report, row)

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        self._output.finish(totals)
        self._close()
        click.echo(totals_line(totals))
