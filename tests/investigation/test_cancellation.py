"""Requests that leave, at every moment they can: what they alone waited for ends, and nothing else is harmed."""

from math import inf

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker.core.control.breaker import State
from broker.errors import OverloadedError, RejectedError, UnreachableError
from broker.institutions.stub import StubInstitution, fails, holds, says, script, slow, stub_spec
from broker.lanes.lane import Lane
from broker.model import Outcome, Priority, Source
from tests.fakes import Recorder, in_virtual_time, open_lane, parcel, submit

pytestmark = in_virtual_time

NOTHING = holds({})
HANGS = slow(inf, NOTHING)
PATIENT = 1e9
"""A timeout long enough never to be what ends a call."""


def leave(lane: Lane, waiter: Recorder) -> None:
    """What `FanOut.attend` does when a request ends."""
    waiter.open = False
    lane.forsake()


def idle(lane: Lane) -> bool:
    statistics = lane.statistics()
    return (statistics.queued, statistics.in_flight, statistics.calls) == (0, 0, 0)


@pytest.mark.parametrize("steps", range(12))
async def test_who_leaves_alone_leaves_nothing_behind_at_whatever_moment(steps: int) -> None:
    institution = StubInstitution(stub_spec(timeout=PATIENT), HANGS)
    leaver = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leaver, range(3)))
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        leave(lane, leaver)
        await wait_all_tasks_blocked()
        assert idle(lane)
        assert institution.busy == 0
    assert leaver.delivered == []


async def test_a_cancelled_call_frees_its_slot_and_says_nothing_about_the_institution() -> None:
    institution = StubInstitution(stub_spec(timeout=PATIENT, concurrency=1), script(HANGS, NOTHING))
    leaver, next_one = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leaver, [1]))
        await trio.sleep(1)
        submit(lane, parcel(next_one, [2]))
        leave(lane, leaver)
        assert await next_one.answered() == {2: Outcome.NOT_FOUND}
        statistics = lane.statistics()
    assert (statistics.breaker, statistics.limit, statistics.failures) == (State.CLOSED, 1, {})
    assert next_one.moments == [1.0]


async def test_the_leader_of_a_queued_inquiry_leaves_and_its_follower_is_answered() -> None:
    institution = StubInstitution(stub_spec(concurrency=1), slow(1.0, NOTHING))
    other, leader, follower = Recorder(), Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(other, [0]))
        await wait_all_tasks_blocked()
        submit(lane, parcel(leader, [1, 2]))
        submit(lane, parcel(follower, [2]))
        leave(lane, leader)
        assert await follower.answered() == {2: Outcome.NOT_FOUND}
    assert leader.delivered == []
    assert other.outcomes() == {0: Outcome.NOT_FOUND}


async def test_a_queued_inquiry_nobody_follows_is_never_sent() -> None:
    institution = StubInstitution(stub_spec(concurrency=1), slow(1.0, NOTHING))
    other, leaver = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(other, [0]))
        await wait_all_tasks_blocked()
        submit(lane, parcel(leaver, range(1, 50)))
        leave(lane, leaver)
        assert lane.statistics().queued == 0
        await other.answered()
    assert len(institution.questions) == 1


async def test_a_call_goes_on_for_its_follower_after_its_leader_has_left() -> None:
    institution = StubInstitution(stub_spec(), slow(2.0, NOTHING))
    leader, follower = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leader, [1]))
        await trio.sleep(1)
        submit(lane, parcel(follower, [1]))
        leave(lane, leader)
        assert await follower.answered() == {1: Outcome.NOT_FOUND}
    assert len(institution.questions) == 1
    assert follower.moments == [2.0]
    assert follower.sources() == {Source.FLIGHT}
    assert leader.delivered == []


async def test_a_follower_leaves_and_the_leader_is_answered() -> None:
    institution = StubInstitution(stub_spec(), slow(2.0, NOTHING))
    leader, follower = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leader, [1]))
        submit(lane, parcel(follower, [1]))
        await trio.sleep(1)
        leave(lane, follower)
        assert await leader.answered() == {1: Outcome.NOT_FOUND}
    assert follower.delivered == []
    assert leader.moments == [2.0]


async def test_leader_and_followers_leave_one_after_the_other_and_the_last_ends_the_call() -> None:
    institution = StubInstitution(stub_spec(timeout=PATIENT), HANGS)
    waiters = [Recorder() for _ in range(3)]
    async with open_lane(institution) as lane:
        for waiter in waiters:
            submit(lane, parcel(waiter, [1]))
        for left, waiter in enumerate(waiters, start=1):
            await wait_all_tasks_blocked()
            assert institution.busy == 1
            leave(lane, waiter)
            await wait_all_tasks_blocked()
            assert institution.busy == (0 if left == 3 else 1)


async def test_who_joins_a_call_just_given_up_is_asked_for_anew() -> None:
    """See the interleaving in core/flight.py: the key is still in flight while the cancelled call ends."""
    institution = StubInstitution(stub_spec(timeout=PATIENT), script(HANGS, NOTHING))
    leader, late = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leader, [1, 2]))
        await wait_all_tasks_blocked()
        leave(lane, leader)
        submit(lane, parcel(late, [2, 3]))
        assert lane.statistics().in_flight == 3, "not yet ended"
        assert await late.answered() == {2: Outcome.NOT_FOUND, 3: Outcome.NOT_FOUND}
    assert late.sources() == {Source.INSTITUTION}, "it leads now"
    assert sorted(int(subject.number) for q in institution.questions[1:] for subject in q.subjects) == [2, 3]


async def test_two_who_join_a_call_just_given_up_share_the_new_one() -> None:
    institution = StubInstitution(stub_spec(timeout=PATIENT), script(HANGS, NOTHING))
    leader, first, second = Recorder(), Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leader, [1], priority=Priority.BULK))
        await wait_all_tasks_blocked()
        leave(lane, leader)
        submit(lane, parcel(first, [1]))
        submit(lane, parcel(second, [1]))
        await first.answered()
        await second.answered()
    assert len(institution.questions) == 2
    assert (first.sources(), second.sources()) == ({Source.INSTITUTION}, {Source.FLIGHT})


async def test_leaving_during_the_pause_before_a_retry_ends_the_call() -> None:
    institution = StubInstitution(stub_spec(), fails(OverloadedError("429", retry_after=9.0)))
    leaver = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leaver, [1]))
        await trio.sleep(1)
        assert lane.statistics().calls == 1
        leave(lane, leaver)
        await wait_all_tasks_blocked()
        assert idle(lane)
    assert len(institution.questions) == 1


async def test_leaving_while_the_rate_holds_a_retry_back_gives_the_tokens_back() -> None:
    spec = stub_spec(rate=1, batch_size=10, concurrency=2)
    institution = StubInstitution(spec, script(fails(UnreachableError("down")), NOTHING))
    leaver, next_one = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leaver, range(10)))
        await trio.sleep(1)
        assert (lane.statistics().calls, institution.busy) == (1, 0), "waits for ten tokens"
        leave(lane, leaver)
        submit(lane, parcel(next_one, [99]))
        await next_one.answered()
    assert next_one.moments[0] < 3, "its own token, not the ten of who left"


async def test_leaving_while_the_rate_holds_a_first_call_back() -> None:
    institution = StubInstitution(stub_spec(rate=1, batch_size=10))
    other, leaver = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(other, range(10)))
        await other.answered()
        submit(lane, parcel(leaver, range(20, 25)))
        await wait_all_tasks_blocked()
        leave(lane, leaver)
        assert idle(lane)
        await trio.sleep(20)
    assert len(institution.questions) == 1


async def test_leaving_between_two_halves_of_a_refused_batch() -> None:
    refuse, hang = fails(RejectedError("400", divisible=True)), HANGS
    institution = StubInstitution(stub_spec(timeout=PATIENT), script(refuse, NOTHING, hang))
    leaver = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leaver, range(4)))
        await trio.sleep(1)
        assert leaver.outcomes() == {0: Outcome.NOT_FOUND, 1: Outcome.NOT_FOUND}
        leave(lane, leaver)
        await wait_all_tasks_blocked()
        assert idle(lane)


async def test_a_call_whose_other_half_is_answered_ends_when_the_rest_is_not_wanted() -> None:
    """One request has its answer and stays (it waits for other institutions); the other leaves."""
    partly = says(lambda subject: Outcome.UNAVAILABLE if subject.number == "2" else Outcome.NOT_FOUND)
    institution = StubInstitution(stub_spec(timeout=PATIENT), script(partly, HANGS))
    stays, leaver = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(stays, [1]))
        submit(lane, parcel(leaver, [2]))
        await stays.answered()
        await trio.sleep(1)
        assert institution.busy == 1
        leave(lane, leaver)
        await wait_all_tasks_blocked()
        assert institution.busy == 0


async def test_one_of_two_requests_in_a_call_leaves_and_the_other_is_answered() -> None:
    institution = StubInstitution(stub_spec(), slow(1.0, NOTHING))
    leaver, stays = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leaver, [1]))
        submit(lane, parcel(stays, [2]))
        await wait_all_tasks_blocked()
        leave(lane, leaver)
        assert await stays.answered() == {2: Outcome.NOT_FOUND}
    assert leaver.delivered == []


async def test_a_probe_nobody_waits_for_any_more_lets_the_next_one_try() -> None:
    institution = StubInstitution(stub_spec(timeout=PATIENT, batch_size=1), fails(UnreachableError("down")))
    leaver, waits = Recorder(), Recorder()
    async with open_lane(institution, random=lambda: 1e6) as lane:
        for number in range(10):
            waiter = Recorder()
            submit(lane, parcel(waiter, [number]))
            await waiter.answered()
        await trio.sleep(5)
        institution.behaviour = script(HANGS, NOTHING)
        submit(lane, parcel(leaver, [100]))
        submit(lane, parcel(waits, [101]))
        await wait_all_tasks_blocked()
        leave(lane, leaver)
        assert await waits.answered() == {101: Outcome.NOT_FOUND}
        assert lane.statistics().breaker is State.CLOSED


async def test_who_has_left_already_is_not_asked_for() -> None:
    institution = StubInstitution(stub_spec())
    async with open_lane(institution) as lane:
        submit(lane, parcel(Recorder(open=False), [1]))
        await wait_all_tasks_blocked()
    assert institution.questions == []


async def test_stopping_the_lane_cancels_calls_in_progress() -> None:
    institution = StubInstitution(stub_spec(timeout=PATIENT), HANGS)
    with trio.move_on_after(1):
        async with open_lane(institution) as lane:
            submit(lane, parcel(Recorder(), [1]))
            await trio.sleep_forever()
    assert institution.busy == 0
