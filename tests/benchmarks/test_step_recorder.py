"""The longest steps of a loop are found, by either clock, and named."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from benchmarks.step_recorder import StepRecorder, recording_loop


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


WALL, CPU = FakeClock(), FakeClock()


def work(wall: float, cpu: float, done: Callable[[], object] = lambda: None) -> None:
    """Takes so long."""
    WALL.now += wall
    CPU.now += cpu
    done()


@pytest.fixture
def recorder() -> StepRecorder:
    return StepRecorder(WALL, CPU, over=0.010)


def test_the_longest_steps_by_both_clocks(recorder: StepRecorder) -> None:
    step = recorder.time(work)
    for wall, cpu in ((0.003, 0.002), (0.080, 0.001), (0.020, 0.015), (0.012, 0.011)):
        step(wall, cpu)
    report = recorder.report()
    assert report["longest_wall"] == pytest.approx(0.080)
    assert report["longest_cpu"] == pytest.approx(0.015)
    assert report["longest_step"] == "work"
    assert (report["steps"], report["steps_over"]) == (4, 2)


def test_a_report_begins_the_next_one(recorder: StepRecorder) -> None:
    recorder.time(work)(1.0, 1.0)
    recorder.report()
    assert set(recorder.report().values()) == {0.0, ""}


def test_a_step_that_fails_is_measured(recorder: StepRecorder) -> None:
    def fail() -> None:
        work(1.0, 0.5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recorder.time(fail)()
    assert recorder.report()["longest_cpu"] == pytest.approx(0.5)


def test_the_longest_collection(recorder: StepRecorder) -> None:
    for seconds in (0.1, 0.4, 0.2):
        recorder.on_collection("start", {})
        work(seconds, seconds)
        recorder.on_collection("stop", {})
    assert recorder.report()["longest_collection"] == pytest.approx(0.4)


Done = Callable[[], None]


async def in_a_task(done: Done) -> None:
    await asyncio.sleep(0)
    work(0.0, 1.0, done)


async def in_a_callback(done: Done) -> None:
    asyncio.get_running_loop().call_soon(work, 0.0, 2.0, done)


async def in_a_timer(done: Done) -> None:
    asyncio.get_running_loop().call_later(0.0, work, 0.0, 3.0, done)


async def in_a_thread(done: Done) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, work, 0.0, 4.0, done)


@pytest.mark.parametrize(
    ("scenario", "seconds", "name"),
    [
        (in_a_task, 1.0, "in_a_task"),
        (in_a_callback, 2.0, "work"),
        (in_a_timer, 3.0, "work"),
        (in_a_thread, 4.0, "work"),
    ],
)
def test_every_kind_of_step_is_measured(
    recorder: StepRecorder, scenario: Callable[[Done], Coroutine[Any, Any, None]], seconds: float, name: str
) -> None:
    async def main() -> None:
        done = asyncio.Event()
        await asyncio.create_task(scenario(done.set))
        await done.wait()

    with asyncio.Runner(loop_factory=lambda: recording_loop(recorder)) as runner:
        runner.run(main())
    report = recorder.report()
    assert report["longest_cpu"] == pytest.approx(seconds)
    assert report["longest_step"] == name
