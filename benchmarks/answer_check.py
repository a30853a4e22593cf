"""Recomputes answers from the mocks' seed, and compares what the broker said with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Lookup, Population


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Reports received, answers recomputed, and how many of these were wrong."""

    reports: int = 0
    checked: int = 0
    wrong: int = 0


def add_up(results: Iterable[CheckResult]) -> CheckResult:
    """The sum of several."""
    reports = checked = wrong = 0
    for each in results:
        reports, checked, wrong = reports + each.reports, checked + each.checked, wrong + each.wrong
    return CheckResult(reports, checked, wrong)


class AnswerChecker:
    """Checks reports on sampled persons, institution by institution."""

    def __init__(
        self, seed: int, lookups: Sequence[Lookup], institutions: Sequence[str], mocks: config.Config | None = None
    ) -> None:
        """`mocks`: the configuration of the institutions; default: their default one."""
        self._population = Population(seed)
        self._by_ref = {lookup.ref: lookup for lookup in lookups}
        mocks = mocks or config.load()
        self._institutions = {name: mocks.find(name).institution for name in institutions}

    def check(self, messages: Iterable[bytes], *, every: int = 1) -> CheckResult:
        """Recomputes the answers in messages: those of all reports, or of one report in `every` of each message."""
        reports = wrong = checked = 0
        for body in messages:
            received = pb.InvestigateResponse.FromString(body).reports
            chosen = received[::every]
            reports += len(received)
            checked += len(chosen) * len(self._institutions)
            wrong += self._wrong(chosen)
        return CheckResult(reports, checked, wrong)

    def _wrong(self, reports: Sequence[pb.Report]) -> int:
        """How many answers of reports are wrong; a missing or surplus answer is wrong, too."""
        lookups = [self._by_ref[report.ref] for report in reports]
        types = [lookup.type for lookup in lookups]
        numbers, names = [lookup.number for lookup in lookups], [lookup.name for lookup in lookups]
        received = [{answer.institution_id: answer for answer in report.answers} for report in reports]
        wrong = sum(
            len(report.answers) - len(self._institutions.keys() & one)
            for report, one in zip(reports, received, strict=True)
        )
        for name, institution in self._institutions.items():
            expected = self._population.encoded_answers(institution, types, numbers, names)
            answers = [one.get(name) for one in received]
            wrong += sum(not is_correct(answer, one) for answer, one in zip(answers, expected, strict=True))
        return wrong


def is_correct(answer: pb.Answer | None, expected: bytes) -> bool:
    """Whether an answer has the expected content, whenever it was observed and whatever its source is."""
    if answer is None:
        return False
    wanted = pb.Answer.FromString(expected)
    wanted.institution_id, wanted.source = answer.institution_id, answer.source
    if answer.HasField("observed_at"):
        wanted.observed_at.CopyFrom(answer.observed_at)
    return wanted == answer
