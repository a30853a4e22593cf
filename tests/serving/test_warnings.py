"""Warnings about lookups: in every report, wherever its answers come from, and in no other."""

import pytest

from broker.core.planning.ownership import Ownership
from broker.institutions.stub import OBSERVED_AT
from broker.peers.client import Peers
from broker.store.memory import MemoryStore
from broker.v1 import investigation_pb2 as pb
from tests.serving.parts import ACCOUNTS, message
from tests.serving.test_pipeline import Gone, Terse, responses

DOUBTFUL = [f"62148310{number:08}" for number in range(1, 12) if number != 7]
"""As long as cards, and without their check digit, which 7 would be."""
MANY = [*ACCOUNTS[:20], *DOUBTFUL, *ACCOUNTS[20:40]]
WARNED = range(20, 30)


def store() -> MemoryStore:
    return MemoryStore(lambda: OBSERVED_AT)


def warned(said: list[pb.InvestigateResponse]) -> dict[int, list[list[tuple[str, str]]]]:
    """Reason and field of the warnings of each report that has any, by position."""
    found: dict[int, list[list[tuple[str, str]]]] = {}
    for report in (report for each in said for report in each.reports):
        warnings = [(warning.reason, warning.field) for warning in report.warnings]
        assert all(warning.message for warning in report.warnings)
        if warnings:
            found.setdefault(report.position, []).append(warnings)
    return found


EACH_ONCE = {position: [[("BAD_CHECK_DIGIT", "property.bank_account")]] for position in WARNED}


@pytest.mark.parametrize("peers", [Peers(), Terse(), Gone()], ids=["alone", "a peer", "a peer that is gone"])
def test_doubtful_lookups_are_answered_with_a_warning(peers: Peers) -> None:
    assert peers.ownership in {Ownership(0, 1), Ownership(0, 2)}
    said = responses(message(MANY), store(), peers=peers)
    assert warned(said) == EACH_ONCE
    assert said[-1].summary.complete
    assert said[-1].summary.inquiries == len(MANY)


def test_what_comes_from_the_cache_has_its_warning_too() -> None:
    filled = store()
    responses(message(MANY), filled)
    said = responses(message(MANY), filled)
    assert warned(said) == EACH_ONCE
    assert {answer.source for each in said for report in each.reports for answer in report.answers} == {pb.SOURCE_CACHE}


@pytest.mark.parametrize("seconds", [10.0, -0.01], ids=["in time", "too late"])
def test_every_increment_repeats_the_warning(seconds: float) -> None:
    said = responses(message(MANY, delivery=pb.DELIVERY_INCREMENTAL), store(), seconds=seconds)
    reports = [report for each in said for report in each.reports]
    assert all(bool(report.warnings) is (report.position in WARNED) for report in reports)
    assert set(warned(said)) == set(WARNED)


def test_repeats_of_a_doubtful_lookup_are_warned_about_too() -> None:
    said = responses(message([DOUBTFUL[0]] * 3), store())
    assert list(warned(said)) == [0, 1, 2]


def test_an_invalid_lookup_has_no_warning() -> None:
    request = message([DOUBTFUL[0], ACCOUNTS[0]])
    request.lookups[0].ref = ""
    said = responses(request, store())
    assert warned(said) == {}


def test_a_warning_does_not_hide_that_a_ref_is_shared() -> None:
    request = message([DOUBTFUL[0], ACCOUNTS[0], DOUBTFUL[1]])
    for lookup in request.lookups:
        lookup.ref = "shared"
    said = responses(request, store())
    reasons = [answer.problem.reason for each in said for report in each.reports for answer in report.answers]
    assert reasons == ["DUPLICATE_REF"] * 3
    assert warned(said) == {}
