"""The way of one request: admit → plan ─hits→ stream, ─misses→ fan out → report → stream → summary.

Runs on asyncio, beside the transport; only misses cross to trio (`bridge`), once per batch. The store is read here, a
batch at a time, and written by the lanes, beside the stream. Of several workers on a host, each asks about the subjects
it owns: what it misses of others' is handed over to them (`colleagues`), and their reports are passed on unread.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from broker import contract
from broker.admission import Admission
from broker.contract import Columns, Request
from broker.core.key import Keyer
from broker.core.ownership import ALONE
from broker.core.selection import Selection, Selector
from broker.errors import ConfigError
from broker.handover import Footer, Handover
from broker.inquest import Batch, Inquest, Parts, Write
from broker.metrics import RequestMeter

# Lookups planned at a time: about 3 ms of the loop, between two of which other requests get their turn.
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
        selection = self.selector.select(request.mandate.court, ids=request.institution_ids, kinds=request.kinds)
        with self.admission.admit(len(request.lookups), request.priority):
            refs = contract.read_refs(request.lookups)
            ownership = self.parts.colleagues.ownership
            inquest = Inquest(self.parts, request, selection, refs, write, ownership=ownership)
            await inquest.run(self._read(request, refs, selection), time_left)
            summary = contract.write_summary(
                request,
                selection,
                inquest.tally,
                invalid=inquest.invalid,
                complete=inquest.complete,
                elapsed=time.perf_counter() - began,
            )
            await write(summary)
            self.meter.count(selection, inquest.tally, lookups=len(request.lookups), invalid=inquest.invalid)

    async def take_over(self, handover: Handover, write: Write) -> Footer:
        """Answers what another worker hands over; it admitted the request, and counts the answers.

        Raises `ConfigError` if the two do not know the same institutions.
        """
        selection = self.selector.select(handover.mandate.court, ids=handover.institution_ids, kinds=handover.kinds)
        if handover.selected != tuple(spec.id for spec in selection.institutions):
            msg = "institution: this worker runs with another configuration than the one that hands over"
            raise ConfigError(msg)
        request = Request(
            mandate=handover.mandate,
            lookups=(),
            institution_ids=handover.institution_ids,
            kinds=handover.kinds,
            max_age=handover.max_age,
            priority=handover.priority,
            delivery=handover.delivery,
            request_id=handover.request_id,
        )
        refs = dict(zip(handover.positions, handover.refs, strict=True))
        columns = Columns(handover.refs, handover.types, handover.numbers, handover.names, {})
        inquest = Inquest(self.parts, request, selection, refs, write, ownership=ALONE)
        await inquest.run([Batch(columns, handover.keys(), handover.positions)], handover.time_left)
        return Footer(inquest.tally.counts.tobytes(), inquest.complete)

    def _read(self, request: Request, refs: Sequence[str], selection: Selection) -> Iterator[Batch]:
        """The request's lookups, a chunk at a time."""
        today = datetime.fromtimestamp(self.parts.clock(), UTC).date()
        lookups = request.lookups
        ambiguous = contract.ambiguous_refs(refs, lookups, today=today)
        for start in range(0, len(lookups), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            columns = contract.read_lookups(lookups[chunk], refs[chunk], today=today)
            _object(columns, selection, ambiguous)
            keys = self.keyer.keys(columns.types, columns.numbers, columns.names)
            yield Batch(columns, keys, range(start, start + len(keys)))


def _object(columns: Columns, selection: Selection, ambiguous: frozenset[str]) -> None:
    """Adds what only the request as a whole shows to be wrong with a lookup."""
    if ambiguous:
        for place, ref in enumerate(columns.refs):
            if ref in ambiguous:
                columns.problems.setdefault(place, contract.SHARED_REF)
    for subject_type in set(columns.types):
        if not selection.choices[subject_type].columns:
            for place, other in enumerate(columns.types):
                if other == subject_type:
                    columns.problems.setdefault(place, contract.NOBODY_ASKED)
