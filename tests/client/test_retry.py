"""When to call again: tables of failures and pauses."""

import pytest

from broker.client.errors import BrokerUnavailableError
from broker.client.retry import Attempts, Outage

MOST = 1 - 2**-53


def failure(code: str = "UNAVAILABLE", retry_after: float | None = None) -> BrokerUnavailableError:
    return BrokerUnavailableError("as scripted", code, retry_after)


def test_pauses_grow_to_a_maximum() -> None:
    attempts = Attempts(lambda: MOST)
    pauses = [attempts.pause_after(failure()) for _ in range(8)]
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5])


def test_pauses_are_jittered_down_to_nothing() -> None:
    attempts = Attempts(lambda: 0.0)
    assert [attempts.pause_after(failure()) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(("random", "pause"), [(0.0, 10), (0.5, 11), (MOST, 12)])
def test_a_delay_that_the_broker_named_is_kept(random: float, pause: float) -> None:
    assert Attempts(lambda: random).pause_after(failure("RESOURCE_EXHAUSTED", 10)) == pytest.approx(pause)


def test_progress_begins_anew() -> None:
    attempts = Attempts(lambda: MOST)
    for _ in range(6):
        attempts.pause_after(failure())
    attempts.progressed()
    assert attempts.pause_after(failure()) == pytest.approx(0.2)


@pytest.mark.parametrize("code", ["INTERNAL", "DATA_LOSS", "UNKNOWN"])
def test_what_looks_permanent_is_repeated_four_times(code: str) -> None:
    attempts = Attempts(lambda: MOST)
    assert [attempts.pause_after(failure(code)) is None for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED", "DEADLINE_EXCEEDED"])
def test_what_a_restart_causes_is_repeated_without_end(code: str) -> None:
    attempts = Attempts(lambda: MOST)
    assert all(attempts.pause_after(failure(code)) is not None for _ in range(10_000))


def test_an_outage_is_the_time_since_the_first_failure_without_a_report() -> None:
    outage = Outage(20.0)
    assert not outage.is_over_limit(began=0.0, now=100.0), "it was open for long"
    assert not outage.is_over_limit(began=101.0, now=119.9)
    assert outage.is_over_limit(began=119.9, now=120.0)
    outage.progressed()
    assert not outage.is_over_limit(began=120.0, now=121.0)
    assert outage.is_over_limit(began=140.0, now=141.0)


def test_a_call_that_was_open_for_long_was_at_a_broker_that_lived() -> None:
    outage = Outage(20.0)
    assert not outage.is_over_limit(began=0.0, now=1.0)
    assert not outage.is_over_limit(began=1.0, now=301.0)
    assert not outage.is_over_limit(began=302.0, now=320.9)
    assert outage.is_over_limit(began=320.9, now=321.0)


def test_so_is_one_that_still_is_open() -> None:
    """One batch waits for a slow institution, while another is refused because the broker has no room."""
    outage = Outage(20.0)
    outage.called(0.0)
    assert not any(outage.is_over_limit(began=now, now=now) for now in (61.0, 121.0, 1_000.0))
    outage.ended(0.0)
    assert not outage.is_over_limit(began=1_019.0, now=1_019.0)
    assert outage.is_over_limit(began=1_020.0, now=1_020.0)


def test_no_outage_at_all_may_be_allowed() -> None:
    assert Outage(0.0).is_over_limit(began=0.0, now=0.0)
