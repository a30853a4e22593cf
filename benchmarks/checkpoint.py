"""The checkpoint of a long run: how far it has come, what it has counted, and a sample of every second.

A run can be interrupted at any moment and resumed. A portion counts once it and all before it have ended, so that after
a crash the portions that were in flight are sent again, and nothing is counted twice.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.load_client import StreamResult


@dataclass(slots=True)
class RunTotals:
    """Everything counted, over all sessions of a run. Times in seconds."""

    portions: int = 0
    """Ended, from the first without a gap."""
    seconds: float = 0.0
    requests: int = 0
    lookups: int = 0
    inquiries: int = 0
    from_cache: int = 0
    unanswered: int = 0
    """Inquiries that ended as neither FOUND nor NOT_FOUND."""
    lost: int = 0
    """Lookups without a final report."""
    surplus: int = 0
    """Final reports that are duplicates, or about no lookup of their request."""
    failed: int = 0
    """Requests that ended with an error."""
    checked: int = 0
    """Answers recomputed."""
    wrong: int = 0
    asked: int = 0
    """Inquiries the mocks received, without retries, by their own count."""
    duplicates: int = 0
    """Those of them that came while an earlier answer was still valid, by the mocks' own count."""
    broker_cpu: float = 0.0
    mocks_cpu: float = 0.0
    client_cpu: float = 0.0
    peak_rss: float = 0.0
    """Anonymous memory of the broker's largest process, in MiB."""

    def add(self, result: StreamResult) -> None:
        """Counts what came back to one request."""
        self.requests += 1
        self.lookups += result.lookups - result.lost
        self.inquiries += result.summary.inquiries
        self.from_cache += result.from_cache
        self.unanswered += result.unanswered
        self.lost += result.lost
        self.surplus += result.surplus
        self.failed += result.status != "OK"


@dataclass(slots=True)
class OrderedTotals:
    """Adds portions to the totals in the order of their numbers, whatever the order they end in."""

    totals: RunTotals
    _waiting: dict[int, Sequence[StreamResult]] = field(default_factory=dict)

    def enter(self, portion: int, results: Sequence[StreamResult]) -> None:
        """A portion has ended."""
        self._waiting[portion] = results
        while self.totals.portions in self._waiting:
            for result in self._waiting.pop(self.totals.portions):
                self.totals.add(result)
            self.totals.portions += 1


class Sample(NamedTuple):
    """One second of a run. Rates per second, latencies in ms, memory in MiB, CPU in cores; NaN where there is none."""

    seconds: float
    """Since the start, all sessions together."""
    inquiries_per_second: float
    lookups_per_second: float
    bulk_p50_ms: float
    bulk_p99_ms: float
    interactive_p50_ms: float
    interactive_p99_ms: float
    store_mib: float
    """On disk."""
    records: float
    """Subjects in the store, by the broker's own metrics."""
    rss_mib: float
    """Anonymous memory of the broker's largest process."""
    broker_cpu: float
    mocks_cpu: float
    client_cpu: float


class Checkpoint:
    """Totals and samples of a run, in a folder: state.json and replay.csv."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        """Resumes the folder's run; begins a new one if there is none, or if it has finished.

        Raises ValueError if the folder holds an unfinished run with other settings.
        """
        self.totals = RunTotals()
        self._settings = dict(settings)
        self._state = folder / "state.json"
        self._samples = folder / "replay.csv"
        folder.mkdir(parents=True, exist_ok=True)
        state = json.loads(self._state.read_text(encoding="utf-8")) if self._state.exists() else None
        self.is_new = state is None or state["finished"]
        if state is not None and not self.is_new:
            if state["settings"] != self._settings:
                msg = f"{folder} holds an unfinished run with other settings: finish it, or choose another folder"
                raise ValueError(msg)
            self.totals = RunTotals(**state["totals"])
        self._rewrite([sample for sample in self.samples() if sample.seconds <= self.totals.seconds])

    def save(self, *, finished: bool) -> None:
        """Writes the totals from which a later session resumes, atomically."""
        state = {"finished": finished, "settings": self._settings, "totals": asdict(self.totals)}
        written = self._state.with_suffix(".new")
        written.write_text(json.dumps(state, indent=1), encoding="utf-8")
        written.replace(self._state)

    def add_sample(self, sample: Sample) -> None:
        """Appends a sample."""
        with self._samples.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(sample)

    def samples(self) -> list[Sample]:
        """All samples so far."""
        if not self._samples.exists():
            return []
        with self._samples.open(encoding="utf-8", newline="") as file:
            return [Sample(*map(float, row)) for row in list(csv.reader(file))[1:]]

    def _rewrite(self, samples: Sequence[Sample]) -> None:
        with self._samples.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Sample._fields, *samples])
