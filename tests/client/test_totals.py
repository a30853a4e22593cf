"""Totals over reports."""

from broker.client.totals import TotalsCounter
from broker.model import Outcome, Source
from broker.v1 import investigation_pb2 as pb


def report(*answers: pb.Answer, final: bool = True, complete: bool = True) -> pb.Report:
    return pb.Report(final=final, complete=complete, answers=answers)


def answer(institution: str, outcome: Outcome, source: Source = Source.INSTITUTION) -> pb.Answer:
    return pb.Answer(institution_id=institution, outcome=int(outcome), source=int(source))  # type: ignore[arg-type]


def test_answers_are_counted_by_outcome_and_source() -> None:
    count = TotalsCounter()
    count.add(report(answer("bank", Outcome.FOUND), final=False))
    count.add(report(answer("cars", Outcome.NOT_FOUND, Source.CACHE)))
    totals = count.totals(whole=True)
    assert (totals.lookups, totals.inquiries, totals.complete) == (1, 2, True)
    assert totals.outcomes == {Outcome.FOUND: 1, Outcome.NOT_FOUND: 1}
    assert totals.sources == {Source.INSTITUTION: 1, Source.CACHE: 1}
    assert not count.totals(whole=False).complete


def test_institutions_without_an_answer_are_named() -> None:
    count = TotalsCounter()
    count.add(report(answer("bank", Outcome.UNAVAILABLE), answer("cars", Outcome.TIMED_OUT), complete=False))
    count.add(report(answer("", Outcome.TIMED_OUT, Source.BROKER), complete=False))  # it was never sent
    totals = count.totals(whole=True)
    assert totals.unavailable == {"bank", "cars"}
    assert not totals.complete
