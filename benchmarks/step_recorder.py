"""Measures how long an event loop is occupied by each step: the callbacks it runs, and the pauses of the collector.

While a step runs, the loop does nothing else: any other request waits at least as long as the longest step. A step is
measured by two clocks: by wall time, which includes waiting for a core or for the interpreter, and by the CPU time of
the thread, which does not depend on what else the machine does.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

Clock = Callable[[], float]


@dataclass(slots=True)
class StepRecorder:
    """The longest steps since the last report. Seconds."""

    wall: Clock
    cpu: Clock
    over: float
    """Steps of more CPU time than this are counted."""
    longest_wall: float = 0.0
    longest_cpu: float = 0.0
    longest_step: str = ""
    """What ran in the step of the longest CPU time."""
    longest_collection: float = 0.0
    """CPU time of a garbage collection, which is part of the step it interrupts."""
    steps: int = 0
    steps_over: int = 0
    _collection_began: float = field(default=0.0)

    def time(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The callback, measured whenever it is called."""

        def timed(*args: Any) -> Any:
            wall, cpu = self.wall(), self.cpu()
            try:
                return callback(*args)
            finally:
                self._add(callback, self.wall() - wall, self.cpu() - cpu)

        return timed

    def _add(self, callback: Callable[..., Any], wall: float, cpu: float) -> None:
        self.steps += 1
        self.steps_over += cpu > self.over
        self.longest_wall = max(self.longest_wall, wall)
        if cpu > self.longest_cpu:
            self.longest_cpu, self.longest_step = cpu, describe(callback)

    def on_collection(self, phase: str, _: dict[str, int]) -> None:
        """To be called at the start and the end of garbage collections (`gc.callbacks`)."""
        if phase == "start":
            self._collection_began = self.cpu()
        else:
            self.longest_collection = max(self.longest_collection, self.cpu() - self._collection_began)

    def report(self) -> dict[str, Any]:
        """The measurements, which begin again."""
        report = {
            "longest_wall": self.longest_wall,
            "longest_cpu": self.longest_cpu,
            "longest_step": self.longest_step,
            "longest_collection": self.longest_collection,
            "steps": self.steps,
            "steps_over": self.steps_over,
        }
        self.longest_wall = self.longest_cpu = self.longest_collection = 0.0
        self.longest_step, self.steps, self.steps_over = "", 0, 0
        return report


def describe(callback: Callable[..., Any]) -> str:
    """A name for a callback: that of the coroutine if it resumes a task, or of the function."""
    owner = getattr(callback, "__self__", None)
    subject: Any = owner.get_coro() if isinstance(owner, asyncio.Task) else getattr(callback, "func", callback)
    return getattr(subject, "__qualname__", "") or type(subject).__name__


# The methods of a loop that take a callback, and its index among their arguments.
_CALLBACKS = {"call_soon": 0, "call_soon_threadsafe": 0, "call_later": 1, "call_at": 1, "add_reader": 1}


def recording_loop(recorder: StepRecorder) -> uvloop.Loop:
    """A uvloop whose steps are measured, except those its own transports run: receiving HTTP replies."""

    def measured(method: Callable[..., Any], index: int) -> Callable[..., Any]:
        def schedule(self: uvloop.Loop, *args: Any, **kwargs: Any) -> Any:
            before, callback, after = args[:index], args[index], args[index + 1 :]
            return method(self, *before, recorder.time(callback), *after, **kwargs)

        return schedule

    methods = {name: measured(getattr(uvloop.Loop, name), index) for name, index in _CALLBACKS.items()}
    loop: uvloop.Loop = type("RecordingLoop", (uvloop.Loop,), methods)()
    return loop
