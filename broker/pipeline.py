"""The way of one request: admit → plan ─hits→ stream, ─misses→ fan out → report → stream → summary.

Runs on asyncio, beside the transport; only misses cross to trio (`bridge`), once per batch. The store is read here, a
batch at a time, and written by the lanes, beside the stream. Of several workers on a host, each asks about the subjects
it owns: what it misses of others' is handed over to them (`colleagues`), and their reports are passed on unread.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from broker import contract, lookups
from broker.admission import Admission
from broker.contract import Request
from broker.core.key import Keyer
from broker.core.ownership import ALONE
from broker.core.selection import Selection, Selector
from broker.errors import ConfigError
from broker.handover import Footer, Handover
from broker.inquest import Batch, Inquest, Parts, Write
from broker.lookups import Columns
from broker.metrics import RequestMeter
from broker.model import Problem

# Lookups read and planned at a time, in steps of about a millisecond, between which other requests get their turns.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Serves requests with this worker's parts."""

    selector: Selector
    keyer: Keyer
    admission: Admission
    meter: RequestMeter
    parts: Parts

    async def investigate(self, request: Request, time_left: float, write: Write) -> None:
        """Answers a request within `time_left` seconds, by calling `write` with one message after the other.

        Raises a `CallerError` before anything is written if the request cannot be served.
        """
        began = time.perf_counter()
        selection = self._select(request)
        with self.admission.admit(len(request.lookups), request.priority):
            batches = await self._read(request, selection)
            heads = [head for batch in batches for head in batch.columns.heads]
            ownership = self.parts.colleagues.ownership
            inquest = Inquest(self.parts, request, selection, heads, write, ownership=ownership)
            if ownership.workers > 1 and len(batches) > 1:
                batches = _with_repeats_together(batches)
            last = await inquest.run(batches, time_left - (time.perf_counter() - began))
            summary = contract.write_summary(
                request,
                selection,
                inquest.tally,
                invalid=inquest.invalid,
                complete=inquest.complete,
                elapsed=time.perf_counter() - began,
            )
            await write(last + summary)  # encoded messages are merged by putting one after the other
            self.meter.count(selection, inquest.tally, lookups=len(request.lookups), invalid=inquest.invalid)

    async def take_over(self, handover: Handover, write: Write) -> Footer:
        """Answers what another worker hands over; it admitted the request, and counts the answers.

        Raises `ConfigError` if the two do not know the same institutions.
        """
        request = handover.request
        selection = self._select(request)
        if handover.selected != tuple(spec.id for spec in selection.institutions):
            msg = "institution: this worker runs with another configuration than the one that hands over"
            raise ConfigError(msg)
        heads = dict(zip(handover.positions, handover.heads, strict=True))
        types = [subject.type for subject in handover.subjects]
        columns = Columns(handover.heads, types, handover.keys, handover.subjects, {})
        inquest = Inquest(self.parts, request, selection, heads, write, ownership=ALONE)
        last = await inquest.run([Batch(columns, handover.positions)], handover.time_left)
        return Footer(last, inquest.tally.counts.tobytes(), inquest.complete)

    def _select(self, request: Request) -> Selection:
        return self.selector.select(request.mandate.court, ids=request.institution_ids, kinds=request.kinds)

    async def _read(self, request: Request, selection: Selection) -> list[Batch]:
        """The request's lookups, a chunk at a time."""
        today = datetime.fromtimestamp(self.parts.clock(), UTC).date()
        batches = []
        for start in range(0, len(request.lookups), _CHUNK):
            chunk = request.lookups[start : start + _CHUNK]
            await self.parts.turnstile.turn(len(chunk))
            columns = lookups.read_lookups(chunk, self.keyer, today=today)
            batches.append(Batch(columns, range(start, start + len(chunk))))
        _object(batches, selection)
        return batches


def _object(batches: Sequence[Batch], selection: Selection) -> None:
    """Adds what only the request as a whole shows to be wrong with a lookup."""
    heads = [head for batch in batches for head in batch.columns.heads]
    keys = [key for batch in batches for key in batch.columns.keys]
    ambiguous = lookups.ambiguous(heads, keys)
    for columns, _ in batches:
        if ambiguous:
            for place, head in enumerate(columns.heads):
                if head in ambiguous:
                    columns.problems.setdefault(place, lookups.SHARED_REF)
        for subject_type in set(columns.types):
            if not selection.choices[subject_type].columns:
                for place, other in enumerate(columns.types):
                    if other == subject_type:
                        columns.problems.setdefault(place, lookups.NOBODY_ASKED)


def _with_repeats_together(batches: list[Batch]) -> list[Batch]:
    """The same lookups, with all about one subject in one batch: they are handed over together, and so asked once."""
    keys = [key for batch in batches for key in batch.columns.keys]
    if len(set(keys)) == len(keys):
        return batches
    first: dict[bytes, int] = {}
    ranks = [first.setdefault(key, position) for position, key in enumerate(keys)]
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    cuts = [0]
    for at in range(_CHUNK, len(order)):
        if at - cuts[-1] >= _CHUNK and ranks[order[at]] != ranks[order[at - 1]]:
            cuts.append(at)
    whole = _joined([batch.columns for batch in batches])
    return [_in_order(whole, order[start:end]) for start, end in pairwise([*cuts, len(order)])]


def _joined(parts: Sequence[Columns]) -> Columns:
    problems: dict[int, Problem] = {}
    start = 0
    for part in parts:
        problems.update((start + place, problem) for place, problem in part.problems.items())
        start += len(part.keys)
    return Columns(
        heads=[head for part in parts for head in part.heads],
        types=[subject_type for part in parts for subject_type in part.types],
        keys=[key for part in parts for key in part.keys],
        subjects=[subject for part in parts for subject in part.subjects],
        problems=problems,
    )


def _in_order(whole: Columns, positions: Sequence[int]) -> Batch:
    columns = whole.pick(positions)
    for place, position in enumerate(positions):
        if position in whole.problems:
            columns.problems[place] = whole.problems[position]
    return Batch(columns, positions)
