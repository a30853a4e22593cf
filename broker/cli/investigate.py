"""`broker investigate`: sends a file of lookups, or one lookup, and prints the reports."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click
import msgspec
from google.protobuf.json_format import MessageToJson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from broker.cli.exits import EXIT_CODES, Exit, fail, fail_because
from broker.cli.explore import broker_option
from broker.client import Client, ClientError, Kind, Lookup, Mandate, Outcome, Report, Terms, Totals, lookup
from broker.formats.lookup_file import TYPES, LookupFileError, parse_type, read_lookups
from broker.formats.tables import console, reports_table, totals_line

_MAX_SHOWN = 100  # lookups in the table; --json prints all
_MIN_PROGRESS = 500  # lookups; fewer are answered before a progress bar would be of use
_KINDS = {kind.name.lower().replace("_", "-"): kind for kind in Kind}


class Output(Protocol):
    """Prints reports."""

    def take(self, report: Report) -> None:
        """Takes a report when it arrives."""

    def finish(self, totals: Totals) -> None:
        """Takes the totals, after the last report."""


class JsonLines:
    """Prints one JSON object per report at once, then one with the totals."""

    def take(self, report: Report) -> None:
        """See `Output`."""
        click.echo(MessageToJson(report, preserving_proto_field_name=True, indent=None, ensure_ascii=False))

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
        click.echo(msgspec.json.encode({"totals": plain}).decode())


class ReportTable:
    """Prints a table in the order of the lookups, then a line with the totals."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self._things = frozenset(one.ref for one in lookups if one.HasField("property"))
        self._shown: dict[int, Report] = {}
        self._left_out = max(0, len(lookups) - _MAX_SHOWN)

    def take(self, report: Report) -> None:
        """See `Output`."""
        if report.position < _MAX_SHOWN:
            self._shown.setdefault(report.position, Report()).MergeFrom(report)

    def finish(self, totals: Totals) -> None:
        """See `Output`."""
        screen = console()
        if self._shown:
            screen.print(reports_table([self._shown[position] for position in sorted(self._shown)], self._things))
            screen.print()
        if self._left_out:
            screen.print(f"{self._left_out:,} more lookups are not shown; --json prints all", style="dim")
        screen.print(totals_line(totals), markup=False)


@click.command(epilog=EXIT_CODES)
@click.argument("file", required=False, type=click.File(encoding="utf-8"))
@click.option("--court", required=True, metavar="CODE", help="The enforcing court: 最高法, 京, 京01 or 京0101.")
@click.option("--officer", required=True, help="The enforcing officer: name or work-permit number.")
@click.option("--case", required=True, metavar="NUMBER", help="The case number. It must be a case of the same court.")
@click.option("--document", required=True, help="The legal document that authorises the inquiry.")
@click.option("--type", "subject_type", help=f"Type of a single lookup: {TYPES}.")
@click.option("--number", help="Number of a single lookup.")
@click.option("--name", help="Name of a single lookup, if it is about a person or organisation.")
@click.option(
    "--institution", "institutions", multiple=True, metavar="ID", help="Ask only this institution. Repeatable."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(list(_KINDS)),
    help="Ask only institutions of this kind. Repeatable.",
)
@click.option(
    "--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Accept cached answers up to this age; 0: none."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of the whole command. Inquiries without an answer by then are reported as TIMED_OUT.",
)
@click.option("--bulk", is_flag=True, help="Give way to interactive requests.")
@click.option(
    "--incremental", is_flag=True, help="With --json: print answers as they arrive, in several reports per lookup."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines: each report when it arrives, then the totals.")
@broker_option
def investigate(file: Any, address: str, *, as_json: bool, **given: Any) -> None:
    """Ask what debtors own, or who holds a property.

    FILE contains the lookups as CSV or JSON Lines, with the columns ref, type, number and name; - is standard input.
    The default ref is line-3 on the third line.

    Without FILE, the options --type, --number and --name specify a single lookup. Other users of this machine can see
    the arguments of a running command, so use a file where that matters.

    \b
    A batch:
      broker investigate --court 京0101 --officer 王法官 --case （2026）京0101执1号 \\
          --document 协助查询通知书1号 debtors.csv
    One debtor, with JSON output:
      broker investigate --court 京0101 --officer 王法官 --case （2026）京0101执1号 \\
          --document 协助查询通知书1号 --type RESIDENT_ID --number 14141319510112380X --name 方勇浩 --json
    The holder of a vehicle:
      broker investigate ... --type VEHICLE_PLATE --number 晋BA1211A

    \b
    debtors.csv:
      ref,type,number,name
      1,RESIDENT_ID,14141319510112380X,方勇浩
      2,ORGANIZATION_CODE,91110712MA3830049G,南京远博贸易有限公司
    """  # noqa: D301 - click reads the backspaces
    if bool(file) == bool(given["subject_type"] or given["number"]):
        raise click.UsageError("give either a FILE, or --type and --number of a single lookup")
    if given["incremental"] and not as_json:
        raise click.UsageError("--incremental requires --json: a table shows complete reports only")
    lookups = _read(file) if file else [_one_lookup(given)]
    mandate = Mandate(
        court_code=given["court"],
        officer=given["officer"],
        case_number=given["case"],
        legal_document=given["document"],
    )
    terms = Terms(
        institutions=given["institutions"],
        kinds=tuple(_KINDS[kind] for kind in given["kinds"]),
        max_age=given["max_age"],
        timeout=given["timeout"],
        bulk=given["bulk"],
        incremental=given["incremental"],
    )
    output: Output = JsonLines() if as_json else ReportTable(lookups)
    try:
        totals = asyncio.run(_investigate(address, mandate, lookups, terms, output))
    except ClientError as error:
        fail_because(error)
    # For the broker, an INVALID lookup is settled. The caller has to correct it, so the exit code says "partial".
    sys.exit(Exit.COMPLETE if totals.complete and Outcome.INVALID not in totals.outcomes else Exit.PARTIAL)


def _read(file: Any) -> list[Lookup]:
    try:
        return read_lookups(file)
    except LookupFileError as error:
        fail(f"{file.name}: {error}", Exit.USAGE)


def _one_lookup(given: dict[str, Any]) -> Lookup:
    if not (given["subject_type"] and given["number"]):
        raise click.UsageError("a single lookup needs both --type and --number")
    try:
        subject_type = parse_type(given["subject_type"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--type") from None
    return lookup("1", subject_type, given["number"], given["name"] or "")


async def _investigate(
    address: str, mandate: Mandate, lookups: Sequence[Lookup], terms: Terms, output: Output
) -> Totals:
    async with Client(address) as client, client.investigate(mandate, lookups, terms) as investigation:
        try:
            with _progress(len(lookups)) as advance:
                async for report in investigation:
                    output.take(report)
                    if report.final:
                        advance()
        finally:
            if investigation.totals.inquiries:
                output.finish(investigation.totals)
        return investigation.totals


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """Shows a progress bar on a terminal, if there are many lookups. Yields a function that advances it by one."""
    screen = console(stderr=True)
    columns = (TextColumn("investigating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal or count < _MIN_PROGRESS
    ) as bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)
