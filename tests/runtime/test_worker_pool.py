"""A pool of workers in virtual time: starting, hanging, crashing, replacing, stopping."""

import logging
from collections.abc import AsyncIterator

import pytest
import trio

from broker.runtime.restart_policy import NextStart
from broker.runtime.watchdog import Limits
from broker.runtime.worker_messages import Alive, Progress
from tests.fakes import in_virtual_time
from tests.runtime.fake_workers import (
    FakeHost,
    FakeWorker,
    Life,
    crashing,
    failing,
    failures,
    fake_host,
    hanging,
    mute,
    running_pool,
    steady,
)

pytestmark = in_virtual_time


@pytest.fixture
async def host() -> AsyncIterator[FakeHost]:
    async with fake_host() as opened:
        yield opened


# --- starting ---------------------------------------------------------------------------------------------------------


async def test_once_all_are_ready_it_is_known_where_they_are(host: FakeHost) -> None:
    async with running_pool(host, size=3) as pool:
        assert [each.grpc for each in await pool.ready()] == ["grpc-0", "grpc-1", "grpc-2"]
    assert sorted(host.events()[-3:]) == ["ends 0: 0", "ends 1: 0", "ends 2: 0"]


async def test_one_that_cannot_start_ends_all(host: FakeHost) -> None:
    host.lives[1] = [failing(2)]
    with pytest.RaisesGroup(pytest.RaisesGroup(pytest.RaisesExc(Exception))) as caught:
        async with running_pool(host, size=3):
            await trio.sleep_forever()
    (failure,) = failures(caught.value)
    assert (failure.code, str(failure)) == (2, "worker 1 could not start: it ended with exit code 2")
    assert host.when("ends 0: -9") == host.when("ends 2: -9") == [0.5]


async def test_one_that_hangs_in_starting_ends_all(host: FakeHost, caplog: pytest.LogCaptureFixture) -> None:
    host.lives[1] = [mute]
    with pytest.RaisesGroup(pytest.RaisesGroup(pytest.RaisesExc(Exception))) as caught:
        async with running_pool(host):
            await trio.sleep_forever()
    assert str(*failures(caught.value)) == "worker 1 could not start: it was ended by SIGKILL"
    assert trio.current_time() == 60.0
    assert "worker 1 (process 1001) has shown no sign of life for 60 s while starting; it is killed" in caplog.text


async def test_one_that_makes_progress_may_take_long_to_start(host: FakeHost) -> None:
    async def slow(worker: FakeWorker) -> None:
        for _ in range(30):
            await trio.sleep(50.0)
            worker.say(Progress("reading the log", 60.0))
        await steady(worker)

    host.lives[0] = [slow]
    async with running_pool(host) as pool:
        await pool.ready()
        assert trio.current_time() == 1_501.0
    assert len(host.when("begins 0")) == 1


async def test_it_can_be_stopped_while_one_does_not_get_ready(host: FakeHost) -> None:
    async def stoppable(worker: FakeWorker) -> None:
        await worker.told_to_stop.wait()
        worker.end(-15)

    host.lives[1] = [stoppable]
    async with running_pool(host):
        await trio.sleep(5.0)
    assert trio.current_time() == 5.25
    assert host.events()[-2:] == ["ends 1: -15", "ends 0: 0"]


async def test_what_it_prints_beside_is_ignored(host: FakeHost) -> None:
    async def chatty(worker: FakeWorker) -> None:
        worker._said.send_nowait(b"DeprecationWarning: something")
        await steady(worker)

    host.lives[0] = [chatty]
    async with running_pool(host) as pool:
        await pool.ready()


# --- hanging ----------------------------------------------------------------------------------------------------------


async def test_one_that_hangs_is_killed_and_replaced_and_the_others_go_on(
    host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.lives[1] = [hanging(after=100.5)]
    async with running_pool(host, size=3) as pool:
        await pool.ready()
        await trio.sleep(200.0)
    assert host.when("ends 1: -9") == [105.0]
    assert host.when("begins 1") == [0.0, 105.0]
    assert len(host.when("begins 0")) == len(host.when("begins 2")) == 1
    assert "worker 1 (process 1001) has shown no sign of life for 5 s while serving; it is killed" in caplog.text
    assert "worker 1 was ended by SIGKILL; another one starts in 0 s" in caplog.text


async def test_one_that_is_busy_is_left_alone(host: FakeHost) -> None:
    async def busy(worker: FakeWorker) -> None:
        worker.say_ready()
        await worker.beat(3_600.0, interval=3.0)  # each sign of life is two seconds late
        worker.end(0)

    host.lives[0] = [busy]
    async with running_pool(host) as pool:
        await pool.ready()
        await trio.sleep(3_000.0)
        assert sorted(host.events()) == ["begins 0", "begins 1"]


@pytest.mark.parametrize("life", [hanging(after=10.0), hanging(after=12.0)], ids=["hangs already", "hangs soon"])
async def test_stopping_does_not_wait_for_one_that_hangs(host: FakeHost, life: Life) -> None:
    host.lives[1] = [life]
    async with running_pool(host, draining=3_600.0) as pool:
        await pool.ready()
        await trio.sleep(10.0)
    assert trio.current_time() <= 18.0


# --- crashing ---------------------------------------------------------------------------------------------------------


async def test_one_that_crashes_is_replaced_and_the_others_go_on(host: FakeHost) -> None:
    host.lives[1] = [crashing(after=100.0, code=1)]
    async with running_pool(host, size=3) as pool:
        await pool.ready()
        await trio.sleep(200.0)
    assert host.when("begins 1") == [0.0, 100.0]
    assert len(host.when("begins 0")) == len(host.when("begins 2")) == 1


async def test_one_that_does_not_live_is_tried_again_after_growing_pauses(host: FakeHost) -> None:
    host.lives[1] = [crashing(after=100.0, code=1), failing(3), failing(3), crashing(after=1.0, code=1), steady]
    async with running_pool(host) as pool:
        await pool.ready()
        await trio.sleep(200.0)
    assert host.when("begins 1") == [0.0, 100.0, 101.0, 102.5, 105.5]


@pytest.mark.parametrize("lives", [[crashing(after=100.0, code=-7)], [hanging(after=50.0), hanging(after=44.5)]])
async def test_after_a_crash_the_next_one_checks_the_file_until_one_gets_ready(
    host: FakeHost, lives: list[Life], caplog: pytest.LogCaptureFixture
) -> None:
    host.lives[1] = [*lives, failing(-7), steady, steady]
    async with running_pool(host) as pool:
        await pool.ready()
        await trio.sleep(120.0)
        await pool.replace()
    begun = [event for event in host.events() if event.startswith("begins 1")]
    assert begun[len(lives) :] == ["begins 1 after a crash"] * 2 + ["begins 1"]
    assert "and first checks the store's file" in caplog.text


async def test_stopping_does_not_wait_for_a_pause_to_end(host: FakeHost) -> None:
    host.lives[0] = [crashing(after=100.0, code=1), *[failing(3, after=0.0)] * 20]
    async with running_pool(host) as pool:
        await pool.ready()
        await trio.sleep(145.0)
        began = len(host.when("begins 0"))
    assert trio.current_time() == 146.25
    assert len(host.when("begins 0")) == began


async def test_one_told_to_stop_while_its_process_is_made_stops(host: FakeHost) -> None:
    launch, making, made = host.launch, trio.Event(), trio.Event()

    async def slow_launch(slot: int, start: NextStart) -> FakeWorker:
        making.set()
        await made.wait()
        return await launch(slot, start)

    host.launch = slow_launch  # type: ignore[method-assign]
    async with running_pool(host, size=1) as pool:
        await making.wait()
        pool.stop()
        made.set()
    assert host.events()[:2] == ["begins 0", "told 0"]


# --- replacing --------------------------------------------------------------------------------------------------------


async def test_workers_are_replaced_one_at_a_time(host: FakeHost) -> None:
    async with running_pool(host, size=3) as pool:
        await pool.ready()
        await pool.replace()
    assert host.events()[3:12] == [f"{what} {slot}" + end for slot in range(3) for what, end in STEPS]


STEPS = [("told", ""), ("ends", ": 0"), ("begins", "")]


async def test_one_whose_successor_fails_at_first_holds_the_next_up(host: FakeHost) -> None:
    host.lives[0] = [steady, failing(3), failing(3)]
    async with running_pool(host) as pool:
        await pool.ready()
        await pool.replace()
    told = host.events().index("told 1")
    assert host.events()[told - 1] == "begins 0"
    assert len(host.when("begins 0")) == 4


async def test_limits_that_change_hold_for_workers_that_start_from_then_on(host: FakeHost) -> None:
    async def slow_to_stop(worker: FakeWorker) -> None:
        worker.say_ready()
        await worker.beat()
        for _ in range(100):
            await trio.sleep(1.0)
            worker.say(Alive())
        worker.end(0)

    host.lives[0] = [slow_to_stop, slow_to_stop]
    async with running_pool(host, size=1, draining=10.0) as pool:
        await pool.ready()
        pool.set_limits(Limits(draining=100.0))
        await pool.replace()
    assert [event for event in host.events() if event.startswith("ends")] == ["ends 0: -9", "ends 0: 0"]


async def test_one_that_hangs_when_it_is_to_be_replaced_is_killed(host: FakeHost) -> None:
    async def deaf(worker: FakeWorker) -> None:
        worker.say_ready()
        await worker.beat()
        await trio.sleep_forever()

    host.lives[0] = [deaf]
    async with running_pool(host, draining=3_600.0) as pool:
        await pool.ready()
        await trio.sleep(10.0)
        await pool.replace()
    assert host.when("ends 0: -9") == [pytest.approx(16.0, abs=1.0)]


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_one_that_drains_is_given_its_time_and_no_more(host: FakeHost, caplog: pytest.LogCaptureFixture) -> None:
    async def endless(worker: FakeWorker) -> None:
        worker.say_ready()
        await worker.beat()
        worker.told_to_stop = trio.Event()
        await worker.beat()

    host.lives[1] = [endless]
    async with running_pool(host, draining=300.0) as pool:
        await pool.ready()
        await trio.sleep(9.0)
    assert trio.current_time() == 10.0 + 300.0 + 15.0
    assert "worker 1 (process 1001) has not stopped in time; it is killed" in caplog.text


async def test_what_goes_well_is_no_error(host: FakeHost, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running_pool(host) as pool:
        await pool.ready()
        await pool.replace()
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert "worker 0 (process 1000) is ready" in caplog.text
