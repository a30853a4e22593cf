"""All workers of a host: started together, replaced one by one, stopped together. Trio only."""

from collections.abc import Sequence

import trio

from broker.runtime.supervised_slot import Launch, SupervisedSlot
from broker.runtime.watchdog import Limits
from broker.runtime.worker_messages import Ready


class WorkerPool:
    """State: its slots."""

    def __init__(self, size: int, *, launch: Launch, limits: Limits) -> None:
        self.size = size
        self._slots = [SupervisedSlot(slot, launch, limits) for slot in range(size)]

    async def run(self) -> None:
        """Keeps all workers running until `stop`.

        Raises a group of `WorkerFailedError` if one cannot be started the first time; the others are killed then.
        """
        async with trio.open_nursery() as nursery:
            for slot in self._slots:
                nursery.start_soon(slot.run)

    def set_limits(self, limits: Limits) -> None:
        """Changes what workers may take that start from now on."""
        for slot in self._slots:
            slot.limits = limits

    async def ready(self) -> Sequence[Ready]:
        """Waits until all workers are ready. Where they can be reached, by slot."""
        for slot in self._slots:
            await slot.ready.wait()
        return [slot.worker for slot in self._slots if slot.worker is not None]

    async def replace(self) -> None:
        """Replaces one worker after the other."""
        for slot in self._slots:
            await slot.replace()

    def tell(self, message: bytes) -> None:
        """Tells all workers something."""
        for slot in self._slots:
            slot.tell(message)

    def stop(self) -> None:
        """Tells all workers to stop."""
        for slot in self._slots:
            slot.stop()
