"""Requests without encoding: every lookup is encoded once, before the clock starts, and requests are sliced from that.

A folder holds the schedule, what each subject is, the encoded lookups one after the other, and where each begins; all
of it mapped, not read. The ref of a lookup is its subject's ordinal in hexadecimal, the same in every request.

A *portion* is a stretch of the schedule: one bulk request, and the one-lookup requests that come beside it. Its number
is enough to make it again, which is how a run is resumed.
"""

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from mmap import ACCESS_READ, mmap
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.stage import FOUR
from benchmarks.workload import ORGANISATION, PERSON, THING, Schedule, Shape, draw
from broker.core.subjects.court import PROVINCES, SUPREME, XPCC
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.numbers import ORGANISATIONS, PERSONS
from mock_institutions.population import Population

# Of the 3,581 courts below the supreme one, 409 are intermediate and 3,140 basic; the others are the high courts, the
# Corps' included (China Justice Observer, "Are there courts in China").
_INTERMEDIATE, _BASIC = 409, 3140

_STRIDE = 2_654_435_761  # prime, and no factor of either count of ordinals: subjects are scattered, and never meet
_TOGETHER = 1 << 15  # subjects encoded by one task: a fraction of a second, so that all cores finish together

# Tags of fields with a length: Lookup's ref and person, Person's name and document_number, the request's lookups.
_REF, _PERSON, _NAME, _NUMBER, _LOOKUPS = 0x0A, 0x12, 0x0A, 0x1A, 0x12
_RESIDENT_ID = b"\x10\x01"  # Person.document_type

Advance = Callable[[int, int], None]
"""Told how many are done, and of how many."""


def courts() -> list[str]:
    """The codes of the country's courts, of four levels."""
    regions = PROVINCES + XPCC
    intermediate = [f"{regions[n % len(regions)]}{n // len(regions) + 1:02d}" for n in range(_INTERMEDIATE)]
    basic = [f"{intermediate[n % _INTERMEDIATE]}{n // _INTERMEDIATE + 1:02d}" for n in range(_BASIC)]
    return [SUPREME, *regions, *intermediate, *basic]


class Encoder:
    """Writes subjects as the field `lookups` of a request."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._population = Population(seed)
        mocks = config.load()
        self._registries = [self._population.registry(mocks.find(name).institution) for name in FOUR]

    def encode(self, kinds: NDArray[np.uint8], first: int) -> list[bytes]:
        """The subjects with ordinals from `first`, which are of these kinds."""
        encoded = [b""] * len(kinds)
        persons = np.flatnonzero(kinds == PERSON)
        for place, lookup in zip(persons.tolist(), self._persons(persons + first), strict=True):
            encoded[place] = lookup
        for place in np.flatnonzero(kinds == ORGANISATION).tolist():
            encoded[place] = self._organisation(first + place)
        rng = Random(f"{self._seed}/{first}")
        for place in np.flatnonzero(kinds == THING).tolist():
            encoded[place] = self._thing(first + place, rng)
        return encoded

    def _persons(self, ordinals: NDArray[np.int64]) -> Iterator[bytes]:
        """Spliced: there are millions, and protobuf's messages take four times as long."""
        indices = (ordinals.astype(np.uint64) * np.uint64(_STRIDE) % np.uint64(PERSONS)).astype(np.int64)
        numbers, names = self._population.residents(indices)
        for ordinal, number, name in zip(ordinals.tolist(), numbers, names, strict=True):
            person = _field(_NAME, name.encode()) + _RESIDENT_ID + _field(_NUMBER, number.encode())
            yield _field(_LOOKUPS, _field(_REF, b"%x" % ordinal) + _field(_PERSON, person))

    def _organisation(self, ordinal: int) -> bytes:
        _, code, name = self._population.person(PERSONS + ordinal * _STRIDE % ORGANISATIONS)
        return _encoded(pb.Lookup(ref=f"{ordinal:x}", organization=pb.Organization(name=name, code=code)))

    def _thing(self, ordinal: int, rng: Random) -> bytes:
        number_type, number = rng.choice(self._registries).draw_thing(rng)
        thing = pb.Property()
        setattr(thing, number_type.lower(), number)
        return _encoded(pb.Lookup(ref=f"{ordinal:x}", property=thing))


def _field(tag: int, content: bytes) -> bytes:
    """A field of up to 127 bytes."""
    return b"%c%c%b" % (tag, len(content), content)


def _encoded(lookup: pb.Lookup) -> bytes:
    return pb.InvestigateRequest(lookups=[lookup]).SerializeToString()


# --- the folder -------------------------------------------------------------------------------------------------------


def prepare(folder: Path, shape: Shape, advance: Advance = lambda _done, _all: None) -> None:
    """Fills the folder, unless it holds the same already. 195 million inquiries take 0.9 GB."""
    marker, wanted = folder / "shape.json", json.dumps(asdict(shape))
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker.unlink(missing_ok=True)
    schedule = draw(shape)
    np.save(folder / "subjects.npy", schedule.subjects)
    np.save(folder / "kinds.npy", schedule.kinds)
    _write_lookups(folder, shape.seed, schedule.kinds, advance)
    marker.write_text(wanted, encoding="utf-8")  # last: a folder without it is not whole


def _write_lookups(folder: Path, seed: int, kinds: NDArray[np.uint8], advance: Advance) -> None:
    starts = range(0, len(kinds), _TOGETHER)
    parts = [kinds[start : start + _TOGETHER] for start in starts]
    lengths, done = [np.zeros(1, dtype=np.int64)], 0
    spawning = get_context("spawn")  # a fork would take gRPC's threads for its own
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


_encoders: list[Encoder] = []
"""One, in a process that does nothing but encode."""


def _open_encoder(seed: int) -> None:
    _encoders.append(Encoder(seed))


def _encode(kinds: NDArray[np.uint8], first: int) -> list[bytes]:
    return _encoders[0].encode(kinds, first)


class Pool:
    """The schedule and the lookups of a folder."""

    def __init__(self, folder: Path) -> None:
        subjects, kinds = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("subjects", "kinds"))
        self.schedule = Schedule(subjects, kinds)
        self._offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        with (folder / "lookups.bin").open("rb") as file:
            self._lookups = mmap(file.fileno(), 0, access=ACCESS_READ)

    def slices(self, subjects: NDArray[np.uint32]) -> list[bytes]:
        """The encoded lookups of these subjects."""
        lookups, places = self._lookups, subjects.astype(np.int64)
        starts, ends = self._offsets[places].tolist(), self._offsets[places + 1].tolist()
        return [lookups[start:end] for start, end in zip(starts, ends, strict=True)]

    def lookup(self, subject: int) -> pb.Lookup:
        """The lookup of a subject."""
        (encoded,) = self.slices(np.array([subject], dtype=np.uint32))
        return pb.InvestigateRequest.FromString(encoded).lookups[0]


# --- requests ---------------------------------------------------------------------------------------------------------


class Request(NamedTuple):
    """An encoded `InvestigateRequest`, and the subjects it asks about, by position."""

    body: bytes
    subjects: list[int]
    is_bulk: bool


_COURTS = courts()


def head(rng: Random, priority: pb.Priority) -> bytes:
    """A request but for its lookups: in a case of one of the country's courts, all of which ask equally often."""
    court = rng.choice(_COURTS)
    mandate = inquiry_pb2.Mandate(
        court_code=court,
        officer="基准测试",
        case_number=f"（2026）{court}执{rng.randint(1, 99_999)}号",
        legal_document="协助执行通知书",
    )
    return pb.InvestigateRequest(mandate=mandate, priority=priority).SerializeToString()


class Portions:
    """The schedule, cut up."""

    def __init__(self, shape: Shape, pool: Pool) -> None:
        self._shape = shape
        self._pool = pool
        self._size = shape.batch + shape.interactive
        self.count = math.ceil(len(pool.schedule.subjects) / self._size)

    def searches(self, portions: int) -> int:
        """How many searches the first so many portions make."""
        return min(portions * self._size, len(self._pool.schedule.subjects))

    def requests(self, number: int) -> list[Request]:
        """Those of one portion: the one-lookup requests, and the bulk request last."""
        subjects = self._pool.schedule.subjects[number * self._size : (number + 1) * self._size]
        slices, ordinals = self._pool.slices(subjects), subjects.tolist()
        rng, alone = Random(f"{self._shape.seed}/{number}"), self._shape.interactive
        requests = [
            Request(head(rng, pb.PRIORITY_INTERACTIVE) + lookup, [ordinal], is_bulk=False)
            for lookup, ordinal in zip(slices[:alone], ordinals[:alone], strict=True)
        ]
        if len(slices) > alone:
            body = b"".join([head(rng, pb.PRIORITY_BULK), *slices[alone:]])
            requests.append(Request(body, ordinals[alone:], is_bulk=True))
        return requests
