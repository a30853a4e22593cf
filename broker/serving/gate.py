"""What a request passes before anybody is asked, and the record of it.

    certificate ─▶ identity ─▶ policy, signature ─▶ quotas ─▶ `admitted` entry ─▶ the request ─▶ `ended` entry
                       │              │                │
                       └──────────────┴────────────────┴──▶ `refused` entry

Each entry is durable before what follows it: nothing is asked or answered before the first, and no summary is sent
before the second. A lookup that the cache answers passes the same gate as one that is asked.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from broker.access.identity import ANONYMOUS, Identity
from broker.access.policy import INVESTIGATE, Asked, Decision, Policy
from broker.access.quota import Exceeded, Scope, scopes
from broker.access.signature import missing_signature, verify
from broker.audit.entry import BEFORE, Admitted, Ended, Refused, Signature
from broker.audit.log import AuditLog
from broker.audit.material import Inquired
from broker.audit.sequencer import Recorded, Unrecorded
from broker.core.planning.chunk import Chunk
from broker.core.planning.selection import Selection
from broker.core.planning.tally import Tally
from broker.core.planning.transcript import NO_TRANSCRIPT, Transcript
from broker.core.subjects.key import SIZE, Keyer
from broker.errors import (
    AuditError,
    CallerError,
    PermissionDeniedError,
    QuotaExceededError,
    RefusedError,
    StoreError,
    UnrecordedError,
)
from broker.investigation.context import Write
from broker.investigation.recorded_transcript import RecordedTranscript
from broker.model import PROPERTY_TYPES, Court, Request
from broker.serving.peer import AnonymousPeers, PeerIdentifier
from broker.serving.status import status_of

log = logging.getLogger(__name__)

_PROPERTIES: frozenset[int] = frozenset(map(int, PROPERTY_TYPES))
_OPEN = Decision(allowed=True, rule="")


class QuotaCounter(Protocol):
    """Where quotas are counted."""

    def charge(self, charged: Sequence[Scope], commitments: bytes, now: float) -> Exceeded | None:
        """Charges scopes with subjects, 16 bytes each; nothing if one of them would be exceeded, which is returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets requests in. What is None is not checked, or not recorded."""

    peers: PeerIdentifier = field(default_factory=AnonymousPeers)
    policy: Policy | None = None
    quotas: QuotaCounter | None = None
    log: AuditLog | None = None
    committer: Keyer | None = None
    """What subjects' commitments are made with; given if there is a log."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    _closing: "set[asyncio.Task[None]]" = field(default_factory=set)
    """Entries of requests that have ended early, on their way into the log."""

    def new_transcript(self) -> Transcript:
        """What takes note of the answers to one request."""
        return RecordedTranscript() if self.log else NO_TRANSCRIPT

    def passage(self, method: str, body: bytes, context: Any) -> "Passage":
        """The way of one request through the gate. `context`: gRPC's, of the call."""
        return Passage(self, method, body, context)

    def check(self, identity: Identity, asked: Asked) -> Decision:
        """What the policy says. Raises `PermissionDeniedError`."""
        decision = _OPEN if self.policy is None else self.policy.decide(identity, asked)
        if not decision.allowed:
            raise PermissionDeniedError(decision.rule, decision.field, decision.message)
        return decision

    def charge(self, decision: Decision, request: Request, commitments: bytes) -> None:
        """Charges the quotas of the rule that allows a request.

        Raises `QuotaExceededError`, or `UnrecordedError` if that cannot be done.
        """
        now = self.clock()
        charged = scopes(decision.quotas, request.mandate, now)
        try:
            exceeded = self.quotas.charge(charged, commitments, now) if charged and self.quotas else None
        except StoreError as error:
            log.error("%s", error)
            raise UnrecordedError from None
        if exceeded is not None:
            raise _quota_error(exceeded, decision.rule, now)

    def record_later(self, recording: Coroutine[Any, Any, object]) -> None:
        """Records something for which nobody waits."""

        async def record() -> None:
            try:
                await recording
            except (AuditError, UnrecordedError) as error:
                log.error("the end of a request is not recorded: %s", error)

        task = asyncio.get_running_loop().create_task(record())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def wait_recorded(self) -> None:
        """Waits until everything is in the log."""
        while self._closing:
            await asyncio.wait(list(self._closing))


class Passage:
    """The way of one request. State: what is known of it, and whether it was admitted and has not ended."""

    def __init__(self, gate: Gate, method: str, body: bytes, context: Any) -> None:
        self.transcript = gate.new_transcript()
        self._gate = gate
        self._context = context
        self._digest = hashlib.sha256(body).digest() if gate.policy or gate.log else b""
        self._identity = ANONYMOUS
        self._decision = _OPEN
        self._facts: dict[str, Any] = {"method": method, "request_sha256": self._digest.hex()}
        self._admission: Unrecorded | None = None
        self._admitted: asyncio.Future[Recorded] | None = None
        self._receipt: Recorded | None = None
        self._reply = hashlib.sha256()
        self._began = gate.clock()
        self._sent: tuple[Tally | None, int] = None, 0

    @property
    def committer(self) -> Keyer | None:
        """What the commitments of the request's subjects are made with."""
        return self._gate.committer

    def identify(self) -> None:
        """Who calls. Raises `UnauthenticatedError`."""
        self._identity = identity = self._gate.peers.identify(self._context)
        self._facts |= {
            "certificate": identity.fingerprint,
            "speaks_for": tuple(sorted(identity.courts | identity.operators | identity.institutions)),
        }

    def authorize(self, request: Request, selection: Selection, lookups: int) -> None:
        """Whether the caller may ask this of whom it wants. Raises `PermissionDeniedError`, `SignatureError`."""
        mandate = request.mandate
        self._facts |= {
            "court": mandate.court.code,
            "officer": mandate.officer,
            "case_number": mandate.case_number,
            "legal_document": mandate.legal_document,
            "request_id": request.request_id,
            "lookups": lookups,
            "institutions": len(selection.institutions),
        }
        self._decide(request, selection)
        self._check_signature(request)

    def admit(self, request: Request, selection: Selection, chunks: Sequence[Chunk]) -> None:
        """Whether these subjects may be asked about. That they may is recorded by `clear`.

        Raises `PermissionDeniedError`, `QuotaExceededError`, or `UnrecordedError` if quotas cannot be charged.
        """
        gate = self._gate
        types = {subject_type for chunk in chunks for subject_type in set(chunk.columns.types)}
        self._decide(request, selection, types=types)
        if gate.quotas is not None:
            gate.charge(self._decision, request, b"".join(map(_valid, chunks)))
        if gate.log is not None:
            commitments = b"".join([chunk.columns.commitments for chunk in chunks])
            inquired = Inquired(tuple(spec.id for spec in selection.institutions), commitments)
            self._admission = Unrecorded(Admitted(**self._facts), inquired.encode(), proof=False)

    async def clear(self) -> None:
        """Records that the request was admitted, before anybody is asked and anything is answered.

        Raises `UnrecordedError` if it cannot be recorded.
        """
        if self._admission is not None and self._gate.log is not None:
            admission, self._admission = self._admission, None
            self._admitted = asyncio.ensure_future(_recorded(self._gate.log, [admission]))
        if self._admitted is not None:
            await asyncio.shield(self._admitted)  # a caller that leaves meanwhile does not take it back

    def writing(self, write: Write) -> Write:
        """The same as `write`, but after `clear`, and what is written goes into the digest of the reply, too."""
        if self._gate.log is None:
            return write
        update = self._reply.update

        async def hashing(message: bytes) -> None:
            if self._receipt is None:
                await self.clear()
                update(message)
            await write(message)

        return hashing

    async def answered(self, reports: bytes, tally: Tally, count: int) -> None:
        """Records that the request was admitted and has been answered, if nobody was asked: both in one commit.

        `reports`: all of them, none of which has been sent; so many. Raises `UnrecordedError` if it cannot be recorded.
        """
        if self._admission is not None:
            self._receipt = await self.end(reports, tally, count)

    async def end(self, last: bytes, tally: Tally, reports: int) -> Recorded | None:
        """Records that the request has been answered, unless `answered` has; `last`: the reports not sent yet.

        Raises `UnrecordedError` if it cannot be recorded.
        """
        if self._gate.log is None or self._receipt is not None:
            return self._receipt
        self._reply.update(last)
        entries, admitted = [], BEFORE
        if self._admission is not None:
            entries.append(self._admission)
        elif self._admitted is not None:
            admitted = self._admitted.result().index
        ended = self._ended(admitted, "OK", tally, reports)
        self._admission = self._admitted = None
        return await _recorded(self._gate.log, [*entries, Unrecorded(ended, self.transcript.encoded(), proof=True)])

    def count(self, tally: Tally, reports: int) -> None:
        """Takes note of what has been sent."""
        self._sent = tally, reports

    def break_off(self, status: str) -> None:
        """Records, without waiting for it, that an admitted request has ended early, if it has not ended yet."""
        if self._gate.log is not None and self._admitted is not None:
            self._gate.record_later(self._record_early_end(self._gate.log, self._admitted, status))
            self._admitted = None

    async def _record_early_end(self, log_: AuditLog, admitted: "asyncio.Future[Recorded]", status: str) -> None:
        ended = self._ended((await admitted).index, status, *self._sent)
        await log_.append(ended, self.transcript.encoded(), proof=False)

    async def list(self, court: Court | None) -> None:
        """Lets a call in that is about no subject. Raises `CallerError` if it may not; that is recorded."""
        try:
            self.identify()
            self._facts["court"] = court.code if court else ""
            self._gate.check(self._identity, Asked(method=self._facts["method"], court=court))
        except CallerError as error:
            raise await self.refuse(error) from None

    async def refuse(self, error: CallerError) -> CallerError:
        """Records that the caller was refused. Returns what it is told: that it was, or that this cannot be recorded.

        Requests that are invalid, or come when the broker is busy, are not recorded: they are no attempt at anything.
        """
        if self._gate.log is None or not isinstance(error, RefusedError):
            return error
        status = status_of(error)[0].name
        try:
            entry = Refused(**self._facts, status=status, reason=error.reason, rule=error.rule)
            await self._gate.log.append(entry, proof=False)
        except AuditError:
            return UnrecordedError()
        return error

    def _decide(self, request: Request, selection: Selection, types: frozenset[int] | set[int] = frozenset()) -> None:
        asked = Asked(
            method=INVESTIGATE,
            court=request.mandate.court,
            officer=request.mandate.officer,
            kinds=frozenset(spec.kind for spec in selection.institutions),
            regions=frozenset(spec.region for spec in selection.institutions),
            persons=not types <= _PROPERTIES,
            properties=not types.isdisjoint(_PROPERTIES),
        )
        self._decision = self._gate.check(self._identity, asked)

    def _check_signature(self, request: Request) -> None:
        policy = self._gate.policy
        if policy is None:
            return
        metadata = self._context.invocation_metadata() or ()
        signature = verify(metadata, policy.keys, request.mandate, self._digest, self._gate.clock())
        if signature is not None:
            self._facts["signature"] = Signature.of(signature.key, signature.value)
        elif self._decision.signature_required:
            raise missing_signature(self._decision.rule)

    def _ended(self, admitted: int, status: str, tally: Tally | None, reports: int) -> Ended:
        outcomes = tally.by_outcome() if tally else {}
        sources = tally.by_source() if tally else {}
        return Ended(
            admitted=admitted,
            status=status,
            reply_sha256=self._reply.hexdigest(),
            reports=reports,
            outcomes={outcome.name: count for outcome, count in outcomes.items()},
            sources={source.name: count for source, count in sources.items()},
            elapsed_ms=round((self._gate.clock() - self._began) * 1e3),
        )


OPEN_GATE = Gate()
"""Lets everybody in, and records nothing."""


async def _recorded(log_: AuditLog, entries: Sequence[Unrecorded]) -> Recorded:
    try:
        return await log_.append_all(entries)
    except AuditError:
        raise UnrecordedError from None


def _valid(chunk: Chunk) -> bytes:
    """What stands for the subjects of valid lookups, 16 bytes for each: nobody is asked about the others."""
    columns = chunk.columns
    subjects = columns.commitments or b"".join(columns.keys)
    if not columns.problems:
        return subjects
    valid = [index for index in range(len(columns.keys)) if index not in columns.problems]
    return b"".join([subjects[SIZE * index : SIZE * (index + 1)] for index in valid])


def _quota_error(exceeded: Exceeded, rule: str, now: float) -> QuotaExceededError:
    scope = exceeded.scope
    after = None if scope.resets_at is None else max(0.0, scope.resets_at - now)
    again = "" if after is None else f"; it starts anew in {timedelta(seconds=round(after))}"
    message = (
        f"rule {rule!r}: quota {scope.quota}: {scope.limit} distinct subjects are allowed, {exceeded.used} were asked"
        f" about before, and the request asks about {exceeded.wanted} more{again}"
    )
    return QuotaExceededError(scope.quota, message, after)
