"""A worker's process: what it asks of Python and of the kernel, its signals, and its link to the supervisor.

Until the worker is ready, SIGTERM and SIGINT end the process at once, whatever it is doing; from then on they stop it
in an orderly way.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import prometheus_client
import uvloop

from broker.config import Config
from broker.runtime.app import serve
from broker.runtime.open_files import allow_open_files, open_files
from broker.runtime.supervisor_link import SupervisorLink
from broker.runtime.worker import Addresses, WorkerSlot
from broker.runtime.worker_messages import Ready
from broker.store.crash_check import check_after_crash

_SWITCH = 0.001  # s the store's writer may keep the loop waiting; Python's default of 5 ms is five steps of bulk work
_CHECK_SILENCE = 90.0  # s; a check that makes no progress is given up before
_STOPPING = (signal.SIGTERM, signal.SIGINT)


def open_link() -> SupervisorLink:
    """The link of this process to its supervisor. To be called first: from now on, this process ends with it."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what the kernel sends if a stopped worker loses its supervisor
    link = SupervisorLink()
    link.open()
    return link


def run_worker(config: Config, slot: WorkerSlot, link: SupervisorLink, *, after_crash: bool = False) -> None:
    """Runs one worker until it is told to stop. Raises `ConfigError` or `StoreError` if it cannot start.

    `after_crash`: whether the store's file may have ended the worker before this one.
    """
    if after_crash and config.store.path:
        checking = partial(link.progress, "checking the store's file", _CHECK_SILENCE)
        checking()
        check_after_crash(Path(config.store.path), checking)
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a second time series per counter, which nobody reads
    sys.setswitchinterval(_SWITCH)
    _run_as_batch_work()
    allow_open_files(open_files(config.server, config.institutions))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, slot, link))


def _run_as_batch_work() -> None:
    """Asks the kernel not to put whoever is at work off the core each time a thread of this process wakes.

    Threads and loops wake each other thousands of times in a second, always for work that can wait for a millisecond.
    Left to itself the kernel switched twice as often, and caches were cold again each time (docs/performance.md).
    """
    with suppress(OSError, AttributeError):  # forbidden, or not Linux: nothing but speed depends on it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _serve(config: Config, slot: WorkerSlot, link: SupervisorLink) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ready(addresses: Addresses) -> None:
        for number in _STOPPING:
            loop.add_signal_handler(number, stop.set)
        message = Ready(os.getpid(), addresses.grpc, addresses.metrics)
        link.ready(message, stop.set, drain_period=config.server.drain_period)

    await serve(config, stop=stop, ready=ready, slot=slot, supervisor=link)
