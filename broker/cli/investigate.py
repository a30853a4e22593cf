"""`broker investigate`: a file of lookups, or one lookup, asked from a terminal or a script."""

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

_MOST_SHOWN = 100  # lookups in the table; who wants more reads JSON
_LONG = 500  # lookups from which on a progress bar is worth its flicker; fewer are done in a blink
_KINDS = {kind.name.lower().replace("_", "-"): kind for kind in Kind}


class Show(Protocol):
    """Where reports go."""

    def take(self, report: Report) -> None:
        """Takes a report as it comes."""

    def finish(self, totals: Totals) -> None:
        """Nothing more will come."""


class JsonLines:
    """One JSON object per report, at once; then one with the totals."""

    def take(self, report: Report) -> None:
        """See `Show`."""
        click.echo(MessageToJson(report, preserving_proto_field_name=True, indent=None, ensure_ascii=False))

    def finish(self, totals: Totals) -> None:
        """See `Show`."""
        plain = {
            "lookups": totals.lookups,
            "inquiries": totals.inquiries,
            "outcomes": {outcome.name: count for outcome, count in totals.outcomes.items()},
            "sources": {source.name: count for source, count in totals.sources.items()},
            "unavailable_institution_ids": sorted(totals.unavailable),
            "complete": totals.complete,
        }
        click.echo(msgspec.json.encode({"totals": plain}).decode())


class Sheet:
    """A table in the order of the lookups, and the totals in a line."""

    def __init__(self, lookups: Sequence[Lookup]) -> None:
        self._things = frozenset(one.ref for one in lookups if one.HasField("property"))
        self._shown: dict[int, Report] = {}
        self._left_out = max(0, len(lookups) - _MOST_SHOWN)

    def take(self, report: Report) -> None:
        """See `Show`."""
        if report.position < _MOST_SHOWN:
            self._shown.setdefault(report.position, Report()).MergeFrom(report)

    def finish(self, totals: Totals) -> None:
        """See `Show`."""
        screen = console()
        if self._shown:
            screen.print(reports_table([self._shown[place] for place in sorted(self._shown)], self._things))
            screen.print()
        if self._left_out:
            screen.print(f"{self._left_out:,} more lookups are not shown; --json shows all", style="dim")
        screen.print(totals_line(totals), markup=False)


@click.command(epilog=EXIT_CODES)
@click.argument("file", required=False, type=click.File(encoding="utf-8"))
@click.option("--court", required=True, metavar="CODE", help="The enforcing court: 最高法, 京, 京01 or 京0101.")
@click.option("--officer", required=True, help="The enforcing officer, by name or work-permit number.")
@click.option("--case", required=True, metavar="NUMBER", help="Case number, of the same court.")
@click.option("--document", required=True, help="The legal document the inquiry rests on.")
@click.option("--type", "subject_type", help=f"Of the one lookup: {TYPES}.")
@click.option("--number", help="Of the one lookup.")
@click.option("--name", help="Of the one lookup, if it is about a person or organisation.")
@click.option("--institution", "institutions", multiple=True, metavar="ID", help="Ask only this one. Repeatable.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(_KINDS)), help="Ask only this kind. Repeatable.")
@click.option("--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Oldest cached answer; 0: ask anew.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For everything; what is not answered by then is reported as TIMED_OUT.",
)
@click.option("--bulk", is_flag=True, help="Give way to those who wait at a screen.")
@click.option(
    "--incremental", is_flag=True, help="With --json: print answers as they come, several reports per lookup."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines: each report as it comes, then the totals.")
@broker_option
def investigate(file: Any, address: str, *, as_json: bool, **given: Any) -> None:
    """Ask what debtors own, or who holds a thing.

    FILE holds the lookups, as CSV or JSON Lines with the columns ref, type, number and name; - is standard input. A
    ref left out becomes line-3 on the third line.
    Without FILE, --type, --number and --name make one lookup; while the command runs, other users of this machine can
    see its arguments, but not a file.

    \b
    A batch:
      broker investigate --court 京0101 --officer 王法官 --case （2026）京0101执1号 \\
          --document 协助查询通知书1号 debtors.csv
    One debtor, for a program:
      broker investigate --court 京0101 --officer 王法官 --case （2026）京0101执1号 \\
          --document 协助查询通知书1号 --type RESIDENT_ID --number 14141319510112380X --name 方勇浩 --json
    Who holds a vehicle:
      broker investigate ... --type VEHICLE_PLATE --number 晋BA1211A

    \b
    debtors.csv:
      ref,type,number,name
      1,RESIDENT_ID,14141319510112380X,方勇浩
      2,ORGANIZATION_CODE,91110712MA3830049G,南京远博贸易有限公司
    """  # noqa: D301 - click reads the backspaces
    if bool(file) == bool(given["subject_type"] or given["number"]):
        raise click.UsageError("give either a FILE of lookups, or --type and --number of one")
    if given["incremental"] and not as_json:
        raise click.UsageError("--incremental goes with --json: a table shows whole reports")
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
    show: Show = JsonLines() if as_json else Sheet(lookups)
    try:
        totals = asyncio.run(_investigate(address, mandate, lookups, terms, show))
    except ClientError as error:
        fail_because(error)
    # The broker has nothing left to do about an INVALID lookup, but whoever reads no more than the exit code has.
    sys.exit(Exit.COMPLETE if totals.complete and Outcome.INVALID not in totals.outcomes else Exit.PARTIAL)


def _read(file: Any) -> list[Lookup]:
    try:
        return read_lookups(file)
    except LookupFileError as error:
        fail(f"{file.name}: {error}", Exit.USAGE)


def _one_lookup(given: dict[str, Any]) -> Lookup:
    if not (given["subject_type"] and given["number"]):
        raise click.UsageError("one lookup needs both --type and --number")
    try:
        subject_type = parse_type(given["subject_type"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--type") from None
    return lookup("1", subject_type, given["number"], given["name"] or "")


async def _investigate(address: str, mandate: Mandate, lookups: Sequence[Lookup], terms: Terms, show: Show) -> Totals:
    async with Client(address) as client, client.investigate(mandate, lookups, terms) as investigation:
        try:
            with _progress(len(lookups)) as advance:
                async for report in investigation:
                    show.take(report)
                    if report.final:
                        advance()
        finally:
            if investigation.totals.inquiries:
                show.finish(investigation.totals)
        return investigation.totals


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, if the work is long; gives what moves it on by one lookup."""
    screen = console(stderr=True)
    columns = (TextColumn("investigating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal or count < _LONG) as bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)
