"""A value that is made from files, and made anew when they change.

Whoever replaces files does it one after the other, so they are read when they have been at rest between two looks. If
they cannot be used then, the old value stays in force, which is logged and counted once. They are tried again at each
look: a certificate that is not valid yet will be.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from broker.errors import ConfigError, origin

log = logging.getLogger(__name__)

T = TypeVar("T")

_Mark = tuple[int, int, int] | None  # of a file: inode, moment of change, size


class ReloadedFiles(Generic[T]):
    """State: the value in force, what the files looked like when they were read and when that failed, and how often."""

    def __init__(self, what: str, files: Sequence[str], load: Callable[[], T]) -> None:
        """Loads at once. `what`: for the log. `load` reads the files, and raises `ConfigError`, as this does."""
        self.failures = 0
        self._what = what
        self._files = files
        self._load = load
        self._failed_at: list[_Mark] | None = None
        self._read_at = self._seen = self._marks()
        self.value = load()

    def look(self) -> bool:
        """Looks whether the files have changed; to be called at intervals. Returns whether there is a new value."""
        marks = self._marks()
        at_rest, self._seen = marks == self._seen, marks
        if marks == self._read_at or not at_rest:
            return False
        try:
            value = self._load()
        except ConfigError as error:
            self._fail(marks, "; ".join(error.faults))
            return False
        except Exception as error:  # noqa: BLE001 - whatever a new file holds, the next one has to be noticed
            self._fail(marks, origin(error))
            return False
        self._read_at = marks
        if value == self.value:
            return False
        self.value = value
        log.info("%s: the files have changed, and are in force", self._what)
        return True

    def _fail(self, marks: list[_Mark], reason: str) -> None:
        if marks != self._failed_at:
            self._failed_at = marks
            self.failures += 1
            log.error("%s: the new files are not used, the old ones stay in force: %s", self._what, reason)

    def _marks(self) -> list[_Mark]:
        return [_mark(file) for file in self._files]


def _mark(file: str) -> _Mark:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
