"""FairLock: one at a time, and nobody is overtaken."""

import os
import threading

import pytest

from broker.store.fair_lock import FairLock


def test_whoever_wants_another_turn_goes_behind_who_waits() -> None:
    turns, order = FairLock(), []

    def wait() -> None:
        with turns:
            order.append("waited")

    other = threading.Thread(target=wait)
    with turns:
        other.start()
        while not turns._next.locked():
            os.sched_yield()
    with turns:
        order.append("wants another")
    other.join()
    assert order == ["waited", "wants another"]


def test_a_turn_ends_with_an_error_too() -> None:
    turns = FairLock()
    with pytest.raises(ZeroDivisionError), turns:
        1 / 0  # noqa: B018
    with turns:
        pass
