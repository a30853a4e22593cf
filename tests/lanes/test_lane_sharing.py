"""What a lane counts, whom it asks for, and whose word an answer is, when requests leave and institutions misbehave."""

import trio

from broker.errors import FailedError, OverloadedError, RejectedError, UnreachableError
from broker.institutions.stub import StubInstitution, fails, holds, says, script, slow, stub_spec
from broker.model import Outcome, Priority, Question, Reply, Source
from tests.fakes import Recorder, in_virtual_time, numbers, open_lane, parcel, submit

pytestmark = in_virtual_time

NOTHING = holds({})


async def test_an_item_without_a_usable_answer_is_the_brokers_finding() -> None:
    institution = StubInstitution(stub_spec(), says(lambda _: Outcome.UNAVAILABLE))
    leader, follower = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(leader, [1]))
        submit(lane, parcel(follower, [1]))
        await leader.answered()
        await follower.answered()
    assert leader.sources() == follower.sources() == {Source.BROKER}


async def test_what_only_a_request_that_left_wanted_is_not_asked() -> None:
    institution = StubInstitution(stub_spec(concurrency=1), slow(1.0, NOTHING))
    busy, leader, follower = Recorder(), Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(busy, [999]))
        await trio.sleep(0.1)
        submit(lane, parcel(leader, list(range(100))))
        submit(lane, parcel(follower, [5]))
        leader.open = False
        lane.forsake()
        assert await follower.answered() == {5: Outcome.NOT_FOUND}
    assert list(map(numbers, institution.questions)) == [[999], [5]]


async def test_halving_does_not_use_up_the_retries() -> None:
    failed: list[Question] = []

    async def poisoned_and_shaky(question: Question) -> Reply:
        if "3" in [subject.number for subject in question.subjects]:
            raise RejectedError("422", divisible=True)
        if len(question.subjects) == 8 and not failed:
            failed.append(question)
            raise FailedError("HTTP 500")
        return await NOTHING(question)

    institution = StubInstitution(stub_spec(batch_size=64), poisoned_and_shaky)
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, list(range(64))))
        outcomes = await waiter.answered()
    assert failed
    assert {number for number, outcome in outcomes.items() if outcome is not Outcome.NOT_FOUND} == {3}


async def test_only_what_was_sent_is_counted() -> None:
    async def down(_: Question) -> Reply:
        await trio.sleep(0.01)
        raise UnreachableError("down")

    institution = StubInstitution(stub_spec(batch_size=1, concurrency=8, rate=20.0), down)
    waiter = Recorder()
    async with open_lane(institution, random=lambda: 0.1) as lane:
        submit(lane, parcel(waiter, list(range(60))))
        await waiter.answered()
        counted = lane.statistics().asked + lane.statistics().repeated
    assert counted == sum(len(question.subjects) for question in institution.questions)


async def test_an_institution_that_wants_a_long_pause_is_reported_at_once() -> None:
    overloaded = OverloadedError("429", retry_after=600.0)
    institution = StubInstitution(stub_spec(batch_size=1, concurrency=1), script(fails(overloaded), NOTHING))
    queued, later, after = Recorder(), Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(queued, [1, 2]))
        await queued.answered()
        submit(lane, parcel(later, [3]))
        await later.answered()
        assert trio.current_time() < 1
        assert queued.reasons() == later.reasons() == {"OVERLOADED"}
        await trio.sleep(600)
        submit(lane, parcel(after, [4]))
        assert await after.answered() == {4: Outcome.NOT_FOUND}


async def test_an_interactive_request_does_not_wait_behind_bulk_work_it_shares() -> None:
    institution = StubInstitution(stub_spec(batch_size=1, concurrency=1), slow(1.0, NOTHING))
    night, officer = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(20), priority=Priority.BULK))
        await trio.sleep(0.5)
        submit(lane, parcel(officer, [15], priority=Priority.INTERACTIVE))
        assert await officer.answered() == {15: Outcome.NOT_FOUND}
        assert trio.current_time() == 2.0, "the call in progress, then this one"
        await night.answered()
    assert len(institution.questions) == 20, "each question once"
