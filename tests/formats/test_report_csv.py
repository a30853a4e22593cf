"""Reports as CSV: the rows, and cells that are safe in a spreadsheet."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.report_csv import HEADER, csv_row, csv_rows
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2))
def test_a_row_is_read_as_it_was_written(cells: list[str]) -> None:
    harmless = [f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in cells]
    assert parsed(csv_row(cells) + "\n") == [harmless]


def report() -> pb.Report:
    made = pb.Report(ref="r1", final=True)
    made.warnings.add(reason="BAD_CHECK_DIGIT", field="property.vehicle_vin", message="differs")
    found = made.answers.add(institution_id="bank", outcome="OUTCOME_FOUND", source="SOURCE_CACHE", found_as="甲")
    found.observed_at.seconds = 1_700_000_000
    for number in ("1", "2"):
        asset = found.assets.add()
        asset.account.account_number = number * 60
        asset.holders.add(name="乙, 丙")
    made.answers.add(institution_id="land", outcome="OUTCOME_NOT_FOUND", source="SOURCE_INSTITUTION")
    problem = inquiry_pb2.Problem(reason="FAILED", message="=1+1")
    made.answers.add(institution_id="cars", outcome="OUTCOME_UNAVAILABLE", source="SOURCE_BROKER", problem=problem)
    return made


def test_one_row_per_warning_asset_and_answer() -> None:
    rows = parsed(csv_rows(report(), ("r1", "123", "李四"), ("急",), holders=True))
    assert {len(row) for row in rows} == {len(HEADER) + 1}
    assert {(*row[:3], row[-1]) for row in rows} == {("r1", "123", "李四", "急")}
    account = ("account", "available; held by 乙, 丙", "found as 甲", "cache", "2023-11-14 22:13:20Z")
    assert [row[3:5] for row in rows] == [
        ["", "WARNING"],
        ["bank", "FOUND"],
        ["bank", "FOUND"],
        ["land", "NOT_FOUND"],
        ["cars", "UNAVAILABLE"],
    ]
    assert rows[1][5].endswith(account[1])
    assert rows[1][6:9] == list(account[2:])
    assert rows[3][5:9] == ["", "", "institution", ""]
    assert rows[4][6] == "FAILED: =1+1"


@pytest.mark.parametrize("holders", [True, False])
def test_a_short_answer_names_holders_only_if_asked_to(holders: bool) -> None:
    made = pb.Report(ref="r1")
    made.answers.add(institution_id="cars", outcome="OUTCOME_FOUND", source="SOURCE_CACHE").assets.add().holders.add(
        name="甲"
    )
    assert ("甲" in csv_rows(made, ("r1", "1", ""), (), holders=holders)) == holders
