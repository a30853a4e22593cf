"""When a worker has to be killed: tables of what was heard, and when."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.runtime.watchdog import ALIVE_INTERVAL, CHECK_INTERVAL, Limits, Watchdog
from broker.runtime.worker_messages import Alive, Message, Progress, Ready

LIMITS = Limits(draining=30.0)
READY = Ready(1, "", "")
OPENING = Progress("opening the store", 600.0)
CLOSING = Progress("closing the store", 15.0)


def killed_at(
    heard: Sequence[tuple[float, Message]], *, told_to_stop: float | None = None, until: float = 1_000.0
) -> tuple[float, str] | None:
    """When a worker of which this was heard is killed, and why. It is looked at every second."""
    watchdog, ahead = Watchdog(LIMITS, 0.0), list(heard)
    now = 0.0
    while now <= until:
        while ahead and ahead[0][0] <= now:
            moment, message = ahead.pop(0)
            watchdog.hear(message, moment)
        if told_to_stop is not None and now >= told_to_stop:
            watchdog.told_to_stop(now)
        reason = watchdog.check(now)
        if reason is not None:
            return now, reason
        now += CHECK_INTERVAL
    return None


def beats(start: float, stop: float, interval: float = ALIVE_INTERVAL) -> list[tuple[float, Message]]:
    count = int((stop - start) / interval)
    return [(start + number * interval, Alive()) for number in range(1, count + 1)]


SILENT = "has shown no sign of life for"

CASES: list[tuple[str, list[tuple[float, Message]], float | None, tuple[float, str] | None]] = [
    ("never says anything", [], None, (60.0, f"{SILENT} 60 s while starting")),
    ("serves", [(2.0, READY), *beats(2.0, 1_000.0)], None, None),
    ("is late by two seconds each time", [(2.0, READY), *beats(2.0, 1_000.0, 3.0)], None, None),
    ("hangs once ready", [(2.0, READY)], None, (7.0, f"{SILENT} 5 s while serving")),
    ("hangs later", [(2.0, READY), *beats(2.0, 100.0)], None, (105.0, f"{SILENT} 5 s while serving")),
    ("opens the store for long", [(1.0, OPENING), (590.0, READY), *beats(590.0, 1_000.0)], None, None),
    ("hangs in opening the store", [(1.0, OPENING)], None, (601.0, f"{SILENT} 600 s while opening the store")),
    (
        "makes progress in opening the store",
        [*[(at, OPENING) for at in (1.0, 400.0, 800.0)], (999.0, READY)],
        None,
        None,
    ),
    ("hangs when told to stop", [(2.0, READY), *beats(2.0, 10.0)], 10.0, (15.0, f"{SILENT} 5 s while serving")),
    ("drains without end", [(2.0, READY), *beats(2.0, 999.0)], 10.0, (55.0, "has not stopped in time")),
    (
        "hangs in closing the store",
        [(2.0, READY), *beats(2.0, 12.0), (12.0, CLOSING)],
        10.0,
        (27.0, f"{SILENT} 15 s while closing the store"),
    ),
    ("hangs in starting when told to stop", [(1.0, OPENING)], 10.0, (15.0, "has not stopped in time")),
]


@pytest.mark.parametrize(("heard", "told_to_stop", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_when_it_is_killed(
    heard: list[tuple[float, Message]], told_to_stop: float | None, expected: tuple[float, str] | None
) -> None:
    assert killed_at(heard, told_to_stop=told_to_stop) == expected


def test_being_told_twice_gives_no_more_time() -> None:
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.hear(READY, 0.0)
    watchdog.hear(Progress("closing the store", 600.0), 0.0)
    for now in range(46):
        watchdog.told_to_stop(now)
        assert (watchdog.check(now) is None) == (now < 45), now


@given(st.floats(2.0, 1_000.0), st.floats(0.0, 3.0))
def test_time_in_which_the_supervisor_did_not_run_is_not_the_workers(stopped: float, silent: float) -> None:
    """It is stopped, or starved: what the worker sent meanwhile is read after the check."""
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.hear(READY, 0.0)
    assert watchdog.check(silent) is None
    assert watchdog.check(silent + CHECK_INTERVAL + stopped) is None
    watchdog.hear(Alive(), silent + CHECK_INTERVAL + stopped)
    assert watchdog.check(silent + 2 * CHECK_INTERVAL + stopped) is None


def test_a_worker_that_hangs_while_the_supervisor_is_stopped_is_killed_soon_after() -> None:
    watchdog = Watchdog(LIMITS, 0.0)
    watchdog.hear(READY, 0.0)
    assert watchdog.check(0.0) is None
    checks = [(now, watchdog.check(now)) for now in (100.0, 101.0, 102.0, 103.0, 104.0)]
    assert [now for now, reason in checks if reason] == [104.0]
