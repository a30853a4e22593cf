"""The errors of the client, and how they follow from gRPC statuses.

No message contains a subject's name or number.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from broker.errors import BrokerError, Violation

Code = grpc.StatusCode

_REFUSALS = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
        Code.UNIMPLEMENTED,
    }
)
"""Statuses for which retrying is useless."""


class ClientError(BrokerError):
    """A call failed. `code` is the name of the gRPC status."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class RequestRefusedError(ClientError):
    """The broker refused the request. `violations` are the fields to correct, if the broker named any."""

    def __init__(self, message: str, code: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message, code)
        self.violations = tuple(violations)


class QuotaSpentError(RequestRefusedError):
    """The request asks about more subjects than a quota of the broker's policy has left.

    `resets_after` is the number of seconds until the quota starts anew; None if it never does.
    """

    def __init__(self, message: str, code: str, resets_after: float | None = None) -> None:
        super().__init__(message, code)
        self.resets_after = resets_after


class BrokerUnavailableError(ClientError):
    """The broker is unreachable, stopping or overloaded, or the stream broke: try again later.

    `retry_after` is the number of seconds to wait, if the broker named one.
    """

    def __init__(self, message: str, code: str, retry_after: float | None = None) -> None:
        super().__init__(message, code)
        self.retry_after = retry_after


class HandshakeFailedError(BrokerUnavailableError):
    """No connection came about, mostly because of certificates. The message says what to check."""


class OutOfTimeError(ClientError):
    """The time limit was reached before every lookup was answered: ask again about the others, or raise it."""


def read_error(error: Any) -> ClientError:
    """Converts a `grpc.aio.AioRpcError`."""
    code: Any = error.code()
    message = f"{code.name}: {error.details()}"
    details = _details(error)
    retry_after = _retry_after(details)
    if any(detail.Is(error_details_pb2.QuotaFailure.DESCRIPTOR) for detail in details.details):
        return QuotaSpentError(message, code.name, retry_after)
    # An overloaded broker names a delay. Without one, the message exceeded gRPC's size limit.
    if code in _REFUSALS or (code is Code.RESOURCE_EXHAUSTED and retry_after is None):
        return RequestRefusedError(message, code.name, _violations(details))
    return BrokerUnavailableError(message, code.name, retry_after)


def _details(error: Any) -> Any:
    """The machine-readable details of an error (google.rpc.Status); empty if there are none."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()


def _violations(details: Any) -> list[Violation]:
    found = []
    for detail in details.details:
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            found += [Violation(one.field, one.description) for one in request.field_violations]
    return found


def _retry_after(details: Any) -> float | None:
    for detail in details.details:
        hint = error_details_pb2.RetryInfo()
        if detail.Unpack(hint):
            return float(hint.retry_delay.ToNanoseconds() / 1e9)
    return None
