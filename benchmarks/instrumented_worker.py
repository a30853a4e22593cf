"""A broker of one worker that measures the CPU time of each step of its loop; `benchmarks.worker_cpu` starts it.

    python -m benchmarks.instrumented_worker --config FILE

Steps are timed from outside, by wrapping the functions they consist of; the broker itself contains nothing for this.
"""

import gc
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from benchmarks.unsupervised_worker import main
from benchmarks.worker_report import publish
from broker.institutions.dialects import DIALECTS
from broker.institutions.http import HttpInstitution
from broker.institutions.transport import HttpTransport
from broker.investigation import execution
from broker.investigation.aggregation import Aggregator
from broker.investigation.report_sender import ReportSender
from broker.lanes.call import Call
from broker.lanes.lane import Lane
from broker.lanes.settlement import Settlement
from broker.runtime import worker_process
from broker.serving import contract, lookups
from broker.serving.pipeline import Pipeline
from broker.serving.service import InvestigationService
from broker.store.lmdb_store import LmdbStore

COLLECTOR = "garbage collector"
REST = "gRPC, event loops, and everything not listed"
OTHERS = "other threads: the store's writer, gRPC's, trio's"

STEPS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("split and check the request", contract, ("read_request",)),
    ("read and check the lookups, keys", lookups, ("read_lookups",)),
    ("read the store", LmdbStore, ("get_many",)),
    ("plan", execution, ("plan",)),
    ("separate hits from misses", execution.Execution, ("_take_up", "run", "_read")),
    ("send", ReportSender, ("send",)),
    ("the request, around these steps", Pipeline, ("investigate", "_read")),
    ("the request, around these steps", InvestigationService, ("investigate",)),
    *(("encode questions", type(dialect), ("encode",)) for dialect in DIALECTS.values()),
    *(("decode replies", type(dialect), ("decode",)) for dialect in DIALECTS.values()),
    ("HTTP", HttpTransport, ("post",)),
    ("HTTP", HttpInstitution, ("ask",)),
    ("lanes: form batches, join flights, deliver", Lane, ("reserve", "ask", "_run_call")),
    ("lanes: form batches, join flights, deliver", Call, ("run", "_settle")),
    ("lanes: form batches, join flights, deliver", Settlement, ("_finish",)),
    ("put into the store", Settlement, ("_remember",)),
    ("assemble and write reports", Aggregator, ("add", "deliver")),
]
"""Each step's name, and the functions it consists of: a module or class, and names in it."""


class StepClock:
    """CPU time of one thread by step, without the steps that a step calls.

    State: seconds by step, the stack of steps in progress, and the moment until which time has been charged.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._stack: list[str] = []
        self._since = 0.0

    def begin(self, name: str) -> None:
        """Charges time from now on to this step."""
        self._charge()
        self._stack.append(name)

    def end(self) -> None:
        """Ends the step begun last; time is charged to the one around it again."""
        self._charge()
        self._stack.pop()

    def _charge(self) -> None:
        now = self._clock()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time charged to a step; of a coroutine, only the time it runs."""
        if iscoroutinefunction(function):

            @wraps(function)
            async def timed_coroutine(*args: Any, **kwargs: Any) -> Any:
                return await _Charged(self, name, function(*args, **kwargs))

            return timed_coroutine

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self.begin(name)
            try:
                return function(*args, **kwargs)
            finally:
                self.end()

        return timed

    def time_collector(self) -> None:
        """Charges garbage collections in this thread as a step of their own."""

        def on_collection(phase: str, _: dict[str, int]) -> None:
            if threading.current_thread() is threading.main_thread():
                if phase == "start":
                    self.begin(COLLECTOR)
                else:
                    self.end()

        gc.callbacks.append(on_collection)


class _Charged:
    """A coroutine whose every resumption is charged to a step."""

    def __init__(self, clock: StepClock, name: str, coroutine: Awaitable[Any]) -> None:
        self._clock = clock
        self._name = name
        self._generator = coroutine.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        value, error = None, None
        while True:
            self._clock.begin(self._name)
            try:
                awaited = self._generator.throw(error) if error else self._generator.send(value)
            except StopIteration as end:
                return end.value
            finally:
                self._clock.end()
            value, error = None, None
            try:
                value = yield awaited
            except BaseException as thrown:  # noqa: BLE001 - the coroutine handles it
                error = thrown


def install(clock: StepClock) -> None:
    """Wraps the functions of all steps. Raises `AttributeError` if one no longer exists."""
    for step, owner, names in STEPS:
        for name in names:
            setattr(owner, name, clock.wrap(step, getattr(owner, name)))


def _report(clock: StepClock, since: list[float]) -> dict[str, float]:
    """CPU seconds by step since the last report."""
    loop, process = time.thread_time(), time.process_time()
    seconds = dict(clock.seconds)
    seconds[REST] = loop - since[0] - sum(seconds.values())
    seconds[OTHERS] = process - since[1] - (loop - since[0])
    clock.seconds.clear()
    since[:] = time.thread_time(), time.process_time()
    return seconds


if __name__ == "__main__":
    steps = StepClock(time.thread_time)
    install(steps)
    began = [0.0, 0.0]
    publish(lambda: _report(steps, began))
    steps.time_collector()
    worker_process.PROGRAM = "benchmarks.instrumented_worker"
    main()
