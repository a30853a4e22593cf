"""A workload prepared on disk: every lookup is encoded once, before the measurement, and requests are slices of that.

A folder holds the schedule, the kind of each subject, the encoded lookups one after the other, and the offset of each.
All files are mapped, not read.

A *portion* is a stretch of the schedule: one bulk request, and the one-lookup requests sent beside it. It can be made
again from its number alone, which is how an interrupted run resumes.
"""

import json
import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from mmap import ACCESS_READ, mmap
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.lookup_encoder import EncodedRequest, LookupEncoder, request_head
from benchmarks.workload import Schedule, WorkloadSpec, draw
from broker.v1 import investigation_pb2 as pb

_TASK_SIZE = 1 << 15  # subjects encoded by one task: a fraction of a second, so that all cores finish together

Advance = Callable[[int, int], None]
"""Told how many subjects are encoded, and of how many."""


def prepare(folder: Path, spec: WorkloadSpec, advance: Advance = lambda _done, _all: None) -> None:
    """Fills the folder, unless it already holds this workload. 195 million inquiries take 0.9 GB."""
    marker, wanted = folder / "spec.json", json.dumps(asdict(spec))
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker.unlink(missing_ok=True)
    schedule = draw(spec)
    np.save(folder / "subjects.npy", schedule.subjects)
    np.save(folder / "kinds.npy", schedule.kinds)
    _write_lookups(folder, spec.seed, schedule.kinds, advance)
    marker.write_text(wanted, encoding="utf-8")  # last: a folder without it is incomplete


def _write_lookups(folder: Path, seed: int, kinds: NDArray[np.uint8], advance: Advance) -> None:
    starts = range(0, len(kinds), _TASK_SIZE)
    parts = [kinds[start : start + _TASK_SIZE] for start in starts]
    lengths, done = [np.zeros(1, dtype=np.int64)], 0
    spawning = get_context("spawn")  # gRPC does not survive a fork
    with (
        ProcessPoolExecutor(mp_context=spawning, initializer=_open_encoder, initargs=(seed,)) as executor,
        (folder / "lookups.bin").open("wb") as file,
    ):
        for encoded in executor.map(_encode, parts, starts):
            file.write(b"".join(encoded))
            lengths.append(np.fromiter(map(len, encoded), np.int64, len(encoded)))
            done += len(encoded)
            advance(done, len(kinds))
    np.save(folder / "offsets.npy", np.cumsum(np.concatenate(lengths)))


_encoders: list[LookupEncoder] = []
"""The encoder of a worker process; empty in every other process."""


def _open_encoder(seed: int) -> None:
    _encoders.append(LookupEncoder(seed))


def _encode(kinds: NDArray[np.uint8], first: int) -> list[bytes]:
    return _encoders[0].encode(kinds, first)


class PreparedWorkload:
    """The schedule and the lookups of a folder."""

    def __init__(self, folder: Path) -> None:
        subjects, kinds = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("subjects", "kinds"))
        self.schedule = Schedule(subjects, kinds)
        self._offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        with (folder / "lookups.bin").open("rb") as file:
            self._lookups = mmap(file.fileno(), 0, access=ACCESS_READ)

    def slices(self, subjects: NDArray[np.uint32]) -> list[bytes]:
        """The encoded lookups of these subjects."""
        lookups, indices = self._lookups, subjects.astype(np.int64)
        starts, ends = self._offsets[indices].tolist(), self._offsets[indices + 1].tolist()
        return [lookups[start:end] for start, end in zip(starts, ends, strict=True)]

    def lookup(self, subject: int) -> pb.Lookup:
        """The lookup of a subject."""
        (encoded,) = self.slices(np.array([subject], dtype=np.uint32))
        return pb.InvestigateRequest.FromString(encoded).lookups[0]


class Portions:
    """The schedule, cut into portions."""

    def __init__(self, spec: WorkloadSpec, workload: PreparedWorkload) -> None:
        self._spec = spec
        self._workload = workload
        self._size = spec.batch + spec.interactive
        self.count = math.ceil(len(workload.schedule.subjects) / self._size)

    def searches(self, portions: int) -> int:
        """How many searches the first so many portions make."""
        return min(portions * self._size, len(self._workload.schedule.subjects))

    def requests(self, number: int) -> list[EncodedRequest]:
        """The requests of one portion: first those of one lookup, the bulk request last."""
        subjects = self._workload.schedule.subjects[number * self._size : (number + 1) * self._size]
        slices, numbers = self._workload.slices(subjects), subjects.tolist()
        rng, single = Random(f"{self._spec.seed}/{number}"), self._spec.interactive
        requests = [
            EncodedRequest(request_head(rng, pb.PRIORITY_INTERACTIVE) + lookup, [subject], is_bulk=False)
            for lookup, subject in zip(slices[:single], numbers[:single], strict=True)
        ]
        if len(slices) > single:
            body = b"".join([request_head(rng, pb.PRIORITY_BULK), *slices[single:]])
            requests.append(EncodedRequest(body, numbers[single:], is_bulk=True))
        return requests
