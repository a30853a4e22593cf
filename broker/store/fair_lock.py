"""FairLock of two threads at one interpreter.

LMDB's binding lets go of the interpreter around every record it reads, and a thread that has work to do in Python takes
it each time, for at least a switch interval: a batch of reads would take hundreds of those. So the writer works in
slices, and whoever reads waits for one to end and then has no rival.
"""

import threading


class FairLock:
    """Mutual exclusion in which nobody is overtaken: whoever ends a turn and wants another goes behind who waits.

    A plain lock would go to the thread that has just released it, which is running, before the other one wakes.
    """

    def __init__(self) -> None:
        self._next = threading.Lock()  # held by whoever waits
        self._current = threading.Lock()

    def __enter__(self) -> None:
        with self._next:
            self._current.acquire()

    def __exit__(self, *_: object) -> None:
        self._current.release()
