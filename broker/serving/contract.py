"""Converts the messages of the courts' contract (investigation.proto) to the broker's own types, and back.

Every fault of a request as a whole is collected in one `InvalidRequestError`. The lookups stay encoded; `lookups` reads
them.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from broker.core.planning.selection import Selection
from broker.core.planning.tally import Tally
from broker.core.subjects.case_number import PUBLISHED, CaseNumbering
from broker.core.subjects.mandate import read_mandate
from broker.core.wire.outline import with_encoded
from broker.errors import InvalidRequestError, Violation
from broker.model import Delivery, Kind, Mandate, Outcome, Priority, Request, Source
from broker.v1 import investigation_pb2 as pb

_MAX_REQUEST_ID = 128
_MAX_INSTITUTIONS = 5_000  # the largest system known to us connects 3,992
_MAX_KINDS = 64
_MAX_AGE = 10 * 365 * 86_400  # s; a protobuf Duration can be up to ten thousand years


def read_request(
    body: bytes, *, max_lookups: int, numbering: CaseNumbering = PUBLISHED
) -> tuple[Request, Sequence[bytes]]:
    """The request, and its lookups, encoded. Raises `InvalidRequestError` that lists every fault."""
    violations: list[Violation] = []
    message = _parse(body)
    lookups: Sequence[bytes] = message.lookups
    mandate = _read_mandate(message, numbering, violations)
    _check_count(len(lookups), max_lookups, violations)
    max_age = _read_max_age(message, violations)
    kinds = _read_kinds(message.kinds, violations)
    if len(message.institution_ids) > _MAX_INSTITUTIONS:
        violations.append(
            Violation(
                "institution_ids", f"has more than {_MAX_INSTITUTIONS} elements: leave it out to ask all institutions"
            )
        )
    priority = _read_enum("priority", Priority, message.priority, violations)
    delivery = _read_enum("delivery", Delivery, message.delivery, violations)
    if len(message.request_id) > _MAX_REQUEST_ID:
        violations.append(Violation("request_id", f"is longer than {_MAX_REQUEST_ID} characters: shorten it"))
    if violations or mandate is None:
        raise InvalidRequestError(violations)
    request = Request(
        mandate=mandate,
        institution_ids=tuple(dict.fromkeys(message.institution_ids)),
        kinds=kinds,
        max_age=max_age,
        priority=priority,
        delivery=delivery,
        request_id=message.request_id or uuid.uuid4().hex,
    )
    return request, lookups


_EncodedLookups = with_encoded(pb.InvestigateRequest, "lookups")


def _parse(body: bytes) -> Any:
    """An `InvestigateRequest` whose lookups are bytes."""
    try:
        return _EncodedLookups.FromString(body)
    except DecodeError:
        raise InvalidRequestError(
            [Violation("request", "is not an InvestigateRequest: see investigation.proto")]
        ) from None


def _read_mandate(
    message: pb.InvestigateRequest, numbering: CaseNumbering, violations: list[Violation]
) -> Mandate | None:
    given = message.mandate
    try:
        return read_mandate(given.court_code, given.officer, given.case_number, given.legal_document, numbering)
    except InvalidRequestError as error:
        violations.extend(error.violations)
        return None


def _check_count(count: int, maximum: int, violations: list[Violation]) -> None:
    if not count:
        violations.append(Violation("lookups", "is empty: send at least one"))
    if count > maximum:
        violations.append(
            Violation(
                "lookups",
                f"has {count} elements, but a request may have at most {maximum}: split it into several requests",
            )
        )


def _read_max_age(message: pb.InvestigateRequest, violations: list[Violation]) -> float | None:
    if not message.HasField("max_age"):
        return None
    given = message.max_age
    if not (0 <= given.seconds <= _MAX_AGE and 0 <= given.nanos < 1_000_000_000):
        violations.append(
            Violation(
                "max_age", "must be from zero to ten years: leave it out to accept any answer whose TTL has not expired"
            )
        )
    return given.seconds + given.nanos / 1e9


def _read_kinds(given: Sequence[int], violations: list[Violation]) -> frozenset[Kind]:
    kinds = set()
    if len(given) > _MAX_KINDS:
        violations.append(Violation("kinds", f"has more than {_MAX_KINDS} elements: name each kind once"))
    for index, number in enumerate(given[:_MAX_KINDS]):
        try:
            kinds.add(Kind(number))
        except ValueError:
            violations.append(Violation(f"kinds[{index}]", "is not an InstitutionKind: correct it, or leave it out"))
    return frozenset(kinds)


def _read_enum(field: str, enum: Any, number: int, violations: list[Violation]) -> Any:
    """A member of an enumeration whose first member is the default."""
    try:
        return enum(number or 1)
    except ValueError:
        violations.append(Violation(field, f"must be one of {', '.join(enum.__members__)}"))
        return enum(1)


def write_summary(  # noqa: PLR0913 - a summary has that many parts
    request: Request,
    selection: Selection,
    tally: Tally,
    *,
    lookups: int,
    invalid: int,
    complete: bool,
    elapsed: float,
    receipt: pb.Receipt | None = None,
) -> bytes:
    """The stream's last message. `elapsed` in seconds."""
    outcomes = tally.by_outcome()
    sources = tally.by_source()
    if invalid:
        outcomes[Outcome.INVALID] = outcomes.get(Outcome.INVALID, 0) + invalid
        sources[Source.BROKER] = sources.get(Source.BROKER, 0) + invalid
    unavailable = tally.columns_with(Outcome.UNAVAILABLE, Outcome.TIMED_OUT)
    summary = pb.Summary(
        request_id=request.request_id,
        lookups=lookups,
        inquiries=sum(outcomes.values()),
        outcomes=[_outcome_count(outcome, count) for outcome, count in outcomes.items()],
        sources=[_source_count(source, count) for source, count in sources.items()],
        unavailable_institution_ids=[selection.institutions[column].id for column in unavailable],
        complete=complete,
        receipt=receipt,
    )
    summary.elapsed.FromNanoseconds(int(elapsed * 1e9))
    return pb.InvestigateResponse(summary=summary).SerializeToString()


def _outcome_count(outcome: Any, count: int) -> pb.OutcomeCount:
    return pb.OutcomeCount(outcome=outcome, count=count)


def _source_count(source: Any, count: int) -> pb.SourceCount:
    return pb.SourceCount(source=source, count=count)
