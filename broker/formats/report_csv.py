"""Reports as CSV: one row per asset, or per answer without assets, or per warning. For spreadsheets."""

from collections.abc import Iterator, Mapping, Sequence

from broker.client import Outcome, Source
from broker.formats.tables import as_of, asset_line, problem_line
from broker.v1 import investigation_pb2 as pb

HEADER = ("ref", "number", "name", "institution", "outcome", "asset", "explanation", "source", "as of")
"""The columns that every file has. Columns of the lookups' own file come after them."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_rows(
    report: pb.Report, *, number: str, name: str, extra: Mapping[str, str], extra_columns: Sequence[str], holders: bool
) -> Iterator[list[str]]:
    """The rows of a report. `holders`: whether assets name their holders, as for a property lookup."""
    head = [report.ref, number, name]
    tail = [extra.get(column, "") for column in extra_columns]
    for warning in report.warnings:
        yield _cells([*head, "", "WARNING", "", problem_line(warning), "", ""], tail)
    for answer in report.answers:
        body = [answer.institution_id, Outcome(answer.outcome).name]
        explanation = f"found as {answer.found_as}" if answer.found_as else ""
        if answer.HasField("problem"):
            explanation = problem_line(answer.problem)
        rest = [explanation, Source(answer.source).name.lower(), as_of(answer)]
        for asset in [asset_line(one, holders=holders) for one in answer.assets] or [""]:
            yield _cells([*head, *body, asset, *rest], tail)


def _cells(cells: Sequence[str], tail: Sequence[str]) -> list[str]:
    return [_harmless(cell) for cell in (*cells, *tail)]


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (CWE-1236), as text that came from elsewhere might be."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
