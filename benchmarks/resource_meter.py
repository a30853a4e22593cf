"""Measures what a piece of work costs a testbed: wall time, CPU time and peak memory."""

import threading
import time
from dataclasses import dataclass, field
from typing import Self

from benchmarks.testbed import Testbed

_INTERVAL = 0.2  # s between two readings of the broker's memory


@dataclass(slots=True)
class ResourceMeter:
    """A context manager; the figures are complete when the context ends. All times in seconds."""

    testbed: Testbed
    seconds: float = 0.0
    """Wall time."""
    broker_cpu: float = 0.0
    mocks_cpu: float = 0.0
    client_cpu: float = 0.0
    """Of this process."""
    peak_rss_mib: float = 0.0
    """Anonymous memory of the broker's largest process; pages of mapped files do not count."""
    _began: tuple[float, ...] = ()
    _ended: threading.Event = field(default_factory=threading.Event)
    _sampler: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._sampler = threading.Thread(target=self._sample_memory, daemon=True)
        self._sampler.start()
        self._began = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        now = self._read()
        self._ended.set()
        if self._sampler is not None:
            self._sampler.join()
        self.seconds, self.broker_cpu, self.mocks_cpu, self.client_cpu = (
            after - before for after, before in zip(now, self._began, strict=True)
        )

    def _read(self) -> tuple[float, ...]:
        testbed = self.testbed
        return time.perf_counter(), testbed.broker.cpu_seconds(), testbed.mocks.cpu_seconds(), time.process_time()

    def _sample_memory(self) -> None:
        while True:
            self.peak_rss_mib = max(self.peak_rss_mib, self.testbed.broker.rss_mib())
            if self._ended.wait(_INTERVAL):
                return
