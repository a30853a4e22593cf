"""How a lane spends what an institution's rate allows, in virtual time: who goes first, and how much is sent when."""

import math
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import InstitutionError, RejectedError, UnreachableError
from broker.institutions.stub import StubInstitution, holds, stub_spec
from broker.model import InstitutionSpec, Outcome, Priority, Question, Reply
from tests.fakes import Recorder, in_virtual_time, numbers, open_lane, parcel, run_in_virtual_time, submit

pytestmark = in_virtual_time

NOTHING = holds({})
OFFICER = 1_000_000
"""The number of the first interactive lookup; bulk numbers are below."""

PAUSE = 0.2
"""The longest pause before a batch that failed is sent again; its call keeps its permit meanwhile."""

LIMITS = [(20, 500), (20, 1), (20, 20), (2, 500), (0.5, 10), (1000, 500), (100, 7), (33.3, 100)]
"""Rates and batch sizes."""


class Ledger(StubInstitution):
    """Holds nothing, answers after a while, and remembers when it was sent what."""

    def __init__(self, spec: InstitutionSpec, *, latency: float = 0.05, first: Sequence[InstitutionError] = ()) -> None:
        """`first`: how the first calls fail."""
        super().__init__(spec, self._answer)
        self.sent: list[tuple[float, list[int]]] = []
        self._latency = latency
        self._failures = list(first)

    async def _answer(self, question: Question) -> Reply:
        self.sent.append((trio.current_time(), numbers(question)))
        failure = self._failures.pop(0) if self._failures else None
        await trio.sleep(self._latency)
        if failure is not None:
            raise failure
        return await NOTHING(question)

    def moment(self, number: int) -> float:
        """When an inquiry was first sent."""
        return next(moment for moment, sent in self.sent if number in sent)

    def check_rate(self) -> None:
        """In no window more than the rate and one burst."""
        burst = max(self.spec.rate, self.spec.batch_size)
        for index, (opening, _) in enumerate(self.sent):
            total = 0
            for moment, sent in self.sent[index:]:
                total += len(sent)
                assert total <= burst + self.spec.rate * (moment - opening) + 1e-6


def a_second(rate: float) -> float:
    """How long one interactive lookup may wait for bulk work: a second, or what one inquiry takes; and a latency."""
    return max(1.0, 1 / rate) + 0.1


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize(("rate", "batch_size"), LIMITS)
async def test_who_waits_goes_ahead_of_bulk_work_that_waits_for_the_rate(
    rate: float, batch_size: int, concurrency: int
) -> None:
    institution = Ledger(stub_spec(rate=rate, batch_size=batch_size, concurrency=concurrency))
    night = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(batch_size + 10 * math.ceil(rate)), priority=Priority.BULK))
        for number in range(OFFICER, OFFICER + 5):
            await trio.sleep(1.37)
            officer, began = Recorder(), trio.current_time()
            submit(lane, parcel(officer, [number]))
            await officer.answered()
            assert institution.moment(number) - began <= a_second(rate)
        await night.answered()
    institution.check_rate()


@pytest.mark.parametrize(("rate", "batch_size"), LIMITS)
async def test_bulk_work_loses_nothing_of_the_rate(rate: float, batch_size: int) -> None:
    institution = Ledger(stub_spec(rate=rate, batch_size=batch_size, concurrency=8))
    night, burst = Recorder(), max(rate, batch_size)
    inquiries = math.ceil(burst + 20 * rate)
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(inquiries), priority=Priority.BULK))
        await night.answered()
    assert trio.current_time() <= (inquiries - burst) / rate + a_second(rate)
    institution.check_rate()


async def test_what_has_been_saved_up_goes_out_in_full_batches() -> None:
    institution = Ledger(stub_spec(rate=1000, batch_size=500, concurrency=8))
    night = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(5000), priority=Priority.BULK))
        await night.answered()
    assert [len(sent) for _, sent in institution.sent] == [500] * 10


async def test_no_batch_is_waited_for_longer_than_a_second() -> None:
    institution = Ledger(stub_spec(rate=20, batch_size=500))
    night = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(600), priority=Priority.BULK))
        await night.answered()
    assert [(round(moment, 6), len(sent)) for moment, sent in institution.sent] == [
        (0, 500),
        *[(second, 20) for second in range(1, 6)],
    ]


@pytest.mark.parametrize("error", [UnreachableError("down"), RejectedError("400", divisible=True)], ids=type)
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_who_waits_goes_ahead_of_bulk_batches_that_are_sent_again(
    error: InstitutionError, concurrency: int
) -> None:
    """They hold neither what the rate allows nor the permits while they wait."""
    spec = stub_spec(rate=100, batch_size=400, concurrency=concurrency)
    institution = Ledger(spec, first=[error] * 4)
    night = Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(500), priority=Priority.BULK))
        for number in range(OFFICER, OFFICER + 8):
            await trio.sleep(0.53)
            officer, began = Recorder(), trio.current_time()
            submit(lane, parcel(officer, [number]))
            await officer.answered()
            assert institution.moment(number) - began <= a_second(100) + PAUSE
        assert set((await night.answered()).values()) == {Outcome.NOT_FOUND}
    institution.check_rate()


async def test_of_a_mixed_batch_that_is_sent_again_bulk_work_waits_by_itself() -> None:
    institution = Ledger(stub_spec(rate=20, batch_size=500, concurrency=1), first=[UnreachableError("down")])
    night, officer = Recorder(), Recorder()
    async with open_lane(institution) as lane:
        submit(lane, parcel(night, range(499), priority=Priority.BULK))
        submit(lane, parcel(officer, [OFFICER]))
        await officer.answered()
        assert len(institution.sent[0][1]) == 500
        assert trio.current_time() <= a_second(20)
        await night.answered()
    institution.check_rate()


@given(
    rate=st.sampled_from([0.7, 5, 20, 150, 1000]),
    batch_size=st.sampled_from([1, 10, 120]),
    concurrency=st.integers(1, 5),
    bulk=st.lists(st.integers(1, 300), max_size=4),
    pauses=st.lists(st.floats(0, 3), max_size=8),
    first=st.lists(st.sampled_from([UnreachableError("down"), RejectedError("400", divisible=True)]), max_size=3),
)
def test_whatever_comes_the_rate_holds_and_nobody_waits_for_bulk_work(
    rate: float,
    batch_size: int,
    concurrency: int,
    bulk: list[int],
    pauses: list[float],
    first: list[InstitutionError],
) -> None:
    async def scenario() -> None:
        spec = stub_spec(rate=rate, batch_size=batch_size, concurrency=concurrency, timeout=1e9)
        institution = Ledger(spec, first=first)
        night = Recorder()
        async with open_lane(institution) as lane:
            for size in bulk:
                submit(lane, parcel(night, range(night.expected, night.expected + size), priority=Priority.BULK))
            for number, pause in enumerate(pauses, start=OFFICER):
                await trio.sleep(pause)
                officer, began = Recorder(), trio.current_time()
                submit(lane, parcel(officer, [number]))
                await officer.answered()
                assert institution.moment(number) - began <= a_second(rate) + PAUSE
            await night.answered()
        institution.check_rate()

    run_in_virtual_time(scenario)
