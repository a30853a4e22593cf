"""Decides what follows when a worker has ended: whether another one starts, when, and whether it checks the store.

* A worker whose end was wanted is followed at once.
* A worker that ended by itself, or had to be killed, is followed at once if it had lived, else after a growing pause.
* If the first worker of a slot never gets ready, the broker does not start: the configuration or the machine is wrong.
* After a death that a damaged file can cause, by a signal or by hanging twice in a row, the file is suspected: the next
  worker checks it before it opens it, and so does each one until one has got ready. Even the first is followed then.
"""

import signal
from dataclasses import dataclass

from broker.store.file_check import SIGNALS_OF_DAMAGE

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
    hung: bool = False
    """Whether it was killed because it showed no sign of life."""

    def __str__(self) -> str:
        """For the log."""
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            return f"was ended by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was ended by signal {-self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStart:
    """How the next worker starts."""

    pause: float = 0.0
    """Seconds until then."""
    after_crash: bool = False
    """Whether it checks the store's file before it opens it."""


class RestartPolicy:
    """State: whether a worker of this slot has ever got ready, how many in a row did not live, and the suspicion."""

    def __init__(self) -> None:
        self._ever_ready = False
        self._short_lives = 0
        self._hung = False
        self._suspicious = False

    def after(self, end: WorkerEnd) -> NextStart | None:
        """What follows this end. None: no other worker starts, the broker cannot."""
        was_suspicious = self._suspicious
        may_be_the_file = -end.code in SIGNALS_OF_DAMAGE or (end.hung and self._hung)
        self._suspicious = may_be_the_file or (was_suspicious and not end.got_ready)
        self._hung = end.hung
        self._ever_ready |= end.got_ready
        if not (self._ever_ready or end.wanted or (may_be_the_file and not was_suspicious)):
            return None
        self._short_lives = 0 if end.wanted or end.lived > _LIVED else self._short_lives + 1
        pause = _PAUSES[min(self._short_lives, len(_PAUSES)) - 1] if self._short_lives else 0.0
        return NextStart(pause=pause, after_crash=self._suspicious)
