"""A broker of one worker that keeps account of where its loop's CPU time goes; `benchmarks.inside` starts it.

    python -m benchmarks.timed_worker serve --workers 1 [--config FILE]

Told by SIGUSR1, it writes the account since the last time to costs.json in its working directory. The steps are timed
from outside, by wrapping the functions that make them: the broker itself knows nothing of this.
"""

import gc
import json
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from broker.cli import main
from broker.institutions.dialects import DIALECTS
from broker.institutions.http import HttpInstitution
from broker.institutions.transport import HttpTransport
from broker.investigation import execution
from broker.lanes.fan_out import Aggregator
from broker.lanes.lane import Lane
from broker.serving import contract, lookups
from broker.serving.pipeline import Pipeline
from broker.serving.service import InvestigationService
from broker.store.lmdb_store import LmdbStore

ACCOUNT = "costs.json"
COLLECTOR = "garbage collector"
REST = "gRPC, loops, and what is not named here"
OTHERS = "other threads: the store's writer, gRPC's, trio's"

STEPS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("cut and check the request", contract, ("read_request",)),
    ("read and check the lookups, keys", lookups, ("read_lookups",)),
    ("read the store", LmdbStore, ("get_many",)),
    ("plan", execution, ("plan",)),
    ("take up hits and misses", execution.Execution, ("_take_up", "run", "_read")),
    ("send", execution.Execution, ("_send", "_send_last")),
    ("the request, around all that", Pipeline, ("investigate", "_read")),
    ("the request, around all that", InvestigationService, ("investigate",)),
    *(("encode questions", type(dialect), ("encode",)) for dialect in DIALECTS.values()),
    *(("decode replies", type(dialect), ("decode",)) for dialect in DIALECTS.values()),
    ("HTTP", HttpTransport, ("post",)),
    ("HTTP", HttpInstitution, ("ask",)),
    ("lanes: cut batches, follow flights, settle", Lane, ("submit", "_travel", "_settle", "_finish")),
    ("put into the store", Lane, ("_remember",)),
    ("assemble and write reports", Aggregator, ("add", "deliver")),
]
"""What each step is called, and the functions it is made of: a module or class, and names in it."""


class Account:
    """CPU time of one thread by step, each without what it calls that is a step itself.

    State: seconds by step, and the steps under way, each with the moment from which it has not been charged yet.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._under_way: list[str] = []
        self._since = 0.0

    def begin(self, name: str) -> None:
        """Charges what happens from now on to this step."""
        self._charge()
        self._under_way.append(name)

    def end(self) -> None:
        """Ends the step last begun; the one around it is charged again."""
        self._charge()
        self._under_way.pop()

    def _charge(self) -> None:
        now = self._clock()
        if self._under_way:
            self.seconds[self._under_way[-1]] += now - self._since
        self._since = now

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, charged to a step; of a coroutine, only the time it runs."""
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

    def follow_collector(self) -> None:
        """Has garbage collections in this thread charged as a step of their own."""

        def follow(phase: str, _: dict[str, int]) -> None:
            if threading.current_thread() is threading.main_thread():
                if phase == "start":
                    self.begin(COLLECTOR)
                else:
                    self.end()

        gc.callbacks.append(follow)


class _Charged:
    """A coroutine, each of whose turns is charged."""

    def __init__(self, account: Account, name: str, coroutine: Awaitable[Any]) -> None:
        self._account = account
        self._name = name
        self._fair_lock = coroutine.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        value, error = None, None
        while True:
            self._account.begin(self._name)
            try:
                waits_for = self._fair_lock.throw(error) if error else self._fair_lock.send(value)
            except StopIteration as end:
                return end.value
            finally:
                self._account.end()
            value, error = None, None
            try:
                value = yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - it is the coroutine's to handle
                error = thrown


def install(account: Account) -> None:
    """Wraps the functions of all steps. Raises `AttributeError` if one is gone."""
    for step, owner, names in STEPS:
        for name in names:
            setattr(owner, name, account.wrap(step, getattr(owner, name)))


def _write(account: Account, since: list[float]) -> None:
    loop, process = time.thread_time(), time.process_time()
    seconds = dict(account.seconds)
    seconds[REST] = loop - since[0] - sum(seconds.values())
    seconds[OTHERS] = process - since[1] - (loop - since[0])
    unfinished = Path(f"{ACCOUNT}.new")
    unfinished.write_text(json.dumps(seconds), encoding="utf-8")
    unfinished.replace(ACCOUNT)
    account.seconds.clear()
    since[:] = time.thread_time(), time.process_time()


if __name__ == "__main__":
    kept = Account(time.thread_time)
    install(kept)
    began = [0.0, 0.0]
    signal.signal(signal.SIGUSR1, lambda *_: _write(kept, began))
    kept.follow_collector()
    main()
