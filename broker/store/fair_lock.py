"""A lock that readers and the writer of a store take in turns.

LMDB's Python binding releases the interpreter lock around every record it reads. A thread that is busy in Python takes
the lock each time, and keeps it for at least a switch interval, so a batch of reads would be delayed by hundreds of
intervals. Therefore the writer works in short slices under this lock, and a reader holds it for a whole batch.
"""

import threading


class FairLock:
    """A mutex that is granted in the order of requests: a thread that releases it cannot take it before one that waits.

    A `threading.Lock` is usually taken again by the thread that has just released it, since that one is running.
    """

    def __init__(self) -> None:
        self._next = threading.Lock()  # held by the thread that is next
        self._current = threading.Lock()

    def __enter__(self) -> None:
        with self._next:
            self._current.acquire()

    def __exit__(self, *_: object) -> None:
        self._current.release()
