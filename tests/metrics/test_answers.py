"""Answers are added up by institution, outcome and source, whichever institutions a request asked."""

from prometheus_client import CollectorRegistry

from broker.core.planning.tally import Tally
from broker.institutions.stub import stub_spec
from broker.metrics.answers import AnswerCounts
from broker.model import Outcome, Source

BANK, VEHICLES, LAND = map(stub_spec, ("bank", "vehicles", "land"))


def tally(*columns: tuple[Outcome, ...]) -> Tally:
    made = Tally(len(columns))
    for column, outcomes in enumerate(columns):
        made.add(column, bytes(outcomes), Source.INSTITUTION)
    return made


def test_answers_add_up() -> None:
    counts, registry = AnswerCounts(), CollectorRegistry()
    registry.register(counts)
    counts.add([BANK, VEHICLES], tally((Outcome.FOUND, Outcome.FOUND), (Outcome.NOT_FOUND,)))
    counts.add([LAND, BANK], tally((Outcome.FOUND,), (Outcome.FOUND, Outcome.UNAVAILABLE)))
    counts.add([VEHICLES], tally(()))
    samples = [one for family in registry.collect() for one in family.samples]
    assert {one.name for one in samples} == {"broker_inquiries_total"}
    assert {(one.labels["institution"], one.labels["outcome"], one.labels["source"]): one.value for one in samples} == {
        ("bank", "FOUND", "INSTITUTION"): 3,
        ("bank", "UNAVAILABLE", "INSTITUTION"): 1,
        ("land", "FOUND", "INSTITUTION"): 1,
        ("vehicles", "NOT_FOUND", "INSTITUTION"): 1,
    }


def test_nothing_was_answered_yet() -> None:
    (family,) = AnswerCounts().collect()
    assert family.name == "broker_inquiries"
    assert family.samples == []
