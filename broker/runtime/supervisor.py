"""Runs a pool of workers, and obeys the operator's signals. Trio only.

* SIGTERM, SIGINT: all workers are told to stop, and given the time for draining.
* SIGHUP: if the configuration is still valid, one worker after the other is replaced by one that has read it anew. One
  that comes while the broker starts waits until it has started.

A worker that ends by itself is replaced (restart_policy), and one that hangs is killed before (watchdog).
"""

import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial

import trio

from broker.runtime.held_signals import release_reloads
from broker.runtime.supervised_slot import WorkerFailedError
from broker.runtime.worker_messages import RELOAD_REFUSED, Ready
from broker.runtime.worker_pool import WorkerPool

log = logging.getLogger(__name__)

OnReady = Callable[[Sequence[Ready]], None]


def supervise(pool: WorkerPool, *, on_ready: OnReady, may_reload: Callable[[], bool]) -> None:
    """Runs a pool until told to stop. Calls `on_ready` with where each worker can be reached, once all are ready.

    `may_reload` is asked on SIGHUP. Raises `WorkerFailedError` if a worker cannot be started the first time.
    """
    trio.run(partial(_supervise, pool, on_ready, may_reload))


async def _supervise(pool: WorkerPool, on_ready: OnReady, may_reload: Callable[[], bool]) -> None:
    failed: list[WorkerFailedError] = []
    begun = trio.current_time()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        release_reloads()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pool.run)
                await _obey(signals, pool, partial(_started, on_ready, begun), may_reload)
                begun = trio.current_time()
                pool.stop()
        except* WorkerFailedError as group:
            failed += _flat(group)
    if failed:
        raise failed[0]
    log.info("stopped: workers: %d; it took %.1f s", pool.size, trio.current_time() - begun)


def _started(on_ready: OnReady, begun: float, workers: Sequence[Ready]) -> None:
    seconds = trio.current_time() - begun
    log.info("started: workers: %d; address: %s; it took %.1f s", len(workers), workers[0].grpc, seconds)
    on_ready(workers)


async def _obey(
    signals: AsyncIterator[int], pool: WorkerPool, on_ready: OnReady, may_reload: Callable[[], bool]
) -> None:
    """Tells when all are ready, and replaces them when asked, until told to stop."""
    ask_reload, reloads = trio.open_memory_channel[None](1)  # while one is obeyed, one more is remembered

    async def reload() -> None:
        workers = await pool.ready()
        on_ready(workers)
        address = workers[0].grpc
        async for _ in reloads:
            begun = trio.current_time()
            if may_reload():
                await pool.replace()
                seconds = trio.current_time() - begun
                log.info("reloaded: workers: %d; address: %s; it took %.1f s", pool.size, address, seconds)
            else:
                pool.tell(RELOAD_REFUSED)

    # Beside it: while a worker is waited for, the supervisor can still be told to stop.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reload)
        async for number in signals:
            if number != signal.SIGHUP:
                break
            with suppress(trio.WouldBlock):
                ask_reload.send_nowait(None)
        nursery.cancel_scope.cancel()


def _flat(group: BaseExceptionGroup[WorkerFailedError]) -> list[WorkerFailedError]:
    found: list[WorkerFailedError] = []
    for error in group.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
