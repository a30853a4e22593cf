"""Which answers are right: the mocks', and a baseline's."""

from pathlib import Path

import pytest

from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from loadtest.people import ListedPeople, SyntheticPeople
from loadtest.truth import Baseline, BaselineError, MockTruth, Truth, UnknownTruth
from mock_institutions import config
from mock_institutions.population import Lookup, Population
from mock_institutions.protobuf_dialect import fill

LOOKUP = Lookup("1", "RESIDENT_ID", "14141319510112380X", "方勇浩")
FOUND = pb.Answer(
    institution_id="land",
    outcome=inquiry_pb2.OUTCOME_FOUND,
    assets=[asset_pb2.Asset(real_estate_unit=asset_pb2.RealEstateUnit(location="北京"))],
)
NOT_FOUND = pb.Answer(institution_id="land", outcome=inquiry_pb2.OUTCOME_NOT_FOUND)


def test_the_mocks_answers_are_recomputed() -> None:
    bank = config.load().find("mock-bank").institution
    answer = pb.Answer(institution_id="mock-bank")
    fill(answer, Population(1).answer(bank, LOOKUP.type, LOOKUP.number, LOOKUP.name))
    assert MockTruth(1).check(LOOKUP, answer) is True
    del answer.assets[:]
    answer.outcome = inquiry_pb2.OUTCOME_FOUND
    assert MockTruth(1).check(LOOKUP, answer) is False


@pytest.mark.parametrize("truth", [MockTruth(1), UnknownTruth(), Baseline.new()])
def test_of_an_unknown_institution_nothing_is_known(truth: Truth) -> None:
    assert truth.check(LOOKUP, FOUND) is None


def test_a_baseline_knows_what_it_was_taught(tmp_path: Path) -> None:
    baseline = Baseline.new()
    baseline.learn(LOOKUP, FOUND)
    baseline.write(tmp_path / "baseline.json")
    read = Baseline.read(tmp_path / "baseline.json")
    later = pb.Answer()
    later.CopyFrom(FOUND)
    later.source = pb.SOURCE_CACHE
    later.observed_at.GetCurrentTime()
    assert len(read) == 1
    assert read.check(LOOKUP, later) is True
    assert read.check(LOOKUP, NOT_FOUND) is False
    assert read.check(LOOKUP._replace(name="方浩勇"), FOUND) is None


def test_a_baseline_tells_nothing(tmp_path: Path) -> None:
    baseline = Baseline.new()
    baseline.learn(LOOKUP, FOUND)
    baseline.write(tmp_path / "baseline.json")
    text = (tmp_path / "baseline.json").read_text(encoding="utf-8")
    assert LOOKUP.number not in text
    assert LOOKUP.name not in text
    assert "land" not in text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"salt": "xy", "answers": {}}', '{"salt": "00", "answers": 1}'])
def test_what_is_no_baseline_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match="is not a baseline: record one"):
        Baseline.read(tmp_path / "baseline.json")


def test_people_are_new_in_each_run() -> None:
    one, other = SyntheticPeople(1, None), SyntheticPeople(1, None)
    assert not {person.number for person in one.new(50)} & {person.number for person in other.new(50)}


def test_people_can_be_the_same_in_each_run_and_differ_between_processes() -> None:
    assert SyntheticPeople(1, 7).new(5) == SyntheticPeople(1, 7).new(5)
    assert SyntheticPeople(1, 7, process=1).new(5) != SyntheticPeople(1, 7).new(5)


def test_known_people_recur() -> None:
    people = SyntheticPeople(1, 7)
    known = {person.number for _ in range(40) for person in people.known(200)}
    assert len(known) <= 2000


def test_listed_people_are_asked_about_however_many_are_wanted() -> None:
    people = ListedPeople([LOOKUP])
    assert people.known(3) == people.new(3) == [LOOKUP] * 3
