"""What makes many rows whole at a time is written a part at a time, and each lookup is reported once."""

from broker.core.planning.merge import AnswerTable
from broker.core.planning.report_stream import ReportStream
from broker.core.wire import encoding
from broker.investigation.account import Account
from broker.investigation.row_reports import RowReports
from broker.model import Outcome, Source
from broker.v1 import investigation_pb2 as pb

COLUMNS = 500
"""Four lookups are as much as one step writes."""


class Request:
    """Rows of a request at many institutions, of which all but the last have answered."""

    def __init__(self, rows: int) -> None:
        names = [f"institution-{column:04}" for column in range(COLUMNS)]
        content = encoding.content(Outcome.NOT_FOUND)
        self.segments = [encoding.make_segments(name, [content], Source.INSTITUTION)[0] for name in names]
        self.account = Account({name: column for column, name in enumerate(names)})
        self.stream = ReportStream(lambda: None)
        self.table = AnswerTable(self.account.tally)
        self.table.add([[*self.segments[:-1], None] for _ in range(rows)], range(rows))
        heads = [encoding.text_field(1, str(position)) for position in range(rows + 1)]
        writer = encoding.ReportWriter(heads)
        self.reports = RowReports(self.table, writer, self.account, self.stream.open_producer(), incremental=False)

    def answer(self, rows: range) -> None:
        segments = [self.segments[-1]] * len(rows)
        outcomes = bytes([Outcome.NOT_FOUND]) * len(rows)
        whole = self.table.take(COLUMNS - 1, rows, segments=segments, outcomes=outcomes, source=Source.INSTITUTION)
        self.reports.take(rows, segments, whole)

    def written(self) -> list[int]:
        reports = pb.InvestigateResponse.FromString(b"".join(self.stream.take())).reports
        assert all(report.final and len(report.answers) == COLUMNS for report in reports)
        return [report.position for report in reports]


def test_what_one_step_can_write_is_written_at_once() -> None:
    request = Request(4)
    request.answer(range(4))
    assert not request.reports.due
    assert request.written() == [0, 1, 2, 3]


def test_more_is_written_a_part_at_a_time() -> None:
    request = Request(10)
    request.reports.sealed = True
    request.answer(range(9))
    request.answer(range(9, 10))
    parts = []
    while request.reports.due:
        request.reports.write_some()
        parts.append(request.written())
    assert parts == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert request.account.reported == 10


def test_a_lookup_that_repeats_a_row_which_is_due_is_reported_with_it() -> None:
    request = Request(9)
    request.answer(range(9))
    is_whole = request.table.repeat(8, 9)
    assert is_whole
    request.reports.repeat(8, 9, is_whole=True)
    positions = []
    while request.reports.due:
        request.reports.write_some()
        positions += request.written()
    assert sorted(positions) == list(range(10))
    assert request.account.reported == 10


def test_what_is_due_when_the_stream_ends_early_was_counted_and_not_reported() -> None:
    request = Request(9)
    request.answer(range(9))
    request.reports.write_some()
    unreported = pb.InvestigateResponse.FromString(request.reports.unreported()).reports
    assert sorted(report.position for report in unreported) == [4, 5, 6, 7, 8]
