"""Formats reports as tables for a terminal. Text from institutions is never interpreted as markup or control codes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from google.type import money_pb2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker.client import Outcome, Source, Totals
from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb

_STYLES = {
    Outcome.FOUND: "bold green",
    Outcome.NOT_FOUND: "dim",
    Outcome.REFUSED: "magenta",
    Outcome.INVALID: "magenta",
    Outcome.UNAVAILABLE: "bold red",
    Outcome.TIMED_OUT: "bold red",
    Outcome.PENDING: "yellow",
}
_MAX_ASSETS = 6
"""The number of assets shown per answer. `--json` prints all."""


def console(*, stderr: bool = False) -> Console:
    """The console for tables. If it is not a terminal, its width is enough for one line per answer."""
    screen = Console(stderr=stderr, highlight=False)
    return screen if screen.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def _text(text: str) -> Text:
    """Text from elsewhere, without control characters."""
    return Text("".join([character if character.isprintable() else "\ufffd" for character in text]))


def table(*columns: str, title: str = "") -> Table:
    """An empty table in the style of all tables. Only the column *what* is wrapped: a broken number is a wrong one."""
    made = Table(title=title or None, title_justify="left", box=None, header_style="bold cyan", pad_edge=False)
    for column in columns:
        if column == "what":
            made.add_column(column, overflow="fold", min_width=_MIN_WHAT, ratio=1)
        else:
            made.add_column(column, no_wrap=True, overflow="ellipsis" if column in _MAY_BE_CUT else "fold")
    return made


_MIN_WHAT = 30  # characters: the longest number has 28
_MAY_BE_CUT = frozenset({"name", "institution"})

COLUMNS = ("ref", "number", "name", "institution", "outcome", "what", "source", "as of")
"""All columns of a table of reports."""
_WIDTHS = {"number": 20, "as of": 21, "source": 12, "name": 12}
"""Characters that a column needs, in the order in which columns are left out of a narrow terminal."""
_ALWAYS = 80  # characters for the columns that are never left out


def columns_for(width: int) -> tuple[str, ...]:
    """The columns that fit into so many characters."""
    left_out: list[str] = []
    needed = _ALWAYS + sum(_WIDTHS.values())
    for column, size in _WIDTHS.items():
        if needed > width:
            left_out.append(column)
            needed -= size
    return tuple(column for column in COLUMNS if column not in left_out)


@dataclass(frozen=True, slots=True)
class Shown:
    """A report to show, and what its lookup asked."""

    report: pb.Report
    number: str = ""
    name: str = ""
    is_property: bool = False
    """Answers show the holders."""


def reports_table(shown: Iterable[Shown], columns: Sequence[str] = ("ref", *COLUMNS[3:])) -> Table:
    """One row per warning and per answer."""
    made = table(*columns)
    for one in shown:
        cells = {"ref": _text(one.report.ref), "number": _text(one.number), "name": _text(one.name)}
        for line in dict.fromkeys(map(problem_line, one.report.warnings)):  # joined increments have them several times
            cells |= {"outcome": Text("warning", "bold yellow"), "what": _text(line)}
            made.add_row(*(cells.get(column, Text()) for column in columns))
            cells = {}  # what was asked, only in the first row of a report
        for answer in sorted(one.report.answers, key=lambda answer: answer.institution_id):
            cells |= dict(zip(COLUMNS[3:], answer_cells(answer, holders=one.is_property), strict=True))
            made.add_row(*(cells.get(column, Text()) for column in columns))
            cells = {}
    return made


def answer_cells(answer: pb.Answer, *, holders: bool = False) -> list[Text]:
    """The cells of an answer: institution, outcome, content, source, and time of observation."""
    outcome = Outcome(answer.outcome)
    return [
        _text(answer.institution_id),
        Text(outcome.name, _STYLES[outcome]),
        Text("\n").join(_text(line) for line in _lines(answer, holders=holders)),
        Text(Source(answer.source).name.lower()),
        Text(as_of(answer), "dim"),
    ]


def as_of(answer: pb.Answer) -> str:
    """When an answer was observed; empty if that is not known."""
    return _moment(answer.observed_at.seconds) if answer.HasField("observed_at") else ""


@lru_cache(maxsize=4096)  # most answers of a run are of the same minutes
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _lines(answer: pb.Answer, *, holders: bool) -> Sequence[str]:
    if answer.HasField("problem"):
        return [problem_line(answer.problem)]
    lines = [f"found as {answer.found_as}"] if answer.found_as else []
    lines += [asset_line(asset, holders=holders) for asset in answer.assets[:_MAX_ASSETS]]
    more = len(answer.assets) - _MAX_ASSETS
    return [*lines, f"and {more} more"] if more > 0 else lines


def problem_line(problem: inquiry_pb2.Problem) -> str:
    """A problem in one line."""
    return " ".join(part for part in (f"{problem.reason}:", problem.field, problem.message) if part)


def asset_line(asset: asset_pb2.Asset, *, holders: bool = False) -> str:
    """An asset in one line: what it is, its holders (if asked for, or several), and the measures already in force."""
    parts = [_details(asset)]
    if holders or len(asset.holders) > 1:
        parts.append("held by " + ", ".join(f"{one.name} {one.share}".strip() for one in asset.holders))
    parts += [_measure(measure) for measure in asset.measures]
    return "; ".join(parts)


def _details(asset: asset_pb2.Asset) -> str:
    match asset.WhichOneof("details"):
        case "account":
            account = asset.account
            return f"{account.category} {account.account_number}: {_money(account.available_balance)} available"
        case "vehicle":
            vehicle = asset.vehicle
            return f"{vehicle.plate} {vehicle.model}" + (", mortgaged" if vehicle.mortgaged else "")
        case "holding":
            holding = asset.holding
            return f"{holding.quantity:,} × {holding.security_name}: {_money(holding.market_value)}"
        case "real_estate_unit":
            unit = asset.real_estate_unit
            return f"{unit.location}, {unit.area_square_metres.value} m²"
        case _:
            return "an asset of a kind this program does not know"


def _measure(measure: asset_pb2.JudicialMeasure) -> str:
    name = asset_pb2.MeasureType.Name(measure.type).removeprefix("MEASURE_TYPE_").replace("_", " ").lower()
    amount = f" of {_money(measure.amount)}" if measure.HasField("amount") else ""
    return f"{name}{amount} by {measure.authority}"


def _money(money: money_pb2.Money) -> str:
    amount = Decimal(money.units) + Decimal(money.nanos).scaleb(-9)
    return f"{money.currency_code} {amount:,.2f}"


def institutions_table(institutions: Iterable[pb.Institution]) -> Table:
    """One row per institution."""
    made = table("id", "name", "kind", "reached by courts of", "health")
    for one in institutions:
        health = pb.InstitutionHealth.Name(one.health).removeprefix("INSTITUTION_HEALTH_").lower()
        kind = pb.InstitutionKind.Name(one.kind).removeprefix("INSTITUTION_KIND_").replace("_", " ").lower()
        style = "green" if one.health == pb.INSTITUTION_HEALTH_SERVING else "bold red"
        where = Text(one.region or "the whole country", "bold yellow" if one.region else "")
        made.add_row(_text(one.id), _text(one.display_name), kind, where, Text(health, style))
    return made


def totals_line(totals: Totals) -> str:
    """The totals in one line."""
    outcomes = ", ".join(f"{totals.outcomes[one]:,} {one.name}" for one in Outcome if one in totals.outcomes)
    sources = ", ".join(f"{totals.sources[one]:,} {one.name.lower()}" for one in Source if one in totals.sources)
    lookups, inquiries = (
        _counted(totals.lookups, "lookup", "lookups"),
        _counted(totals.inquiries, "inquiry", "inquiries"),
    )
    line = f"{lookups}, {inquiries}: {outcomes or 'no answers'}"
    if sources:
        line += f" (from: {sources})"
    if totals.unavailable:
        line += f"; incomplete at {', '.join(sorted(totals.unavailable))}"
    return line


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
