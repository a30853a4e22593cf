"""A lane whose institution fails, in virtual time: retries, the breaker, and batches refused as a whole."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker.core.control.breaker import State
from broker.core.wire.encoding import content
from broker.errors import (
    FailedError,
    InstitutionError,
    OverloadedError,
    RejectedError,
    UnreachableError,
)
from broker.institutions.stub import (
    Behaviour,
    StubInstitution,
    fails,
    holds,
    says,
    script,
    slow,
    stub_spec,
)
from broker.lanes.lane import Lane
from broker.model import Outcome, Priority, Problem, Question, Reply, Source
from tests.fakes import Recorder, in_virtual_time, numbers, open_lane, parcel, submit

pytestmark = in_virtual_time

NOTHING = holds({})
DOWN = UnreachableError("down")
COOL_DOWN = 5.0
NO_REPEATS = 1e6
"""A random number that makes every pause longer than a lane is willing to wait."""


# Failures.


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DOWN, "UNREACHABLE"),
        (FailedError("500"), "FAILED"),
        (OverloadedError("429"), "OVERLOADED"),
        (RejectedError("401"), "REJECTED"),
    ],
)
async def test_a_failure_is_an_answer(error: InstitutionError, reason: str) -> None:
    institution = StubInstitution(stub_spec(), fails(error))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [1, 2]))
        assert await waiter.answered() == dict.fromkeys((1, 2), Outcome.UNAVAILABLE)
    assert waiter.reasons() == {reason}
    assert waiter.sources() == {Source.BROKER}


async def test_silence_is_no_reply_after_the_timeout() -> None:
    institution = StubInstitution(stub_spec(timeout=2.0), slow(99.0, NOTHING))
    waiter = Recorder()
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        submit(lane, parcel(waiter, [1]))
        await waiter.answered()
    assert waiter.reasons() == {"NO_REPLY"}
    assert waiter.moments == [2.0]
    assert institution.busy == 0


async def test_a_failed_call_is_repeated_with_growing_random_pauses() -> None:
    asked_at: list[float] = []

    async def failing(question: Question) -> Reply:
        asked_at.append(trio.current_time())
        return await fails(DOWN)(question)

    institution = StubInstitution(stub_spec(), failing)
    waiter = Recorder()
    async with open_lane(institution, random=lambda: 0.5) as lane:
        submit(lane, parcel(waiter, [1, 2]))
        await waiter.answered()
        statistics = lane.statistics()
    assert asked_at == pytest.approx([0.0, 0.05, 0.15])
    assert [question.attempt for question in institution.questions] == [1, 2, 3]
    assert len({question.request_id for question in institution.questions}) == 3
    assert (statistics.asked, statistics.repeated, statistics.failures) == (2, 4, {"UNREACHABLE": 3})


async def test_a_repeated_call_that_succeeds_hides_the_failure() -> None:
    institution = StubInstitution(stub_spec(), script(fails(DOWN), NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [1]))
        assert await waiter.answered() == {1: Outcome.NOT_FOUND}


async def test_retries_end_with_their_budget() -> None:
    institution = StubInstitution(stub_spec(concurrency=1, batch_size=1), fails(OverloadedError("429")))
    async with open_lane(institution, random=lambda: 0.0) as lane:
        for number in range(40):
            waiter = Recorder()
            submit(lane, parcel(waiter, [number]))
            await waiter.answered()
        assert lane.statistics().asked == 40
        assert lane.statistics().repeated <= 10 + 40 * 0.2


async def test_only_what_was_passed_over_is_asked_again() -> None:
    odd = says(lambda subject: Outcome.UNAVAILABLE if int(subject.number) % 2 else Outcome.NOT_FOUND)
    institution = StubInstitution(stub_spec(), script(odd, NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(6)))
        assert await waiter.answered() == dict.fromkeys(range(6), Outcome.NOT_FOUND)
    assert list(map(numbers, institution.questions)) == [[0, 1, 2, 3, 4, 5], [1, 3, 5]]
    assert waiter.moments == pytest.approx([0.0, 0.05]), "what was answered does not wait"


async def test_what_is_passed_over_every_time_is_unavailable_in_the_institutions_words() -> None:
    institution = StubInstitution(stub_spec(), says(lambda _: Outcome.UNAVAILABLE))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [1]))
        assert await waiter.answered() == {1: Outcome.UNAVAILABLE}
    assert waiter.reasons() == {"NO_ANSWER"}
    assert len(institution.questions) == 3


def unusable(*bad: int) -> Behaviour:
    """The reply contains these inquiries, but what it says about them cannot be used. It finds nothing about others."""

    async def behave(question: Question) -> Reply:
        item_of = {number: item for item, number in enumerate(numbers(question))}
        statements = [
            (Outcome.UNAVAILABLE, content(Outcome.UNAVAILABLE, problem=Problem("BAD_REPLY", "", "")))
            if number in bad
            else (Outcome.NOT_FOUND, content(Outcome.NOT_FOUND))
            for number in item_of
        ]
        outcomes, contents = zip(*statements, strict=True)
        return Reply(
            outcomes=bytes(outcomes),
            contents=contents,
            observed_at=[1] * len(contents),
            unusable=len(item_of.keys() & set(bad)),
        )

    return behave


async def test_an_item_that_is_not_usable_is_not_asked_again_and_harms_no_other() -> None:
    institution = StubInstitution(stub_spec(batch_size=200), unusable(7))
    async with open_lane(institution) as lane:
        for _ in range(30):
            waiter = Recorder()
            submit(lane, parcel(waiter, range(200)))
            outcomes = await waiter.answered()
            assert outcomes.pop(7) == Outcome.UNAVAILABLE
            assert set(outcomes.values()) == {Outcome.NOT_FOUND}
            assert waiter.reasons() == {"", "BAD_REPLY"}
        assert lane.statistics().breaker is State.CLOSED
        assert lane.statistics().repeated == 0


async def test_an_institution_without_a_single_usable_item_opens_its_breaker() -> None:
    institution = StubInstitution(stub_spec(), unusable(*range(1_000)))
    async with open_lane(institution) as lane:
        for call in range(10):
            waiter = Recorder()
            submit(lane, parcel(waiter, range(100 * call, 100 * call + 100)))
            await waiter.answered()
            assert waiter.reasons() == {"BAD_REPLY"}
        assert lane.statistics().breaker is State.OPEN
        assert lane.statistics().failures == {"BAD_REPLY": 10}


async def test_one_inquiry_that_is_always_passed_over_leaves_the_breaker_alone() -> None:
    """It is asked again twice each time, alone, and each of these replies contains nothing."""
    odd = says(lambda subject: Outcome.UNAVAILABLE if int(subject.number) % 50 == 0 else Outcome.NOT_FOUND)
    institution = StubInstitution(stub_spec(), odd)
    async with open_lane(institution, random=lambda: 0.0) as lane:
        for call in range(20):
            waiter = Recorder()
            submit(lane, parcel(waiter, range(50 * call, 50 * call + 50)))
            assert (await waiter.answered())[50 * call] == Outcome.UNAVAILABLE
        assert lane.statistics().breaker is State.CLOSED


async def test_others_are_asked_while_a_failed_call_waits_to_be_repeated() -> None:
    institution = StubInstitution(stub_spec(batch_size=1, concurrency=1), script(fails(DOWN), NOTHING))
    first, second = Recorder(), Recorder()
    async with open_lane(institution, random=lambda: 0.9) as lane:
        submit(lane, parcel(first, [1]))
        submit(lane, parcel(second, [2]))
        await second.answered()
        assert not first.moments
        await first.answered()
    assert second.moments[0] < first.moments[0]


async def test_what_somebody_begins_to_wait_for_is_repeated_first() -> None:
    """A bulk batch fails; during the pause an interactive request joins one of its inquiries."""
    asked: list[list[int]] = []

    async def failing_once(question: Question) -> Reply:
        asked.append(list(numbers(question)))
        return await (fails(DOWN) if len(asked) == 1 else NOTHING)(question)

    institution = StubInstitution(stub_spec(batch_size=10, concurrency=1), failing_once)
    bulk, clerk = Recorder(), Recorder()
    async with open_lane(institution, random=lambda: 0.9) as lane:
        submit(lane, parcel(bulk, [1, 2, 3, 4], priority=Priority.BULK))
        await wait_all_tasks_blocked()
        submit(lane, parcel(clerk, [3]))
        await clerk.answered()
        await bulk.answered()
    assert [len(call) for call in asked] == [4, 1, 3]
    assert asked[1] == [asked[0][2]]


async def test_retry_after_holds_everything_back() -> None:
    overloaded = OverloadedError("429", retry_after=3.0)
    institution = StubInstitution(stub_spec(batch_size=1), script(fails(overloaded), NOTHING))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1]))
        await trio.sleep(1.0)
        submit(lane, parcel(second, [2]))
        await first.answered()
        await second.answered()
    assert first.moments[0] >= 3.0
    assert second.moments[0] >= 3.0
    assert trio.current_time() < 4.0


# The breaker.


async def break_(lane: Lane, institution: StubInstitution) -> None:
    """Lets calls fail until the breaker is open."""
    institution.behaviour = fails(DOWN)
    for number in range(1000, 1010):
        waiter = Recorder()
        submit(lane, parcel(waiter, [number]))
        await waiter.answered()
    assert lane.statistics().breaker is State.OPEN


async def test_an_open_breaker_answers_at_once_both_what_waits_and_what_comes() -> None:
    institution = StubInstitution(stub_spec(concurrency=1, batch_size=1), slow(1.0, fails(DOWN)))
    queued, new = Recorder(), Recorder()
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        submit(lane, parcel(queued, range(30)))
        await queued.answered()
        assert lane.statistics().breaker is State.OPEN
        submit(lane, parcel(new, [99]))
        assert new.outcomes() == {99: Outcome.UNAVAILABLE}, "before submit returns"
    assert len(institution.questions) == 10
    assert queued.moments == [*map(float, range(1, 11)), 10.0], "the other twenty at that moment, together"
    assert new.reasons() == {"BREAKER_OPEN"}
    assert queued.reasons() == {"UNREACHABLE", "BREAKER_OPEN"}


async def test_an_open_breaker_answers_who_does_not_accept_what_others_are_about_to_ask() -> None:
    """The answers that others are about to get may be from the cache: who wants new ones waits for the next flight."""
    institution = StubInstitution(stub_spec())
    first, second = Recorder(), Recorder()
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        await break_(lane, institution)
        reserved = lane.reserve(parcel(first, [1]))
        assert reserved is not None
        submit(lane, parcel(second, [1]), joins_calls_after=trio.current_time())
        lane.ask(reserved)
        assert first.outcomes() == second.outcomes() == {1: Outcome.UNAVAILABLE}


async def test_an_opening_breaker_answers_who_waits_for_the_next_flight_of_what_is_queued() -> None:
    institution = StubInstitution(stub_spec(concurrency=1, batch_size=1), slow(1.0, fails(DOWN)))
    others, first, second = Recorder(), Recorder(), Recorder()
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        submit(lane, parcel(others, range(30)))
        reserved = lane.reserve(parcel(first, [99]))
        assert reserved is not None
        submit(lane, parcel(second, [99]), joins_calls_after=trio.current_time())
        lane.ask(reserved)
        await others.answered()
        with trio.fail_after(1.0):
            assert await first.answered() == await second.answered() == {99: Outcome.UNAVAILABLE}
    assert second.reasons() == {"BREAKER_OPEN"}


async def test_an_open_breaker_answers_what_waits_for_the_rate() -> None:
    institution = StubInstitution(stub_spec(concurrency=20, batch_size=1, rate=1), slow(0.5, fails(DOWN)))
    waiter = Recorder()
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        submit(lane, parcel(waiter, range(100)))
        await waiter.answered()
    assert trio.current_time() == pytest.approx(9.5), "when the tenth call had failed"


async def test_the_log_tells_once_that_a_breaker_opened_and_once_that_it_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    institution = StubInstitution(stub_spec(batch_size=1))
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        await break_(lane, institution)
        await trio.sleep(COOL_DOWN)
        institution.behaviour = NOTHING
        for number in (1, 2):
            waiter = Recorder()
            submit(lane, parcel(waiter, [number]))
            await waiter.answered()
    told = [record.getMessage() for record in caplog.records if record.name == "broker.lanes.controls"]
    assert told == [
        "institution stub: fails too often; asked again in a few seconds",
        "institution stub: answers again",
    ]


async def test_half_open_one_probe_goes_and_the_others_wait_for_it() -> None:
    institution = StubInstitution(stub_spec(batch_size=1))
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        await break_(lane, institution)
        await trio.sleep(COOL_DOWN)
        institution.behaviour = slow(1.0, NOTHING)
        waiter, asked = Recorder(), len(institution.questions)
        submit(lane, parcel(waiter, range(200, 205)))
        await wait_all_tasks_blocked()
        assert len(institution.questions) == asked + 1
        assert await waiter.answered() == dict.fromkeys(range(200, 205), Outcome.NOT_FOUND)
        assert lane.statistics().breaker is State.CLOSED
    assert waiter.moments[0] + 1.0 == waiter.moments[-1]


async def test_half_open_a_failed_probe_answers_those_who_wait() -> None:
    institution = StubInstitution(stub_spec(batch_size=1))
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        await break_(lane, institution)
        await trio.sleep(COOL_DOWN)
        institution.behaviour = slow(1.0, fails(DOWN))
        waiter, asked = Recorder(), len(institution.questions)
        submit(lane, parcel(waiter, range(200, 205)))
        await waiter.answered()
        assert lane.statistics().breaker is State.OPEN
    assert len(institution.questions) == asked + 1
    assert set(waiter.moments) == {COOL_DOWN + 1.0}


async def test_a_breaker_that_opens_between_two_halves_is_no_internal_error() -> None:
    """Interleaving: call A is refused and halved · nine others fail · A's first half is the tenth failure."""
    institution = StubInstitution(stub_spec(concurrency=20))

    async def behave(question: Question) -> Reply:
        size = len(question.subjects)
        if size == 4:
            await trio.sleep(1.0)
            raise RejectedError("400", divisible=True)
        await trio.sleep(0.1 if size == 1 else 2.0)
        raise DOWN

    institution.behaviour = behave
    halved, others = Recorder(), [Recorder() for _ in range(9)]
    async with open_lane(institution, random=lambda: NO_REPEATS) as lane:
        submit(lane, parcel(halved, range(4)))
        await trio.sleep(0.5)
        for number, waiter in enumerate(others):
            submit(lane, parcel(waiter, [100 + number]))
            await wait_all_tasks_blocked()
        await halved.answered()
    assert halved.reasons() <= {"UNREACHABLE", "BREAKER_OPEN"}


# Batches refused as a whole.


def objects_to(*poisoned: int) -> Behaviour:
    """Refuses every batch that holds one of these."""

    async def behave(question: Question) -> Reply:
        if set(numbers(question)) & set(poisoned):
            raise RejectedError("400", divisible=True)
        return await NOTHING(question)

    return behave


@pytest.mark.parametrize("poisoned", [0, 250, 499])
async def test_one_poisoned_inquiry_is_isolated_and_its_neighbours_are_answered(poisoned: int) -> None:
    institution = StubInstitution(stub_spec(batch_size=500), objects_to(poisoned))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(500)))
        outcomes = await waiter.answered()
    assert outcomes.pop(poisoned) == Outcome.REFUSED
    assert set(outcomes.values()) == {Outcome.NOT_FOUND}
    assert len(institution.questions) <= 1 + 18
    assert waiter.sources() == {Source.INSTITUTION}


async def test_several_poisoned_inquiries_are_isolated() -> None:
    institution = StubInstitution(stub_spec(batch_size=64), objects_to(3, 40))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(64)))
        outcomes = await waiter.answered()
    assert {number for number, outcome in outcomes.items() if outcome is Outcome.REFUSED} == {3, 40}


async def test_an_institution_that_refuses_everything_is_not_asked_to_death() -> None:
    institution = StubInstitution(stub_spec(batch_size=500), fails(RejectedError("400", divisible=True)))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(500)))
        outcomes = await waiter.answered()
    assert len(institution.questions) <= 1 + 64
    assert set(outcomes.values()) == {Outcome.UNAVAILABLE}, "it has answered nothing: the inquiries are not at fault"


async def test_a_refusal_of_the_broker_itself_is_not_halved() -> None:
    institution = StubInstitution(stub_spec(), fails(RejectedError("401")))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, range(8)))
        assert set((await waiter.answered()).values()) == {Outcome.UNAVAILABLE}
    assert len(institution.questions) == 1


async def test_a_single_inquiry_refused_is_refused_if_others_are_answered_meanwhile() -> None:
    institution = StubInstitution(stub_spec(batch_size=1), objects_to(1))
    waiter, other = Recorder(), Recorder()
    async with open_lane(institution, random=lambda: 0.5) as lane:
        submit(lane, parcel(waiter, [1]))
        await wait_all_tasks_blocked()
        submit(lane, parcel(other, [2]))
        assert await waiter.answered() == {1: Outcome.REFUSED}
    assert waiter.reasons() == {"REJECTED"}
    assert list(map(numbers, institution.questions)) == [[1], [2], [1]]


async def test_a_single_inquiry_refused_by_mistake_is_answered() -> None:
    institution = StubInstitution(stub_spec(), script(fails(RejectedError("400", divisible=True)), NOTHING))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [1]))
        assert await waiter.answered() == {1: Outcome.NOT_FOUND}


@pytest.mark.parametrize("answered", [1, 30])
@pytest.mark.parametrize("size", [1, 40])
async def test_an_institution_that_answered_and_now_refuses_everything_refuses_no_inquiry(
    answered: int, size: int
) -> None:
    """What it answered before it began to refuse is no evidence that it objects to these inquiries."""
    institution = StubInstitution(stub_spec(batch_size=size))
    async with open_lane(institution, random=lambda: 0.0) as lane:
        for number in range(answered):
            known = Recorder()
            submit(lane, parcel(known, [1000 + number]))
            assert await known.answered() == {1000 + number: Outcome.NOT_FOUND}
        institution.behaviour = fails(RejectedError("400", divisible=True))
        for numbers_asked in [range(40)] if size > 1 else [[number] for number in range(40)]:
            waiter = Recorder()
            submit(lane, parcel(waiter, numbers_asked))
            assert set((await waiter.answered()).values()) == {Outcome.UNAVAILABLE}
            assert waiter.reasons() <= {"REJECTED", "BREAKER_OPEN"}
        assert lane.statistics().breaker is State.OPEN
        institution.behaviour = NOTHING
        await trio.sleep(COOL_DOWN)
        back = Recorder()
        submit(lane, parcel(back, [999]))
        assert await back.answered() == {999: Outcome.NOT_FOUND}
        assert lane.statistics().breaker is State.CLOSED


async def test_one_refused_inquiry_in_every_batch_leaves_the_breaker_alone() -> None:
    """It is the first, so that eight calls in a row are refused. The budget for bisecting pays for four batches."""
    institution = StubInstitution(stub_spec(batch_size=128), objects_to(*range(0, 10_000, 128)))
    async with open_lane(institution, random=lambda: 0.0) as lane:
        for begin in range(0, 4 * 128, 128):
            waiter = Recorder()
            submit(lane, parcel(waiter, range(begin, begin + 128)))
            outcomes = await waiter.answered()
            assert outcomes.pop(begin) == Outcome.REFUSED
            assert set(outcomes.values()) == {Outcome.NOT_FOUND}
        assert lane.statistics().breaker is State.CLOSED


async def test_an_institution_that_takes_nothing_gives_no_answers() -> None:
    institution = StubInstitution(stub_spec(), objects_to(1))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(waiter, [1]))
        assert await waiter.answered() == {1: Outcome.UNAVAILABLE}
    assert waiter.reasons() == {"REJECTED"}


async def test_a_warning_about_a_call_names_both_request_ids(caplog: pytest.LogCaptureFixture) -> None:
    """The institution knows its own id for the call, a court only the one it gave its request."""
    institution = StubInstitution(stub_spec(), fails(UnreachableError("ConnectionRefusedError")))
    first, second = Recorder(request_id="court-a-1"), Recorder(request_id="court-b-7")
    async with open_lane(institution) as lane:
        submit(lane, parcel(first, [1]))
        submit(lane, parcel(second, [2]))
        await first.answered()
        await second.answered()
    warnings = [record.getMessage() for record in caplog.records if record.name == "broker.lanes.call"]
    assert len(warnings) == len(institution.questions)
    for warning, question in zip(warnings, institution.questions, strict=True):
        assert question.request_id in warning
        assert "court-a-1, court-b-7" in warning
