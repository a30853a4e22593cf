"""Every error the broker raises on purpose, sorted by who has to act on it.

* `CallerError`: the request as a whole cannot be served as it stands; becomes a gRPC status.
* `InstitutionError`: an institution failed; becomes data in the answers, never a gRPC status.
* `ConfigError`, `StoreError`: the operator has to act.

No message ever holds a subject's name or number.
"""

from typing import NamedTuple


class BrokerError(Exception):
    """Root of all errors raised on purpose."""


class Violation(NamedTuple):
    """One field of a request that is wrong, and what to do about it."""

    field: str
    description: str


_MOST_SHOWN = 5  # violations in a message; programs read them all from `violations`


class CallerError(BrokerError):
    """The request as a whole cannot be served."""


class InvalidRequestError(CallerError):
    """The request breaks the contract; nothing was asked."""

    def __init__(self, violations: list[Violation]) -> None:
        shown = [f"{field}: {description}" for field, description in violations[:_MOST_SHOWN]]
        if len(violations) > _MOST_SHOWN:
            shown.append(f"and {len(violations) - _MOST_SHOWN} more")
        super().__init__("; ".join(shown))
        self.violations = violations


class BusyError(CallerError):
    """The broker has as much work as it takes; try again after `retry_after` seconds."""

    def __init__(self, limit: str, retry_after: float) -> None:
        super().__init__(f"{limit}; try again in {retry_after:g} s")
        self.retry_after = retry_after


class DrainingError(CallerError):
    """This broker is stopping; another one, or this one after its restart, will serve the request."""


class StalledError(BrokerError):
    """The caller took nothing of its stream for `seconds`: its permits are needed by others."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing was read from the stream for {seconds:g} s; read faster, or ask for less at a time")


class InstitutionError(BrokerError):
    """A call to an institution failed. `reason` goes into answers and metrics."""

    reason = "UNAVAILABLE"
    retryable = True
    overload = False
    """Whether asking less would help."""


class UnreachableError(InstitutionError):
    """No connection, or it broke before the reply was whole."""

    reason = "UNREACHABLE"


class UnansweredError(InstitutionError):
    """No reply within the institution's timeout."""

    reason = "NO_REPLY"
    overload = True


class OverloadedError(InstitutionError):
    """The institution says it is asked too much (429). `retry_after` in seconds, if it named one."""

    reason = "OVERLOADED"
    overload = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FailedError(InstitutionError):
    """The institution reported an error of its own (5xx)."""

    reason = "FAILED"

    def __init__(self, message: str, *, overload: bool = False) -> None:
        super().__init__(message)
        self.overload = overload


class BadReplyError(InstitutionError):
    """The reply is no reply to what was asked: garbage, of another request, with surplus items, or too large."""

    reason = "BAD_REPLY"


class RejectedError(InstitutionError):
    """The institution refuses the batch as a whole (4xx).

    `divisible`: the refusal may be about one inquiry in it, so asking for the parts may find that one.
    """

    reason = "REJECTED"
    retryable = False

    def __init__(self, message: str, *, divisible: bool = False) -> None:
        super().__init__(message)
        self.divisible = divisible


class BreakerOpenError(InstitutionError):
    """The institution was not asked: it has failed too often of late."""

    reason = "BREAKER_OPEN"
    retryable = False


class ConfigError(BrokerError):
    """The configuration is wrong: the message names file, key and reason."""


class StoreError(BrokerError):
    """The store cannot be used: the message says what to do."""


def origin(error: BaseException) -> str:
    """What kind of error, and where: for the log, since an unforeseen error's own text could hold a subject."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "an unknown place"
    return f"{type(error).__name__} at {where}"
