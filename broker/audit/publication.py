"""Publishes a log as tiles and a checkpoint (C2SP tlog-tiles), which any static file server can serve.

All of it follows from the journal. A checkpoint is published only when all tiles that it covers are durable. So nothing
before it need ever be published again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from broker.audit.files import Files
from broker.audit.tlog.tiles import Resource, TileEdge, partial_folder

CHECKPOINT = "checkpoint"
INTERVAL = 1.0
"""Seconds between two publications, unless a tile has become whole."""


class Unpublished(NamedTuple):
    """What a commit has to be published."""

    whole: Sequence[Resource]
    """Tiles that have become whole."""
    edge: TileEdge
    checkpoint: str
    """Signed."""


def publish(files: Files, unpublished: Unpublished) -> None:
    """Publishes what a log consists of now. Raises `OSError`."""
    whole = dict(unpublished.whole)
    files.replace([*whole.items(), *unpublished.edge.resources()])
    files.replace([(CHECKPOINT, unpublished.checkpoint.encode())])
    for path in whole:
        files.delete(partial_folder(path))


class Publisher:
    """Publishes what commits offer, in a thread of its own: the newest of them at most once in a while.

    State: what is offered, and what is to be done about it. `_wake` guards all of it.
    """

    def __init__(
        self, files: Files, *, on_failure: Callable[[BaseException], None], interval: float = INTERVAL
    ) -> None:
        """`on_failure` is called in the thread."""
        self._files = files
        self._on_failure = on_failure
        self._interval = interval
        self._wake = threading.Condition()
        self._whole: list[Resource] = []
        self._newest: Unpublished | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="audit-publisher", daemon=True)
        self._thread.start()

    def offer(self, unpublished: Unpublished) -> None:
        """Takes what a commit has made."""
        with self._wake:
            self._whole += unpublished.whole
            self._newest = unpublished
            if unpublished.whole:  # otherwise it waits for the next look, so that commits wake nobody
                self._wake.notify_all()

    def close(self) -> None:
        """Publishes what is left, and ends."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (unpublished := self._take()) is not None:
                publish(self._files, unpublished)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log must not go on unseen
            self._on_failure(error)

    def _take(self) -> Unpublished | None:
        """Waits for something to publish, and for the time to do so. None at the end."""
        due = time.monotonic() + self._interval
        with self._wake:
            while not (self._newest or self._closing):
                self._wake.wait(self._interval)
            self._wake.wait_for(lambda: self._whole or self._closing, timeout=max(0.0, due - time.monotonic()))
            taken, self._newest = self._newest, None
            whole, self._whole = self._whole, []
        return taken and taken._replace(whole=whole)
