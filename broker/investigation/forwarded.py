"""Answers what another worker forwards because this one owns the subjects: the same execution, without admission.

The worker that forwards has admitted and read the request, and counts the answers.
"""

import time
from dataclasses import dataclass

from broker.core.planning.chunk import Chunk, LookupColumns, chunk_size
from broker.core.planning.ownership import ALONE
from broker.core.planning.selection import Selector
from broker.errors import ConfigError
from broker.investigation.context import ExecutionContext, Order, Recording, Write
from broker.investigation.execution import Execution
from broker.peers.messages import ForwardRequest, Trailer


@dataclass(frozen=True, slots=True)
class ForwardedAnswers:
    """Executes forwarded requests with this worker's parts."""

    selector: Selector
    context: ExecutionContext

    async def answer(self, forwarded: ForwardRequest, write: Write) -> Trailer:
        """Writes the reports on forwarded lookups, and returns what ends them.

        Raises `ConfigError` if the two workers do not know the same institutions.
        """
        request = forwarded.request
        selection = self.selector.select(request.mandate.court, ids=request.institution_ids, kinds=request.kinds)
        if forwarded.selected != tuple(spec.id for spec in selection.institutions):
            msg = "institution: this worker runs with another configuration than the one that forwards"
            raise ConfigError(msg)
        heads = dict(zip(forwarded.positions, forwarded.heads, strict=True))
        types = [subject.type for subject in forwarded.subjects]
        columns = LookupColumns(forwarded.heads, types, forwarded.keys, forwarded.subjects, {})
        chunk = Chunk(columns, forwarded.positions)
        order = Order(request, selection, time.monotonic() + forwarded.time_left)
        transcript = self.context.new_transcript()
        execution = Execution(self.context, order, heads, write, ownership=ALONE, recording=Recording(transcript))
        last = await execution.run(list(chunk.parts(chunk_size(len(selection.institutions)))))
        counts = execution.account.tally.counts.tobytes()
        return Trailer(last, counts, execution.complete, b"".join(transcript.encoded()))
