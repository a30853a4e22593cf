"""What an institution does not find under the court's spelling is asked for once more under the standard one."""

from collections.abc import Mapping, Sequence

import pytest
import trio

from broker.core.control.breaker import State
from broker.core.planning.parcel import Parcel
from broker.core.wire import record
from broker.errors import OverloadedError, RejectedError, UnreachableError
from broker.institutions.stub import Behaviour, StubInstitution, fails, says, script, slow, stub_spec
from broker.model import Outcome, Priority, Question, Source, Subject, SubjectType
from broker.store.memory import MemoryStore
from tests.fakes import NOW, Recorder, batch_of, in_virtual_time, key, open_lane, submit

pytestmark = in_virtual_time

WRITTEN = Subject(SubjectType.ORGANIZATION_CODE, "91350100M000100Y43", "甲乙(北京)有限公司")
REGISTERED = WRITTEN._replace(name="甲乙（北京）有限公司")
OTHER = Subject(SubjectType.ORGANIZATION_CODE, "91110108551385082Q", "丙丁(上海)有限公司")
ORDINARY = Subject(SubjectType.RESIDENT_ID, "11010519491231002X", "张三")


def asks(waiter: Recorder, subjects: Sequence[Subject], priority: Priority = Priority.INTERACTIVE) -> Parcel:
    return batch_of(waiter, subjects, priority=priority).parcels[0]


def knows(*names: str) -> Behaviour:
    """Compares names exactly."""
    return says(lambda subject: Outcome.FOUND if subject.name in names else Outcome.NOT_FOUND)


def names(question: Question) -> list[str]:
    return [subject.name for subject in question.subjects]


def spellings(waiter: Recorder) -> Mapping[int, str]:
    return {one.row: one.answer.found_as for one in waiter.delivered}


async def test_a_firm_is_found_under_its_registered_name_and_the_answer_says_so() -> None:
    institution = StubInstitution(stub_spec(), knows(REGISTERED.name, ORDINARY.name))
    store, waiter = MemoryStore(lambda: NOW), Recorder()
    async with open_lane(institution, store) as lane:
        submit(lane, asks(waiter, [WRITTEN, ORDINARY, OTHER]))
        outcomes = await waiter.answered()
        assert lane.statistics().asked == 5
        assert lane.statistics().repeated == 0
    assert outcomes == {0: Outcome.FOUND, 1: Outcome.FOUND, 2: Outcome.NOT_FOUND}
    assert spellings(waiter) == {0: REGISTERED.name, 1: "", 2: ""}
    assert waiter.sources() == {Source.INSTITUTION}
    first, second = institution.questions
    assert names(first) == [WRITTEN.name, ORDINARY.name, OTHER.name]
    assert names(second) == [REGISTERED.name, "丙丁（上海）有限公司"]
    assert second.attempt == 1
    assert second.request_id != first.request_id
    (packed,) = store.get_many([key(0)])
    assert packed is not None
    assert REGISTERED.name.encode() in record.unpack(packed)[0].segment, "the cache says it as well"


async def test_what_is_found_at_once_or_spelled_as_registered_is_asked_once() -> None:
    institution = StubInstitution(stub_spec(), knows(WRITTEN.name))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN, REGISTERED, ORDINARY]))
        await waiter.answered()
    assert len(institution.questions) == 1
    assert set(spellings(waiter).values()) == {""}


async def test_an_institution_that_folds_names_itself_is_asked_once() -> None:
    institution = StubInstitution(stub_spec(names="folded"))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN]))
        assert await waiter.answered() == {0: Outcome.NOT_FOUND}
    assert len(institution.questions) == 1


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        (fails(UnreachableError("gone")), Outcome.UNAVAILABLE),
        (fails(RejectedError("no")), Outcome.UNAVAILABLE),
        (fails(RuntimeError("ours")), Outcome.UNAVAILABLE),
        (slow(99.0, knows(REGISTERED.name)), Outcome.UNAVAILABLE),
        (says(lambda _: Outcome.UNAVAILABLE), Outcome.UNAVAILABLE),
        (says(lambda _: Outcome.REFUSED), Outcome.REFUSED),
    ],
    ids=["unreachable", "rejected", "internal", "slow", "left out", "refused"],
)
async def test_not_found_is_not_believed_while_the_second_question_has_no_answer(
    second: Behaviour, outcome: Outcome
) -> None:
    institution = StubInstitution(stub_spec(), script(knows(), second))
    store, waiter = MemoryStore(lambda: NOW), Recorder()
    async with open_lane(institution, store) as lane:
        submit(lane, asks(waiter, [WRITTEN, ORDINARY]))
        assert await waiter.answered() == {0: outcome, 1: Outcome.NOT_FOUND}
    assert store.get_many([key(0)]) == [None], "nothing is kept"


async def test_the_second_question_is_repeated_like_any_other() -> None:
    institution = StubInstitution(stub_spec(), script(knows(), fails(UnreachableError("x")), knows(REGISTERED.name)))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN]))
        assert await waiter.answered() == {0: Outcome.FOUND}
        assert (lane.statistics().asked, lane.statistics().repeated) == (2, 1)
    assert spellings(waiter) == {0: REGISTERED.name}
    assert [question.attempt for question in institution.questions] == [1, 1, 2]


async def test_what_was_left_out_is_repeated_under_the_courts_spelling_and_doubted_then() -> None:
    left_out = says(lambda subject: Outcome.UNAVAILABLE if subject == OTHER else Outcome.NOT_FOUND)
    institution = StubInstitution(stub_spec(), script(left_out, knows(REGISTERED.name, "丙丁（上海）有限公司")))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN, OTHER]))
        assert await waiter.answered() == {0: Outcome.FOUND, 1: Outcome.FOUND}
    assert spellings(waiter) == {0: REGISTERED.name, 1: "丙丁（上海）有限公司"}
    assert sorted(map(names, institution.questions)) == sorted(
        [[WRITTEN.name, OTHER.name], [REGISTERED.name], [OTHER.name], ["丙丁（上海）有限公司"]]
    )


async def test_a_batch_refused_as_a_whole_is_cut_and_then_doubted() -> None:
    async def behave(question: Question) -> object:
        if len(question.subjects) > 1:
            raise RejectedError("one of them", divisible=True)
        return await knows(REGISTERED.name)(question)

    institution = StubInstitution(stub_spec(), behave)  # type: ignore[arg-type]
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN, ORDINARY]))
        assert await waiter.answered() == {0: Outcome.FOUND, 1: Outcome.NOT_FOUND}


async def test_the_second_question_keeps_the_rate_and_the_permit() -> None:
    institution = StubInstitution(stub_spec(rate=1, batch_size=1, concurrency=1), slow(0.1, knows()))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN, OTHER, ORDINARY]))
        await waiter.answered()
    assert institution.busiest == 1
    assert len(institution.questions) == 5
    assert trio.current_time() >= 4.0, "one inquiry per second"


async def test_an_open_breaker_lets_no_second_question_out() -> None:
    """Ten calls fail between the first question and the second, which waits for the rate."""
    trouble = script(knows(), *[fails(UnreachableError("x"))] * 40)
    institution = StubInstitution(stub_spec(batch_size=1, concurrency=8), trouble)
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN, *[ORDINARY._replace(name=f"张三{number}") for number in range(30)]]))
        outcomes = await waiter.answered()
        assert lane.statistics().breaker is State.OPEN
    assert outcomes[0] is Outcome.UNAVAILABLE


async def test_a_pause_the_institution_asks_for_is_kept() -> None:
    busy = fails(OverloadedError("later", retry_after=5))
    institution = StubInstitution(stub_spec(), script(knows(), busy, knows(REGISTERED.name)))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN]))
        assert await waiter.answered() == {0: Outcome.FOUND}
    assert waiter.moments[0] >= 5.0


async def test_followers_get_what_the_second_question_finds() -> None:
    institution = StubInstitution(stub_spec(), slow(1.0, knows(REGISTERED.name)))
    first, second = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(first, [WRITTEN]))
        await trio.sleep(1.5)
        submit(lane, asks(second, [WRITTEN]))
        assert await second.answered() == await first.answered() == {0: Outcome.FOUND}
    assert spellings(second) == {0: REGISTERED.name}
    assert second.sources() == {Source.FLIGHT}


async def test_a_request_that_leaves_ends_the_second_question() -> None:
    institution = StubInstitution(stub_spec(), script(knows(), slow(99.0, knows())))
    waiter = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, asks(waiter, [WRITTEN]))
        await trio.sleep(1.0)
        assert institution.busy == 1
        waiter.open = False
        lane.forsake()
        await trio.testing.wait_all_tasks_blocked()
        assert institution.busy == 0
