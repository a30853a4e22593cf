"""Decides when a worker has to be killed: because it has been silent, or has taken to stop, for too long.

A worker is silent when its event loop stands still or the process is stopped. How long it may be silent depends on what
it does: it says so itself when it starts and stops (`Progress`), and while it serves it is `Limits.serving`.

Time in which the supervisor itself did not run is not held against a worker: its messages may lie unread.
"""

from dataclasses import dataclass
from math import inf

from broker.runtime.worker_messages import Message, Progress, Ready

ALIVE_INTERVAL = 1.0  # s between two signs of life of a worker that serves
CHECK_INTERVAL = 1.0  # s between two looks at a worker
ENDING = 15.0  # s beyond the time for draining that a worker may take to stop: it writes what it has in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long what may take, in seconds."""

    draining: float
    """From the moment a worker is told to stop until its last request has ended."""
    first_sign: float = 60.0
    """From the start of a process to its first message: Python and all imports, on a machine with much else to do."""
    serving: float = 5.0
    """Silence while it serves. On an overloaded machine a healthy event loop may be late by a second or two."""
    ending: float = ENDING
    """Beyond draining, until a worker that was told to stop has ended."""


class Watchdog:
    """State: when the worker was last heard, what it does, how long it may be silent, and by when it has to stop."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._heard = self._checked = now
        self._silence = limits.first_sign
        self._doing = "starting"
        self._got_ready = False
        self._stop_by = inf

    def hear(self, message: Message, now: float) -> None:
        """Takes note of a message."""
        self._heard = now
        match message:
            case Progress(step=step, silence=silence):
                self._doing, self._silence = step, silence
            case Ready():
                self._doing, self._silence, self._got_ready = "serving", self._limits.serving, True

    def told_to_stop(self, now: float) -> None:
        """Takes note that the worker was told to stop. One that is not ready has nothing to finish."""
        patience = self._limits.draining + self._limits.ending if self._got_ready else self._limits.serving
        self._stop_by = min(self._stop_by, now + patience)

    def check(self, now: float) -> str | None:
        """Why the worker has to be killed, if it has to. To be called every `CHECK_INTERVAL`."""
        own_lateness = now - self._checked - CHECK_INTERVAL
        self._checked = now
        if own_lateness > CHECK_INTERVAL:
            self._heard += own_lateness
            self._stop_by += own_lateness
        if now >= self._stop_by:
            return "has not stopped in time"
        if now - self._heard >= self._silence:
            return f"has shown no sign of life for {self._silence:g} s while {self._doing}"
        return None
