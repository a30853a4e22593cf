"""What is spliced as bytes parses to the same message as one built honestly."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.wire import encoding
from broker.model import Outcome, Problem, Source
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=64)
outcomes = st.sampled_from(Outcome)
sources = st.sampled_from(Source)
texts = st.text(max_size=40)
problems = st.none() | st.builds(Problem, texts, texts, texts)
moments = st.integers(0, 2**35)
assets = st.lists(
    st.builds(
        lambda number, size: asset_pb2.Asset(account=asset_pb2.Account(account_number=number, branch="行" * size)),
        texts,
        # Around the sizes at which a length takes one byte more.
        st.sampled_from([0, 1, 30, 40, 41, 42, 5_400, 5_460, 5_470]),
    ),
    max_size=3,
)
answers = st.tuples(ids, outcomes, moments, problems, assets, sources)
AnswerParts = tuple[str, Outcome, int, Problem | None, list[asset_pb2.Asset], Source]


def built(parts: AnswerParts) -> pb.Answer:
    """The answer as protobuf builds it."""
    institution_id, outcome, observed_at, problem, owned, source = parts
    answer = pb.Answer(
        institution_id=institution_id, outcome=f"OUTCOME_{outcome.name}", source=f"SOURCE_{source.name}", assets=owned
    )
    if observed_at:
        answer.observed_at.seconds = observed_at
    if problem:
        answer.problem.reason, answer.problem.field, answer.problem.message = problem
        answer.problem.SetInParent()
    return answer


def spliced(parts: AnswerParts) -> bytes:
    """The segment as the broker makes it."""
    institution_id, outcome, observed_at, problem, owned, source = parts
    content = encoding.content(outcome, observed_at=observed_at, problem=problem)
    content += pb.Answer(assets=owned).SerializeToString()
    (segment,) = encoding.make_segments(institution_id, [content], source)
    return segment


@given(st.integers(0, 2**63 - 1))
def test_a_varint_is_protobufs(value: int) -> None:
    assert asset_pb2.SecuritiesHolding.FromString(b"\x20" + encoding.varint(value)).quantity == value


@given(st.integers(0, 2**14 - 1), st.binary(max_size=3))
def test_a_length_is_read_as_it_was_written(size: int, before: bytes) -> None:
    length = encoding.varint(size)
    assert encoding.length_at(before + length + b"?", len(before)) == (size, len(before) + len(length))


@given(answers)
def test_a_segment_is_the_answer(parts: AnswerParts) -> None:
    assert pb.Report.FromString(spliced(parts)) == pb.Report(answers=[built(parts)])


@given(answers)
def test_a_segment_tells_what_it_is(parts: AnswerParts) -> None:
    segment = spliced(parts)
    assert encoding.institution_of(segment) == parts[0].encode()
    assert encoding.outcome_of(segment) == parts[1]
    assert segment[-1] == parts[5]


@given(answers, sources)
def test_only_the_source_changes(parts: AnswerParts, source: Source) -> None:
    (segment,) = encoding.with_source([spliced(parts)], source)
    assert segment == spliced((*parts[:5], source))


@given(ids, st.lists(st.binary(max_size=20), max_size=5), sources)
def test_sealing_many_is_sealing_each(institution_id: str, contents: list[bytes], source: Source) -> None:
    one_by_one = [
        segment for content in contents for segment in encoding.make_segments(institution_id, [content], source)
    ]
    assert encoding.make_segments(institution_id, contents, source) == one_by_one


def test_equal_answers_share_a_segment() -> None:
    nothing = encoding.content(Outcome.NOT_FOUND)
    first, second = encoding.with_source(
        encoding.make_segments("bank", [nothing, bytes(bytearray(nothing))], Source.CACHE), Source.FLIGHT
    )
    assert first is second


refs = st.lists(st.text(max_size=64), min_size=1, max_size=5)
flags = st.sampled_from([(False, False), (True, False), (True, True)])


def encoded(final_and_complete: tuple[bool, bool]) -> bytes:
    """The same flags as the broker writes them."""
    final, complete = final_and_complete
    return (encoding.FINAL if final else b"") + (encoding.COMPLETE if complete else b"")


def heads(refs: list[str]) -> list[bytes]:
    return [encoding.text_field(1, ref) for ref in refs]


@given(refs, st.data(), st.lists(answers, max_size=3), flags)
def test_a_report_is_the_report(
    refs: list[str], data: st.DataObject, told: list[AnswerParts], flags: tuple[bool, bool]
) -> None:
    position = data.draw(st.integers(0, len(refs) - 1))
    report = encoding.ReportWriter(heads(refs)).report(position, encoded(flags), b"".join(map(spliced, told)))
    final, complete = flags
    honest = pb.Report(
        ref=refs[position], position=position, final=final, complete=complete, answers=[built(parts) for parts in told]
    )
    assert pb.InvestigateResponse.FromString(report) == pb.InvestigateResponse(reports=[honest])


@given(refs, st.lists(answers, max_size=3), flags)
def test_many_reports_are_each_report(refs: list[str], told: list[AnswerParts], flags: tuple[bool, bool]) -> None:
    writer = encoding.ReportWriter(heads(refs))
    positions = list(reversed(range(len(refs))))
    bodies = [b"".join(map(spliced, told[:length])) for length in range(len(refs))]
    one_by_one = [writer.report(p, encoded(flags), body) for p, body in zip(positions, bodies, strict=True)]
    parse = pb.InvestigateResponse.FromString
    assert list(map(parse, writer.reports(positions, encoded(flags), bodies))) == list(map(parse, one_by_one))


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_positions_and_bodies_of_any_length(position: int, size: int) -> None:
    writer = encoding.ReportWriter([b""] * 20_001)
    (segment,) = encoding.make_segments(
        "bank", [encoding.content(Outcome.REFUSED, problem=Problem("", "", "x" * size))], Source.CACHE
    )
    for report in (writer.report(position, b"", segment), *writer.reports([position], b"", [segment])):
        (parsed,) = pb.InvestigateResponse.FromString(report).reports
        assert parsed.position == position
        assert len(parsed.answers) == 1


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=40), st.integers(1, 80))
def test_messages_lose_nothing_and_keep_to_the_limit(reports: list[bytes], limit: int) -> None:
    messages = list(encoding.messages(reports, limit))
    assert b"".join(messages) == b"".join(reports)
    assert all(len(message) <= limit or message in reports for message in messages)
    assert all(messages), "an empty message says nothing"


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=40), st.integers(1, 80))
def test_messages_are_filled_before_they_are_sent(reports: list[bytes], limit: int) -> None:
    expected: list[bytes] = []
    for report in reports:
        if expected and len(expected[-1]) + len(report) <= limit:
            expected[-1] += report
        else:
            expected.append(report)
    assert list(encoding.messages(reports, limit)) == expected


def test_messages_split_where_the_limit_is() -> None:
    assert list(encoding.messages([b"aaa", b"bb", b"c", b"dddddd", b"e"], 5)) == [b"aaabb", b"c", b"dddddd", b"e"]


@given(texts, st.integers(1, 15))
def test_a_text_field_is_left_out_when_empty(text: str, number: int) -> None:
    field = encoding.text_field(number, text)
    assert (field == b"") == (text == "")
    if number == 1:
        assert pb.Report.FromString(field).ref == text


@given(texts, texts, texts, st.integers(0, 20_000))
def test_a_warning_is_protobufs_and_may_stand_before_the_position(
    reason: str, field: str, message: str, position: int
) -> None:
    head = encoding.text_field(1, "ref") + encoding.warning(Problem(reason, field, message))
    writer = encoding.ReportWriter({position: head})
    (report,) = pb.InvestigateResponse.FromString(writer.report(position, encoding.FINAL, b"")).reports
    assert (report.ref, report.position, report.final) == ("ref", position, True)
    assert [(one.reason, one.field, one.message) for one in report.warnings] == [(reason, field, message)]
