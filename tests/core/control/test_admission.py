"""Who is admitted: by the inquiries and the bytes that requests hold, by priority, and never beyond the limits."""

from collections.abc import Sequence
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.control.admission import Admission, AdmissionStatistics
from broker.errors import BusyError, DrainingError
from broker.model import Priority

SCREEN, BULK = Priority.INTERACTIVE, Priority.BULK
LIMIT = 1_000
"""Inquiries; bulk may hold 800 of them."""


def gate(*, max_inquiries: int = LIMIT, max_request_bytes: int = LIMIT) -> Admission:
    return Admission(max_inquiries=max_inquiries, max_request_bytes=max_request_bytes)


def enter(stack: ExitStack, admission: Admission, inquiries: int, priority: Priority, *, size: int = 0) -> bool:
    """Whether a request is admitted; if so, it stays for as long as the stack is open."""
    with ExitStack() as own:
        try:
            own.enter_context(admission.enter(size)).take_inquiries(inquiries, priority)
        except BusyError:
            return False
        stack.push(own.pop_all())
        return True


def statistics(admission: Admission) -> AdmissionStatistics:
    return admission.statistics()


@pytest.mark.parametrize(
    ("before", "request_", "admitted"),
    [
        # Counted are inquiries.
        ([(800, SCREEN)], (200, SCREEN), True),
        ([(800, SCREEN)], (201, SCREEN), False),
        ([(400, SCREEN), (400, SCREEN)], (201, SCREEN), False),
        # Bulk requests hold at most 80 %, whatever the others hold, and everybody together 100 %.
        ([(400, BULK)], (400, BULK), True),
        ([(400, BULK)], (401, BULK), False),
        ([(800, BULK)], (200, SCREEN), True),
        ([(800, BULK)], (201, SCREEN), False),
        ([(100, SCREEN)], (800, BULK), True),
        ([(200, SCREEN), (300, SCREEN)], (501, BULK), False),
        ([(200, SCREEN), (300, SCREEN)], (500, BULK), True),
        # A request larger than all of it counts as 80 %: it gets in beside small ones, and small ones beside it.
        ([], (50_000, BULK), True),
        ([], (50_000, SCREEN), True),
        ([(200, SCREEN)], (50_000, BULK), True),
        ([(200, SCREEN)], (50_000, SCREEN), True),
        ([(50_000, BULK)], (200, SCREEN), True),
        ([(50_000, BULK)], (1, BULK), False),
        ([(1, BULK)], (50_000, BULK), False),
    ],
)
def test_who_is_admitted_by_inquiries(
    before: Sequence[tuple[int, Priority]], request_: tuple[int, Priority], *, admitted: bool
) -> None:
    admission = gate()
    with ExitStack() as stack:
        for one in before:
            assert enter(stack, admission, *one)
        assert enter(stack, admission, *request_) is admitted
        assert statistics(admission).refused["inquiries"] == (not admitted)
    assert (statistics(admission).inquiries_in_flight, statistics(admission).requests_in_flight) == (0, 0)


@pytest.mark.parametrize(
    ("before", "request_", "admitted"),
    [
        ([(800, SCREEN)], (200, SCREEN), True),
        ([(800, SCREEN)], (201, SCREEN), False),
        ([(400, BULK)], (400, BULK), True),
        ([(400, BULK)], (401, BULK), False),
        ([(800, BULK)], (200, SCREEN), True),
        ([(200, SCREEN)], (50_000, BULK), True),
    ],
)
def test_who_is_admitted_by_bytes(
    before: Sequence[tuple[int, Priority]], request_: tuple[int, Priority], *, admitted: bool
) -> None:
    admission = gate()
    with ExitStack() as stack:
        for size, priority in before:
            assert enter(stack, admission, 1, priority, size=size)
        size, priority = request_
        assert enter(stack, admission, 1, priority, size=size) is admitted
        assert statistics(admission).refused["bytes"] == (not admitted)
    assert statistics(admission).request_bytes_in_flight == 0


def test_a_body_for_which_there_is_no_room_is_refused_before_anything_is_known_of_it() -> None:
    admission = gate()
    with ExitStack() as stack:
        assert enter(stack, admission, 1, SCREEN, size=LIMIT * 8 // 10)
        stack.enter_context(admission.enter(LIMIT // 10))
        with pytest.raises(BusyError, match=r"may hold 1000 bytes.*try again in 1 s"), admission.enter(LIMIT // 2):
            pytest.fail("admitted")


def test_with_all_inquiries_held_nobody_enters() -> None:
    admission = gate()
    with ExitStack() as stack:
        assert enter(stack, admission, 800, SCREEN)
        assert enter(stack, admission, 199, SCREEN)
        with admission.enter(1):
            pass
        assert enter(stack, admission, 1, SCREEN)
        with pytest.raises(BusyError, match="1000 inquiries"), admission.enter(1):
            pytest.fail("entered")
        assert statistics(admission).refused["inquiries"] == 1


def test_what_turns_out_not_to_be_asked_is_given_back() -> None:
    admission = gate()
    with ExitStack() as stack:
        holding = stack.enter_context(admission.enter(10))
        holding.take_inquiries(50_000, BULK)
        assert not enter(stack, admission, 100, BULK)
        holding.keep_inquiries(700)
        assert statistics(admission).inquiries_in_flight == 700
        assert enter(stack, admission, 100, BULK)
        holding.keep_inquiries(50_000)  # more than it holds
        assert statistics(admission).inquiries_in_flight == 800
    assert statistics(admission).inquiries_in_flight == 0


def test_a_draining_worker_admits_nobody_and_lets_go_of_nobody() -> None:
    admission = gate()
    with admission.enter(1) as holding:
        admission.draining = True
        holding.take_inquiries(10, SCREEN)
        with pytest.raises(DrainingError), admission.enter(1):
            pytest.fail("admitted")
        assert statistics(admission).requests_in_flight == 1
    assert statistics(admission).refused == {"inquiries": 0, "bytes": 0, "draining": 1}


def test_whoever_is_refused_holds_nothing() -> None:
    admission = gate()
    with ExitStack() as stack:
        assert enter(stack, admission, 800, BULK, size=300)
        for priority in (BULK, SCREEN):
            with admission.enter(200) as holding, pytest.raises(BusyError):
                holding.take_inquiries(400, priority)
            assert (statistics(admission).inquiries_in_flight, statistics(admission).request_bytes_in_flight) == (
                800,
                300,
            )


requests = st.lists(
    st.tuples(st.integers(0, 2 * LIMIT), st.integers(0, 2 * LIMIT), st.sampled_from(Priority), st.booleans()),
    max_size=40,
)


@given(requests)
def test_limits_hold_whoever_comes_and_goes(arrivals: list[tuple[int, int, Priority, bool]]) -> None:
    admission = gate()
    inside: list[ExitStack] = []
    for inquiries, size, priority, leaves in arrivals:
        stack = ExitStack()
        if enter(stack, admission, inquiries, priority, size=size):
            inside.append(stack)
        now = statistics(admission)
        assert now.requests_in_flight == len(inside)
        assert 0 <= now.inquiries_in_flight <= now.inquiries_in_flight_limit
        assert 0 <= now.request_bytes_in_flight <= now.request_bytes_in_flight_limit
        if leaves and inside:
            inside.pop(0).close()
    for stack in inside:
        stack.close()
    left = statistics(admission)
    assert (left.requests_in_flight, left.inquiries_in_flight, left.request_bytes_in_flight) == (0, 0, 0)


@given(st.lists(st.integers(0, 2 * LIMIT), max_size=10))
def test_bulk_leaves_room_for_whoever_waits(sizes: list[int]) -> None:
    admission = gate()
    with ExitStack() as stack:
        for size in sizes:
            enter(stack, admission, size, BULK, size=size)
        assert enter(stack, admission, LIMIT // 5, SCREEN, size=LIMIT // 5)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_smallest_limits_admit_one(limit: int) -> None:
    for priority in Priority:
        with ExitStack() as stack:
            assert enter(stack, gate(max_inquiries=limit, max_request_bytes=limit), 10, priority, size=10)
