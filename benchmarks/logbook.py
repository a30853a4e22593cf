"""What a long run writes down: how far it has come, what it has counted until there, what it was like every second.

So it can be interrupted at any moment and resumed. A portion counts once it and all before it have ended: after a crash
what was under way is sent again, and nothing is counted twice.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.courier import Reply


@dataclass(slots=True)
class Totals:
    """Everything counted, over all sittings. Times in seconds."""

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
    """Reports nobody asked for."""
    failed: int = 0
    """Requests that ended with an error."""
    checked: int = 0
    """Answers recomputed."""
    wrong: int = 0
    asked: int = 0
    """Inquiries the mocks got for the first time, by their own count."""
    duplicates: int = 0
    """Those of them that came while an answer given before was still good, by their own count."""
    broker_cpu: float = 0.0
    mocks_cpu: float = 0.0
    client_cpu: float = 0.0
    peak_rss: float = 0.0
    """MiB of the broker's largest process, without pages of mapped files."""

    def add(self, reply: Reply) -> None:
        """Counts what came back to one request."""
        self.requests += 1
        self.lookups += reply.asked - reply.lost
        self.inquiries += reply.summary.inquiries
        self.from_cache += reply.from_cache
        self.unanswered += reply.unanswered
        self.lost += reply.lost
        self.surplus += reply.surplus
        self.failed += reply.status != "OK"


@dataclass(slots=True)
class Ledger:
    """Adds portions to the totals in their order, whatever the order they end in."""

    totals: Totals
    _waiting: dict[int, Sequence[Reply]] = field(default_factory=dict)

    def enter(self, portion: int, replies: Sequence[Reply]) -> None:
        """A portion has ended."""
        self._waiting[portion] = replies
        while self.totals.portions in self._waiting:
            for reply in self._waiting.pop(self.totals.portions):
                self.totals.add(reply)
            self.totals.portions += 1


class Sample(NamedTuple):
    """One second of a run. Rates per second, latencies in ms, memory in MiB, CPU in cores; NaN where nothing was."""

    seconds: float
    """Since the start, sittings added up."""
    inquiries_per_second: float
    lookups_per_second: float
    bulk_p50_ms: float
    bulk_p99_ms: float
    interactive_p50_ms: float
    interactive_p99_ms: float
    store_mib: float
    """On disk."""
    records: float
    """Subjects the store holds, by the broker's own metrics."""
    rss_mib: float
    """Of the broker's largest process, without pages of mapped files."""
    broker_cpu: float
    mocks_cpu: float
    client_cpu: float


class Logbook:
    """Totals and samples of a run, in a folder: state.json and replay.csv."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        """Takes the folder's run up again; begins a new one if there is none, or if it has ended.

        Raises ValueError if the folder holds an unfinished run with other settings.
        """
        self.totals = Totals()
        self._settings = dict(settings)
        self._state = folder / "state.json"
        self._samples = folder / "replay.csv"
        folder.mkdir(parents=True, exist_ok=True)
        state = json.loads(self._state.read_text(encoding="utf-8")) if self._state.exists() else None
        self.is_new = state is None or state["finished"]
        if state is not None and not self.is_new:
            if state["settings"] != self._settings:
                msg = f"{folder} holds an unfinished run with other settings"
                raise ValueError(msg)
            self.totals = Totals(**state["totals"])
        self._rewrite([sample for sample in self.samples() if sample.seconds <= self.totals.seconds])

    def save(self, *, finished: bool) -> None:
        """Makes the totals the ones a resumed run begins with. Replaces the file as a whole or not at all."""
        state = {"finished": finished, "settings": self._settings, "totals": asdict(self.totals)}
        written = self._state.with_suffix(".new")
        written.write_text(json.dumps(state, indent=1), encoding="utf-8")
        written.replace(self._state)

    def note(self, sample: Sample) -> None:
        """Adds a sample."""
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
