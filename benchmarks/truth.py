"""Recomputes what was answered: whole messages, against what the mocks must say, once the clock has stopped."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from benchmarks.pool import Request
from benchmarks.stage import FOUR
from benchmarks.traffic import is_right
from broker.model import KINDS_ASKED, SubjectType
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population
from mock_institutions.records import SUBJECT_TYPES
from mock_institutions.registry import Institution

_NAMES = dict(enumerate(SUBJECT_TYPES, start=1))
"""The mocks' names of subject types, by number."""


class Verdict(NamedTuple):
    """Answers recomputed, and how many of them were wrong."""

    checked: int
    wrong: int


def total(verdicts: Iterable[Verdict]) -> Verdict:
    """All of them together."""
    checked, wrong = 0, 0
    for verdict in verdicts:
        checked, wrong = checked + verdict.checked, wrong + verdict.wrong
    return Verdict(checked, wrong)


class _Subject(NamedTuple):
    type: SubjectType
    number: str
    name: str


class Truth:
    """What the four institutions must say about subjects."""

    def __init__(self, seed: int, lookup: Callable[[int], pb.Lookup]) -> None:
        """`lookup`: how a subject was asked about, by its ordinal."""
        self._population = Population(seed)
        self._lookup = lookup
        mocks = config.load()
        self._institutions = [mocks.find(name).institution for name in FOUR]

    def check(self, request: Request, messages: Sequence[bytes]) -> Verdict:
        """Recomputes all answers in the messages that came back to a request.

        Wrong is an answer that differs, is missing in its report, or was not asked for; of a report that is about none
        of the request's lookups, all. Reports that are missing altogether are lost, not wrong.
        """
        reports = [report for message in messages for report in pb.InvestigateResponse.FromString(message).reports]
        return total(self._report(request, report) for report in reports)

    def _report(self, request: Request, report: pb.Report) -> Verdict:
        said = {answer.institution_id: answer for answer in report.answers}
        if report.position >= len(request.subjects) or report.ref != f"{request.subjects[report.position]:x}":
            return Verdict(len(said), len(said))
        subject = self._subject(request.subjects[report.position])
        asked = self._asked(subject.type)
        wrong = sum(one.id not in said or not self._is_right(said[one.id], one, subject) for one in asked)
        return Verdict(len(asked), wrong + len(report.answers) - len(said.keys() & {one.id for one in asked}))

    def _asked(self, subject_type: SubjectType) -> list[Institution]:
        kinds = {kind.name.lower() for kind in KINDS_ASKED[subject_type]}
        return [one for one in self._institutions if one.kind in kinds]

    def _is_right(self, answer: pb.Answer, institution: Institution, subject: _Subject) -> bool:
        columns = [_NAMES[subject.type]], [subject.number], [subject.name]
        (truth,) = self._population.encoded_answers(institution, *columns)
        return is_right(answer, truth)

    def _subject(self, ordinal: int) -> _Subject:
        lookup = self._lookup(ordinal)
        if lookup.HasField("person"):
            return _Subject(SubjectType(lookup.person.document_type), lookup.person.document_number, lookup.person.name)
        if lookup.HasField("organization"):
            return _Subject(SubjectType.ORGANIZATION_CODE, lookup.organization.code, lookup.organization.name)
        field = lookup.property.WhichOneof("number") or ""
        return _Subject(SubjectType[field.upper()], getattr(lookup.property, field), "")
