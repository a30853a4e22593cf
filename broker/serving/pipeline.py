"""The way of one request: admit → plan ─hits→ stream, ─misses→ fan out → report → stream → summary.

Runs on asyncio, beside the transport; only misses cross to trio (`bridge`), once per chunk. The store is read here, a
chunk at a time, and written by the lanes, beside the stream. Of several workers on a host, each asks about the subjects
it owns: what it misses of others' is handed over to them (`peers`), and their reports are passed on unread.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from broker.core.control.admission import Admission
from broker.core.planning.chunk import Chunk, LookupColumns
from broker.core.planning.selection import Selection, Selector
from broker.core.subjects.key import Keyer
from broker.investigation.execution import Execution, ExecutionContext, Write
from broker.metrics.requests import RequestMetrics
from broker.model import Problem, Request
from broker.serving import contract, lookups

# Lookups read and planned at a time, in steps of about a millisecond, between which other requests get their turns.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Serves requests with this worker's parts."""

    selector: Selector
    keyer: Keyer
    admission: Admission
    meter: RequestMetrics
    context: ExecutionContext

    async def investigate(self, request: Request, encoded: Sequence[bytes], time_left: float, write: Write) -> None:
        """Answers a request within `time_left` seconds, by calling `write` with one message after the other.

        `encoded`: its lookups.

        Raises a `CallerError` before anything is written if the request cannot be served.
        """
        began = time.perf_counter()
        selection = self._select(request)
        with self.admission.admit(len(encoded), request.priority):
            chunks = await self._read(encoded, selection)
            heads = [head for chunk in chunks for head in chunk.columns.heads]
            ownership = self.context.peers.ownership
            execution = Execution(self.context, request, selection, heads, write, ownership=ownership)
            if ownership.workers > 1 and len(chunks) > 1:
                chunks = _with_repeats_together(chunks)
            last = await execution.run(chunks, time_left - (time.perf_counter() - began))
            summary = contract.write_summary(
                request,
                selection,
                execution.tally,
                lookups=len(encoded),
                invalid=execution.invalid,
                complete=execution.complete,
                elapsed=time.perf_counter() - began,
            )
            await write(last + summary)  # encoded messages are merged by putting one after the other
            self.meter.count(selection, execution.tally, lookups=len(encoded), invalid=execution.invalid)

    def _select(self, request: Request) -> Selection:
        return self.selector.select(request.mandate.court, ids=request.institution_ids, kinds=request.kinds)

    async def _read(self, encoded: Sequence[bytes], selection: Selection) -> list[Chunk]:
        """The request's lookups, a chunk at a time."""
        today = datetime.fromtimestamp(self.context.clock(), UTC).date()
        chunks = []
        for start in range(0, len(encoded), _CHUNK):
            part = encoded[start : start + _CHUNK]
            await self.context.scheduler.turn(len(part))
            columns = lookups.read_lookups(part, self.keyer, today=today)
            chunks.append(Chunk(columns, range(start, start + len(part))))
        _object(chunks, selection)
        return chunks


def _object(chunks: Sequence[Chunk], selection: Selection) -> None:
    """Adds what only the request as a whole shows to be wrong with a lookup."""
    heads = [head for chunk in chunks for head in chunk.columns.heads]
    keys = [key for chunk in chunks for key in chunk.columns.keys]
    ambiguous = lookups.ambiguous(heads, keys)
    for columns, _ in chunks:
        if ambiguous:
            for place, head in enumerate(columns.heads):
                if head in ambiguous:
                    columns.problems.setdefault(place, lookups.SHARED_REF)
        for subject_type in set(columns.types):
            if not selection.choices[subject_type].columns:
                for place, other in enumerate(columns.types):
                    if other == subject_type:
                        columns.problems.setdefault(place, lookups.NOBODY_ASKED)


def _with_repeats_together(chunks: list[Chunk]) -> list[Chunk]:
    """The same lookups, with all about one subject in one chunk: they are handed over together, and so asked once."""
    keys = [key for chunk in chunks for key in chunk.columns.keys]
    if len(set(keys)) == len(keys):
        return chunks
    first: dict[bytes, int] = {}
    ranks = [first.setdefault(key, position) for position, key in enumerate(keys)]
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    cuts = [0]
    for at in range(_CHUNK, len(order)):
        if at - cuts[-1] >= _CHUNK and ranks[order[at]] != ranks[order[at - 1]]:
            cuts.append(at)
    whole = _joined([chunk.columns for chunk in chunks])
    return [_in_order(whole, order[start:end]) for start, end in pairwise([*cuts, len(order)])]


def _joined(parts: Sequence[LookupColumns]) -> LookupColumns:
    problems: dict[int, Problem] = {}
    start = 0
    for part in parts:
        problems.update((start + place, problem) for place, problem in part.problems.items())
        start += len(part.keys)
    return LookupColumns(
        heads=[head for part in parts for head in part.heads],
        types=[subject_type for part in parts for subject_type in part.types],
        keys=[key for part in parts for key in part.keys],
        subjects=[subject for part in parts for subject in part.subjects],
        problems=problems,
    )


def _in_order(whole: LookupColumns, positions: Sequence[int]) -> Chunk:
    columns = whole.pick(positions)
    for place, position in enumerate(positions):
        if position in whole.problems:
            columns.problems[place] = whole.problems[position]
    return Chunk(columns, positions)
