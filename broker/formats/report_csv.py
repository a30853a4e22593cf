"""Reports as CSV: one row per asset, or per answer without assets, or per warning. For spreadsheets."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from broker.client import Outcome, Report, Source
from broker.formats.encoded_report import CACHED, MAX_SHORT, encoded
from broker.formats.tables import as_of, asset_line, problem_line
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb

HEADER = ("ref", "number", "name", "institution", "outcome", "asset", "explanation", "source", "as of")
"""The columns that every file has. Columns of the lookups' own file come after them."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OUTCOMES: dict[int, str] = {outcome: outcome.name for outcome in Outcome}
_SOURCES: dict[int, str] = {source: source.name.lower() for source in Source}
_special = re.compile(r'[,"\r\n]').search


def csv_row(cells: Iterable[str]) -> str:
    """Cells as a row without its end. No spreadsheet takes any of them for a formula (CWE-1236)."""
    return ",".join(map(_cell, cells))


def _cell(cell: str) -> str:
    if cell.isalnum():  # nearly all
        return cell
    if cell.startswith(_FORMULA):
        cell = f"'{cell}"
    return '"' + cell.replace('"', '""') + '"' if _special(cell) else cell


def csv_rows(report: Report, head: Sequence[str], tail: Sequence[str], *, holders: bool) -> str:
    """The rows of a report.

    `head`: the first three cells of each row. `tail`: those after the ones in `HEADER`. `holders`: whether assets name
    their holders, as for a property lookup.
    """
    bodies = [_warning(warning) for warning in report.warnings]
    for data in encoded(report).answers:
        bodies += _short(data, holders) if len(data) <= MAX_SHORT else _bodies(data, holders)
    begin = csv_row(head)
    end = f",{csv_row(tail)}" if tail else ""
    return "".join([f"{begin},{body}{end}\n" for body in bodies])


def _warning(warning: inquiry_pb2.Problem) -> str:
    return csv_row(["", "WARNING", "", problem_line(warning), "", ""])


def _bodies(data: bytes, holders: bool) -> list[str]:  # noqa: FBT001 - the cache below takes positions
    """The cells of an encoded answer, from the institution on, in as many rows as it has assets."""
    answer = pb.Answer.FromString(data)
    explanation = f"found as {answer.found_as}" if answer.found_as else ""
    if answer.HasField("problem"):
        explanation = problem_line(answer.problem)
    begin = f"{_cell(answer.institution_id)},{_OUTCOMES[answer.outcome]}"
    end = f"{_cell(explanation)},{_SOURCES[answer.source]},{as_of(answer)}"
    assets = [asset_line(one, holders=holders) for one in answer.assets] or [""]
    return [f"{begin},{_cell(asset)},{end}" for asset in assets]


_short = lru_cache(maxsize=CACHED)(_bodies)
