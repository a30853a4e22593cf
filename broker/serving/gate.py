"""What a request passes before anybody is asked.

    certificate ─▶ identity ─▶ policy, signature ─▶ quotas ─▶ `admitted` entry ─▶ the request ─▶ `ended` entry
                       │              │                │
                       └──────────────┴────────────────┴──▶ `refused` entry

A lookup that the cache answers passes the same gate as one that is asked. `request_record` writes the entries.
"""

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from broker.access.identity import ANONYMOUS, Identity
from broker.access.policy import INVESTIGATE, Asked, Decision, Policy
from broker.access.quota import Exceeded, Scope, scopes
from broker.access.signature import missing_signature, verify
from broker.audit.entry import Signature
from broker.audit.material import Inquired
from broker.core.planning.chunk import Chunk
from broker.core.planning.selection import Selection
from broker.core.subjects.key import SIZE, Keyer
from broker.errors import (
    CallerError,
    PermissionDeniedError,
    QuotaExceededError,
    StoreError,
    UnauthenticatedError,
    UnrecordedError,
)
from broker.model import PROPERTY_TYPES, Court, Request
from broker.serving.peer import AnonymousPeers, PeerIdentifier
from broker.serving.request_record import Facts, Recorder, RequestRecord

log = logging.getLogger(__name__)

_PROPERTIES: frozenset[int] = frozenset(map(int, PROPERTY_TYPES))
_ALLOWED = Decision(allowed=True, rule="")


class QuotaCounter(Protocol):
    """Where quotas are counted."""

    def charge(self, charged: Sequence[Scope], commitments: bytes, now: float) -> Exceeded | None:
        """Charges scopes with subjects, 16 bytes each; nothing if one of them would be exceeded, which is returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets requests in. What is None is not checked."""

    peers: PeerIdentifier = field(default_factory=AnonymousPeers)
    policy: Policy | None = None
    quotas: QuotaCounter | None = None
    recorder: Recorder = field(default_factory=Recorder)
    committer: Keyer | None = None
    """What subjects' commitments are made with; given if requests are recorded."""

    def passage(self, method: str, body: bytes, context: Any) -> "Passage":
        """The way of one request through the gate. `context`: gRPC's, of the call."""
        return Passage(self, method, body, context)

    def check(self, identity: Identity, asked: Asked) -> Decision:
        """What the policy says. Raises `PermissionDeniedError`."""
        decision = _ALLOWED if self.policy is None else self.policy.decide(identity, asked)
        if not decision.allowed:
            raise PermissionDeniedError(decision.rule, decision.field, decision.message)
        return decision

    def charge(self, decision: Decision, request: Request, commitments: bytes) -> None:
        """Charges the quotas of the rule that allows a request.

        Raises `QuotaExceededError`, or `UnrecordedError` if that cannot be done.
        """
        now = self.recorder.clock()
        charged = scopes(decision.quotas, request.mandate, now)
        try:
            exceeded = self.quotas.charge(charged, commitments, now) if charged and self.quotas else None
        except StoreError as error:
            log.error("%s", error)
            raise UnrecordedError from None
        if exceeded is not None:
            raise _quota_error(exceeded, decision.rule, now)


class Passage:
    """The way of one request. State: what is known of it, and what was decided."""

    def __init__(self, gate: Gate, method: str, body: bytes, context: Any) -> None:
        self.record = RequestRecord(gate.recorder)
        self._gate = gate
        self._context = context
        self._digest = hashlib.sha256(body).digest() if gate.policy or gate.recorder.log else b""
        self._identity = ANONYMOUS
        self._decision = _ALLOWED
        self._facts: Facts = {"method": method, "request_sha256": self._digest.hex()}

    @property
    def committer(self) -> Keyer | None:
        """What the commitments of the request's subjects are made with."""
        return self._gate.committer

    def identify(self) -> None:
        """Who calls. Raises `UnauthenticatedError`."""
        try:
            identity = self._gate.peers.identify(self._context)
        except UnauthenticatedError as error:
            self._facts |= {"certificate": error.fingerprint, "speaks_for": error.speaks_for}
            raise
        self._identity = identity
        self._facts |= {"certificate": identity.fingerprint, "speaks_for": identity.names}

    def authorize(self, request: Request, selection: Selection, lookups: int) -> None:
        """Whether the caller may ask this of whom it wants, and a signature, if there is one, counts.

        Raises `PermissionDeniedError`, `SignatureError`.
        """
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
        """Whether these subjects may be asked about. That they may is recorded before anything else happens.

        Raises `PermissionDeniedError`, `SignatureError` if the rule that allows them requires a signature,
        `QuotaExceededError`, or `UnrecordedError` if quotas cannot be charged.
        """
        self._decide(request, selection, set().union(*map(_types, chunks)))
        if self._decision.signature_required and "signature" not in self._facts:
            raise missing_signature(self._decision.rule)
        if self._gate.quotas is not None:
            self._gate.charge(self._decision, request, b"".join(map(_valid, chunks)))
        if self.record.is_kept:
            commitments = b"".join([chunk.columns.commitments for chunk in chunks])
            standards = {
                positions[index]: each for columns, positions in chunks for index, each in columns.standards.items()
            }
            inquired = Inquired(tuple(spec.id for spec in selection.institutions), commitments, standards)
            self.record.admit(self._facts, inquired.encode())

    async def list(self, court: Court | None) -> None:
        """Lets a call in that is about no subject. Raises `CallerError` if it may not; that is recorded."""
        try:
            self.identify()
            self._facts["court"] = court.code if court else ""
            self._gate.check(self._identity, Asked(method=self._facts["method"], court=court))
        except CallerError as error:
            raise await self.refuse(error) from None

    async def refuse(self, error: CallerError) -> CallerError:
        """See `RequestRecord`."""
        return await self.record.refuse(error, self._facts)

    def _decide(self, request: Request, selection: Selection, types: Collection[int] = ()) -> None:
        if self._gate.policy is None:
            return
        asked = Asked(
            method=INVESTIGATE,
            court=request.mandate.court,
            officer=request.mandate.officer,
            kinds=selection.kinds,
            regions=selection.regions,
            persons=not _PROPERTIES.issuperset(types),
            properties=not _PROPERTIES.isdisjoint(types),
        )
        self._decision = self._gate.check(self._identity, asked)

    def _check_signature(self, request: Request) -> None:
        policy = self._gate.policy
        if policy is None:
            return
        metadata = self._context.invocation_metadata() or ()
        signature = verify(metadata, policy.keys, request.mandate, self._digest, self._gate.recorder.clock())
        if signature is not None:
            self._facts["signature"] = Signature.of(signature.key, signature.value)


OPEN_GATE = Gate()
"""Lets everybody in, and records nothing."""


def _types(chunk: Chunk) -> set[int]:
    """The types of the subjects of valid lookups: nobody is asked about the others."""
    columns = chunk.columns
    if not columns.problems:
        return set(columns.types)
    return {each for index, each in enumerate(columns.types) if index not in columns.problems}


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
