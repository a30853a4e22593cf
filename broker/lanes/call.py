"""One call's life: a batch is sent, sent again where that may help, cut in two where it was refused, and settled.

Rules

1. A failed call is repeated only within the retry budget, after a random pause that grows.
2. A batch refused as a whole is bisected until the inquiry that the institution objects to stands alone. An inquiry
   that was sent alone is asked once more, which shows whether the institution answers others meanwhile.
3. Items that are missing from a reply are asked for again; all others are settled at once.
4. What an institution that compares names exactly did not find is asked for once more, under the standard spelling of
   the name, if that is another one. Only then is NOT_FOUND believed.
5. When the call has ended, every item is settled, or released for those who still wait (`unsettled`).
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import trio

from broker.core.control.evidence import Mark
from broker.core.planning.parcel import CallBatch, Parcel
from broker.core.planning.respelling import doubtful_items, respelled, with_spellings
from broker.errors import BadReplyError, BreakerOpenError, InstitutionError, RejectedError, origin
from broker.institutions.interface import Institution
from broker.lanes.controls import Controls
from broker.lanes.failures import BREAKER_OPEN, INTERNAL, REJECTED, problem_of
from broker.lanes.permits import Permit
from broker.lanes.settlement import Settlement
from broker.loops.step_budget import StepBudget
from broker.model import Mandate, Outcome, Problem, Question, Reply

log = logging.getLogger(__name__)

_SETTLE, _SETTLE_EACH = 60.0, 2.0  # µs to settle a batch, and each of its inquiries (docs/performance.md)
_MAX_SHOWN = 3  # requests named in a log line; a batch may carry inquiries of dozens


@dataclass(slots=True)
class Traffic:
    """What all calls of a lane have sent."""

    asked: int = 0
    """Inquiries sent for the first time."""
    repeated: int = 0
    """Inquiries sent again after a failed or refused call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What the calls of one lane share."""

    institution: Institution
    budget: StepBudget
    controls: Controls
    settlement: Settlement
    traffic: Traffic
    urgent: Callable[[Collection[bytes]], Collection[bytes]]
    """Those of some keys that an interactive request waits for."""
    closed: Callable[[], None]
    """To be called when a result may have closed the institution to further calls."""


class Call:
    """A batch in flight.

    State: the keys still to be settled; those asked for under another spelling; single inquiries that were refused; and
    whether the permit was used.
    """

    def __init__(self, batch: CallBatch, permit: Permit, context: CallContext) -> None:
        """Create it inside trio."""
        self.permit = permit
        self.unsettled = set(batch.keys)
        self.sent_at = trio.current_time()
        """In trio's time: not later than the first attempt."""
        self.scope = trio.CancelScope()
        """Cancelled when nobody waits any more."""
        self._batch = batch
        self._context = context
        self._refused: list[tuple[CallBatch, Mark]] = []
        """Single inquiries, and when each was refused for the first time."""
        self._respelled: set[bytes] = set()
        self._has_sent = False

    def waiting(self) -> Iterable[Parcel]:
        """The parcels with something still to be settled."""
        return (parcel for parcel in self._batch.parcels if not self.unsettled.isdisjoint(parcel.keys))

    async def run(self) -> None:
        """Asks, and settles all items, unless `scope` is cancelled."""
        try:
            with self.scope:
                await self._ask(self._batch, sent=0, failed=0)
                self._settle_refused()
        except Exception as error:  # noqa: BLE001 - one batch must not end the lane, and every other request with it
            log.error("%s: internal error: %s", self._describe(self._batch), origin(error))
            unsettled = [item for item, key in enumerate(self._batch.keys) if key in self.unsettled]
            self._settle_problem(self._batch.pick(unsettled), INTERNAL)

    async def _ask(self, batch: CallBatch, *, sent: int, failed: int, refused_at: Mark | None = None) -> None:
        """Asks until every item has its answer, or no further attempt is allowed.

        `sent`: how often these items have been sent before; `failed`: how often that failed. A batch that was bisected
        was sent, but did not fail. `refused_at`: when they were refused for the first time.
        """
        error: InstitutionError
        reply: Reply | None = None
        open_items: Sequence[int] = range(len(batch))
        try:
            reply = await self._send(batch, sent + 1)
        except RejectedError as refusal:
            since = self._context.controls.evidence.now() if refused_at is None else refused_at
            if len(batch) == 1 and refused_at is None and refusal.divisible:
                await self._confirm(batch, since, sent=sent + 1, failed=failed)
            else:
                await self._bisect(batch, refusal, since, sent=sent + 1, failed=failed)
            return
        except BreakerOpenError:
            self._settle_problem(batch, BREAKER_OPEN)
            return
        except InstitutionError as failure:
            error = failure
        else:
            await self._context.budget.spend(_SETTLE + _SETTLE_EACH * len(batch), batch.parcels[0].priority)
            doubtful = self._doubtful_items(batch, reply)
            self._settle_contained(batch, reply, doubtful)
            if doubtful:
                await self._ask_respelled(batch.pick(doubtful))
            open_items = reply.missing
            if not open_items:
                return
            error = BadReplyError("some inquiries are missing from the reply")
        parts = self._parts(batch.pick(open_items))
        self._context.controls.release(self.permit)  # others may call during the pause
        if not await self._context.controls.may_repeat(error, failed + 1, calls=len(parts)):
            self._give_up(batch, open_items, reply, error)
            return
        for part in self._parts(batch.pick(open_items)):  # somebody may have begun to wait during the pause
            await self._ask(part, sent=sent + 1, failed=failed + 1, refused_at=refused_at)

    def _parts(self, batch: CallBatch) -> Sequence[CallBatch]:
        """What somebody waits for at a screen, and the rest."""
        return batch.by_priority(self._context.urgent(batch.keys))

    async def _ask_respelled(self, batch: CallBatch) -> None:
        """Asks once more, under the standard spellings. Whatever comes of it is settled instead of NOT_FOUND."""
        self._respelled.update(batch.keys)
        await self._ask(respelled(batch), sent=0, failed=0)

    async def _send(self, batch: CallBatch, attempt: int) -> Reply:
        """Sends a batch once."""
        controls, traffic = self._context.controls, self._context.traffic
        if self._has_sent:
            await controls.acquire_again(self.permit, len(batch), batch.parcels[0].priority)
        self._has_sent = True
        if not controls.admits:
            msg = "its breaker is open"
            raise BreakerOpenError(msg)
        if attempt == 1:
            traffic.asked += len(batch)
        else:
            traffic.repeated += len(batch)
        question = self._question(batch, attempt)
        try:
            return await controls.call(self._context.institution, question)
        except InstitutionError as error:
            log.warning("%s, call %s, attempt %d: %s", self._describe(batch), question.request_id, attempt, error)
            raise
        finally:
            self._context.closed()

    def _question(self, batch: CallBatch, attempt: int) -> Question:
        mandates: dict[Mandate, int] = {}
        mandate_of: list[int] = []
        for parcel in batch.parcels:
            mandate_of += [mandates.setdefault(parcel.mandate, len(mandates))] * len(parcel)
        return Question(
            request_id=f"{random.getrandbits(128):032x}",
            institution_id=self._context.institution.spec.id,
            attempt=attempt,
            mandates=list(mandates),
            mandate_of=mandate_of,
            subjects=batch.subjects,
        )

    async def _confirm(self, batch: CallBatch, refused_at: Mark, *, sent: int, failed: int) -> None:
        """Asks once more about a single inquiry, which was refused without having been part of a batch."""
        if await self._context.controls.may_confirm():
            await self._ask(batch, sent=sent, failed=failed, refused_at=refused_at)
        else:
            self._refused.append((batch, refused_at))

    async def _bisect(
        self, batch: CallBatch, refusal: RejectedError, refused_at: Mark, *, sent: int, failed: int
    ) -> None:
        if not refusal.divisible or (len(batch) > 1 and not self._context.controls.may_bisect()):
            self._settle_problem(batch, problem_of(refusal))
        elif len(batch) == 1:
            self._refused.append((batch, refused_at))
        else:
            parts = self._parts(batch)
            for part in parts if len(parts) > 1 else batch.halves():
                await self._ask(part, sent=sent, failed=failed, refused_at=refused_at)

    def _settle_refused(self) -> None:
        """Settles inquiries that were refused standing alone, when the others have been asked.

        An institution that refuses whatever it is sent does not object to these, and its refusal is no answer.
        """
        for batch, refused_at in self._refused:
            if self._context.controls.evidence.answered_since(refused_at):
                self._settle_problem(batch, REJECTED, Outcome.REFUSED)
            else:
                self._settle_problem(batch, problem_of(RejectedError("")))

    def _give_up(self, batch: CallBatch, items: Sequence[int], reply: Reply | None, error: InstitutionError) -> None:
        if reply is None:
            self._settle_problem(batch.pick(items), problem_of(error))
        else:
            self._settle_unusable(batch, reply, items)

    def _doubtful_items(self, batch: CallBatch, reply: Reply) -> Sequence[int]:
        """The items for which NOT_FOUND is not believed yet."""
        if not batch.names_may_differ or self._context.institution.spec.names == "folded":
            return ()
        return doubtful_items(batch.subjects, reply.outcomes)

    def _settle_contained(self, batch: CallBatch, reply: Reply, doubtful: Sequence[int]) -> None:
        """Settles the items that the reply contains, but for the doubtful ones."""
        if Outcome.UNAVAILABLE not in reply.outcomes and not doubtful:
            self._settle(batch, reply)
            return
        unanswered = {i for i, outcome in enumerate(reply.outcomes) if outcome == Outcome.UNAVAILABLE}
        answered = sorted(set(range(len(batch))) - unanswered - set(doubtful))
        self._settle(batch.pick(answered), _pick(reply, answered))
        settled = {*answered, *doubtful, *reply.missing}
        self._settle_unusable(batch, reply, [i for i in range(len(batch)) if i not in settled])

    def _settle_unusable(self, batch: CallBatch, reply: Reply, items: Sequence[int]) -> None:
        """Settles items with what is wrong with the reply to them."""
        if items:
            log.warning("%s: %d got no usable answer", self._describe(batch), len(items))
            rest = batch.pick(items)
            self._context.settlement.unusable(rest, _pick(reply, items))
            self._is_settled(rest)

    def _settle(self, batch: CallBatch, reply: Reply) -> None:
        if self._respelled and not self._respelled.isdisjoint(batch.keys):  # then all of them are
            reply = with_spellings(reply, batch.subjects)
        self._context.settlement.answer(batch, reply)
        self._is_settled(batch)  # afterwards: if that fails, they are still to be settled

    def _settle_problem(self, batch: CallBatch, problem: Problem, outcome: Outcome = Outcome.UNAVAILABLE) -> None:
        self._context.settlement.problem(batch, outcome, problem)
        self._is_settled(batch)

    def _is_settled(self, batch: CallBatch) -> None:
        if batch is self._batch:
            self.unsettled.clear()
        else:
            self.unsettled.difference_update(batch.keys)

    def _describe(self, batch: CallBatch) -> str:
        """For the log: the institution, and the courts' own ids of the requests that wait."""
        ids = sorted({parcel.waiter.request_id for parcel in batch.parcels})
        shown = ", ".join(ids[:_MAX_SHOWN]) + (f" and {len(ids) - _MAX_SHOWN} more" if len(ids) > _MAX_SHOWN else "")
        return f"institution {self._context.institution.spec.id}, {len(batch)} inquiries of request {shown}"


def _pick(reply: Reply, items: Sequence[int]) -> Reply:
    return Reply(
        outcomes=bytes([reply.outcomes[i] for i in items]),
        contents=[reply.contents[i] for i in items],
        observed_at=[reply.observed_at[i] for i in items],
    )
