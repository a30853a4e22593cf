"""All errors that the broker raises on purpose, grouped by who has to act on them.

* `CallerError`: the request as a whole cannot be served. It becomes a gRPC status.
* `InstitutionError`: an institution failed. It becomes data in the answers, never a gRPC status.
* `ConfigError`, `StoreError`, `AuditError`: the operator has to act.

No message contains a subject's name or number.
"""

from typing import NamedTuple


class BrokerError(Exception):
    """The base class of all errors that are raised on purpose."""


class Violation(NamedTuple):
    """An invalid field of a request, and how to correct it."""

    field: str
    description: str


_MAX_SHOWN = 5  # violations in a message; programs find all of them in `violations`


class CallerError(BrokerError):
    """The request as a whole cannot be served."""


class InvalidRequestError(CallerError):
    """The request violates the contract. No institution was asked."""

    def __init__(self, violations: list[Violation]) -> None:
        shown = [f"{field}: {description}" for field, description in violations[:_MAX_SHOWN]]
        if len(violations) > _MAX_SHOWN:
            shown.append(f"and {len(violations) - _MAX_SHOWN} more")
        super().__init__("; ".join(shown))
        self.violations = violations


class BusyError(CallerError):
    """The broker is overloaded. Try again after `retry_after` seconds."""

    def __init__(self, limit: str, retry_after: float) -> None:
        super().__init__(f"{limit}; try again in {retry_after:g} s")
        self.retry_after = retry_after


class DrainingError(CallerError):
    """This broker is stopping. Another one, or this one after its restart, will accept the request."""


class RefusedError(CallerError):
    """The caller may not ask this. Nothing was asked; the refusal is recorded in the audit log."""

    reason = ""
    """For programs."""
    rule = ""
    """The rule of the policy, or the quota, that decided."""


class UnrecordedError(CallerError):
    """The broker cannot record what it is asked, and so must not serve it. Another broker may be able to."""

    def __init__(self) -> None:
        super().__init__("the broker cannot record requests at present; try another one, or ask its operator")


class UnauthenticatedError(RefusedError):
    """It is not known who calls, or the caller's certificate is no longer valid.

    `reason` is for programs: NO_CERTIFICATE, NAMES_NOBODY, BAD_NAME, BAD_CERTIFICATE, EXPIRED, REVOKED,
    REVOCATION_UNKNOWN or TLS_VERSION.
    """

    fingerprint = ""
    """Of the certificate, if it could be read."""
    speaks_for: tuple[str, ...] = ()
    """The names of the certificate, if they could be read."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PermissionDeniedError(RefusedError):
    """The policy does not allow this caller this request. Nothing was asked.

    `rule`: the one that came closest to allowing it, "" if none concerns the caller. `field`: the part of the request,
    in the contract's words, that it does not allow.
    """

    reason = "NOT_ALLOWED"

    def __init__(self, rule: str, field: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.field = field


class QuotaExceededError(RefusedError):
    """The request would exceed a quota of distinct subjects. Nothing was asked, and nothing was charged.

    `resets_after`: seconds until the quota starts anew; None if it never does.
    """

    reason = "QUOTA_EXCEEDED"

    def __init__(self, quota: str, message: str, resets_after: float | None) -> None:
        super().__init__(message)
        self.rule = self.quota = quota
        self.resets_after = resets_after


class SignatureError(RefusedError):
    """The request has to be signed and is not, or its signature is wrong.

    `reason` is for programs: NO_SIGNATURE, INCOMPLETE, MALFORMED, UNKNOWN_KEY, KEY_EXPIRED, WRONG_TIME, WRONG_COURT,
    WRONG_OFFICER or BAD_SIGNATURE.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CallerGoneError(BrokerError):
    """The caller's connection broke while its stream was written. Nobody is left who could be told."""


class SlowReaderError(BrokerError):
    """The caller read its stream more slowly than the broker allows. The stream is ended: others need what it holds."""

    def __init__(self, min_rate: float) -> None:
        super().__init__(
            f"the stream was read more slowly than {min_rate:g} bytes per second; read faster, or send fewer lookups"
            " per request"
        )


class StreamTimeoutError(BrokerError):
    """The time of the request, `seconds`, has passed before its stream was written to its end."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the stream did not end within {seconds:g} s; set a later deadline, read faster, or send fewer lookups per"
            " request"
        )


class InstitutionError(BrokerError):
    """A call to an institution failed. `reason` appears in answers and metrics."""

    reason = "UNAVAILABLE"
    retryable = True
    overload = False
    """Whether the institution is overloaded, so that fewer calls would help."""


class UnreachableError(InstitutionError):
    """The connection failed, or broke before the reply was complete."""

    reason = "UNREACHABLE"


class UnansweredError(InstitutionError):
    """The institution did not reply within its timeout."""

    reason = "NO_REPLY"
    overload = True


class OverloadedError(InstitutionError):
    """The institution replied 429. `retry_after` is in seconds, if it named one."""

    reason = "OVERLOADED"
    overload = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FailedError(InstitutionError):
    """The institution reported an internal error (5xx)."""

    reason = "FAILED"

    def __init__(self, message: str, *, overload: bool = False) -> None:
        super().__init__(message)
        self.overload = overload


class BadReplyError(InstitutionError):
    """The reply is not usable: malformed, to another request, with items that were not asked, or too large."""

    reason = "BAD_REPLY"


class RejectedError(InstitutionError):
    """The institution refused the batch as a whole (4xx).

    `divisible`: the reason may be a single inquiry, which bisecting the batch can find.
    """

    reason = "REJECTED"
    retryable = False

    def __init__(self, message: str, *, divisible: bool = False) -> None:
        super().__init__(message)
        self.divisible = divisible


class BreakerOpenError(InstitutionError):
    """The institution was not asked, because its circuit breaker is open."""

    reason = "BREAKER_OPEN"
    retryable = False


class ConfigError(BrokerError):
    """The configuration is invalid. Each fault names file, key and reason."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class StoreError(BrokerError):
    """The store cannot be used. The message says what to do."""


class AuditError(BrokerError):
    """Nothing can be recorded any more, or what was recorded is not what it was. The message says what to do."""


def origin(error: BaseException) -> str:
    """The type of an error and where it was raised, for logs: its text could contain a subject's data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "an unknown place"
    return f"{type(error).__name__} at {where}"
