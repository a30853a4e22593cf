"""Checks kept messages of the replay and of the interactive benchmark against what the mocks must have answered."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.answer_check import CheckResult, add_up, is_correct
from benchmarks.lookup_encoder import EncodedRequest
from benchmarks.testbed import FOUR
from broker.model import KINDS_ASKED, SubjectType
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population
from mock_institutions.records import SUBJECT_TYPES
from mock_institutions.registry import Institution

_NAMES = dict(enumerate(SUBJECT_TYPES, start=1))
"""The mocks' names of subject types, by number."""


class _Subject(NamedTuple):
    type: SubjectType
    number: str
    name: str


class ExpectedAnswers:
    """What the four institutions must answer about numbered subjects."""

    def __init__(self, seed: int, lookup: Callable[[int], pb.Lookup]) -> None:
        """`lookup`: given a subject's number, the lookup about it."""
        self._population = Population(seed)
        self._lookup = lookup
        mocks = config.load()
        self._institutions = [mocks.find(name).institution for name in FOUR]

    def check(self, request: EncodedRequest, messages: Sequence[bytes]) -> CheckResult:
        """Recomputes all answers in the messages that came back to a request.

        An answer is wrong if it differs, if it is missing in its report, or if that institution was not to be asked.
        All answers of a report about none of the request's lookups are wrong. Missing reports count as lost, not here.
        """
        reports = [report for message in messages for report in pb.InvestigateResponse.FromString(message).reports]
        return add_up(self._report(request, report) for report in reports)

    def _report(self, request: EncodedRequest, report: pb.Report) -> CheckResult:
        received = {answer.institution_id: answer for answer in report.answers}
        if report.position >= len(request.subjects) or report.ref != f"{request.subjects[report.position]:x}":
            return CheckResult(1, checked=len(received), wrong=len(received))
        subject = self._subject(request.subjects[report.position])
        asked = self._asked(subject.type)
        wrong = sum(one.id not in received or not self._is_correct(received[one.id], one, subject) for one in asked)
        surplus = len(report.answers) - len(received.keys() & {one.id for one in asked})
        return CheckResult(1, checked=len(asked), wrong=wrong + surplus)

    def _asked(self, subject_type: SubjectType) -> list[Institution]:
        kinds = {kind.name.lower() for kind in KINDS_ASKED[subject_type]}
        return [one for one in self._institutions if one.kind in kinds]

    def _is_correct(self, answer: pb.Answer, institution: Institution, subject: _Subject) -> bool:
        columns = [_NAMES[subject.type]], [subject.number], [subject.name]
        (expected,) = self._population.encoded_answers(institution, *columns)
        return is_correct(answer, expected)

    def _subject(self, number: int) -> _Subject:
        lookup = self._lookup(number)
        if lookup.HasField("person"):
            return _Subject(SubjectType(lookup.person.document_type), lookup.person.document_number, lookup.person.name)
        if lookup.HasField("organization"):
            return _Subject(SubjectType.ORGANIZATION_CODE, lookup.organization.code, lookup.organization.name)
        field = lookup.property.WhichOneof("number") or ""
        return _Subject(SubjectType[field.upper()], getattr(lookup.property, field), "")
