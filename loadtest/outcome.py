"""Judges the reports of one request. Pure.

A request fails if any of its answers is missing, wrong, or no fact (FOUND or NOT_FOUND): an institution that is down
must not pass a load test. Faults are named without refs, subjects or times, so that equal faults are counted together.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions.population import Lookup

FACTS = frozenset({"FOUND", "NOT_FOUND"})
OUTCOMES = tuple(name.removeprefix("OUTCOME_") for name, number in inquiry_pb2.Outcome.items() if number)
MISSING = "MISSING"
"""Counted for an institution that should have answered and did not."""
WRONG = "WRONG"
"""Counted for an answer that differs from the truth."""

Check = Callable[[Lookup, pb.Answer], bool | None]
"""Whether an answer is right; None if that is not known."""


@dataclass(slots=True)
class Verdict:
    """What one request came to."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Answers by institution and outcome; MISSING and WRONG count as outcomes."""
    checked: int = 0
    """Answers that were compared with the truth."""
    faults: Counter[str] = field(default_factory=Counter)

    def count(self, institution: str, outcome: str, fault: str = "") -> None:
        """Counts an answer, and its fault if it has one."""
        self.answers[institution, outcome] += 1
        if fault:
            self.faults[fault] += 1


def judge(
    lookups: Sequence[Lookup],
    reports: Sequence[pb.Report],
    expected: Collection[str],
    check: Check,
    allowed: Collection[str] = FACTS,
) -> Verdict:
    """Judges the reports on a request's lookups.

    `expected`: the ids of the institutions that have to answer each lookup. `allowed`: the outcomes that are no faults.
    """
    verdict = Verdict()
    seen = Counter(report.position for report in reports)
    for position, count in seen.items():
        if count > 1 or position >= len(lookups):
            verdict.faults["surplus report"] += 1
    for position in range(len(lookups)):
        if not seen[position]:
            verdict.faults["missing report"] += 1
            for institution in expected:
                verdict.count(institution, MISSING)
    for report in reports:
        if report.position < len(lookups):
            _judge_report(verdict, lookups[report.position], report, expected, check, allowed)
    return verdict


def _judge_report(
    verdict: Verdict,
    lookup: Lookup,
    report: pb.Report,
    expected: Collection[str],
    check: Check,
    allowed: Collection[str],
) -> None:
    if report.ref != lookup.ref:
        verdict.faults["a report has the ref of another lookup"] += 1
        return
    by_institution = {answer.institution_id: answer for answer in report.answers}
    if len(by_institution) < len(report.answers):
        verdict.faults["an institution answered twice"] += 1
    for institution in expected:
        if institution not in by_institution:
            verdict.count(institution, MISSING, f"{institution}: no answer in the report")
    for institution, answer in by_institution.items():
        _judge_answer(verdict, lookup, institution, answer, check, allowed)


def _judge_answer(
    verdict: Verdict, lookup: Lookup, institution: str, answer: Any, check: Check, allowed: Collection[str]
) -> None:
    outcome = inquiry_pb2.Outcome.Name(answer.outcome).removeprefix("OUTCOME_")
    name = institution or "the broker"
    if outcome not in allowed:
        verdict.count(institution, outcome, " ".join(filter(None, (f"{name}:", outcome, answer.problem.reason))))
        return
    right = check(lookup, answer) if outcome in FACTS else None
    verdict.checked += right is not None
    if right is False:
        verdict.count(institution, WRONG, f"{name}: wrong answer")
    else:
        verdict.count(institution, outcome)
