"""Decides what follows when a worker has ended: whether another one starts, and when.

* A worker whose end was wanted is followed at once.
* A worker that ended by itself, or had to be killed, is followed at once if it had lived, else after a growing pause.
* If the first worker of a slot never gets ready, the broker does not start: the configuration or the machine is wrong.
"""

import signal
from dataclasses import dataclass

_LIVED = 10.0  # s after which a worker counts as having lived
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # s before a worker follows one that did not live


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnd:
    """How a worker ended."""

    code: int
    """Exit code; negative: the number of the signal that ended it."""
    lived: float
    """Seconds from its start."""
    got_ready: bool
    wanted: bool = False
    """Whether it was told to stop."""

    def __str__(self) -> str:
        """For the log."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            return f"was ended by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was ended by signal {-self.code}"


class RestartPolicy:
    """State: whether a worker of this slot has ever got ready, and how many in a row did not live."""

    def __init__(self) -> None:
        self._ever_ready = False
        self._short_lives = 0

    def after(self, end: WorkerEnd) -> float | None:
        """Seconds until another worker starts. None: none does, the broker cannot start."""
        self._ever_ready |= end.got_ready
        if not (self._ever_ready or end.wanted):
            return None
        self._short_lives = 0 if end.wanted or end.lived > _LIVED else self._short_lives + 1
        return _PAUSES[min(self._short_lives, len(_PAUSES)) - 1] if self._short_lives else 0.0
