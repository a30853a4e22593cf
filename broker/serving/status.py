"""The gRPC statuses that calls end with, and their details, which programs read."""

from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from broker.errors import (
    BusyError,
    CallerError,
    DrainingError,
    InvalidRequestError,
    PermissionDeniedError,
    QuotaExceededError,
    RefusedError,
    UnrecordedError,
)

_DOMAIN = "broker.v1"
# The details are sent as metadata, of which gRPC clients accept at most 8 KiB.
_MAX_VIOLATIONS = 20
_MAX_FIELD = 64


def status_of(error: CallerError) -> tuple[grpc.StatusCode, list[Message]]:
    """The gRPC status of an error, with machine-readable details."""
    match error:
        case InvalidRequestError():
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=field[:_MAX_FIELD], description=description)
                for field, description in error.violations[:_MAX_VIOLATIONS]
            ]
            return grpc.StatusCode.INVALID_ARGUMENT, [error_details_pb2.BadRequest(field_violations=violations)]
        case BusyError():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, [_info("BUSY"), _retry(error.retry_after)]
        case DrainingError():
            return grpc.StatusCode.UNAVAILABLE, [_info("DRAINING")]
        case UnrecordedError():
            return grpc.StatusCode.UNAVAILABLE, [_info("NOT_RECORDED")]
        case RefusedError():
            return _refusal(error)
        case _:
            return grpc.StatusCode.INTERNAL, []


def _refusal(error: RefusedError) -> tuple[grpc.StatusCode, list[Message]]:
    match error:
        case PermissionDeniedError():
            return grpc.StatusCode.PERMISSION_DENIED, [_info(error.reason, rule=error.rule, field=error.field)]
        case QuotaExceededError():
            failure = error_details_pb2.QuotaFailure(
                violations=[error_details_pb2.QuotaFailure.Violation(subject=error.quota, description=str(error))]
            )
            again = [] if error.resets_after is None else [_retry(error.resets_after)]
            return grpc.StatusCode.RESOURCE_EXHAUSTED, [_info(error.reason, quota=error.quota), failure, *again]
        case _:
            return grpc.StatusCode.UNAUTHENTICATED, [_info(error.reason)]


def set_status(context: Any, code: grpc.StatusCode, message: str, details: list[Message]) -> None:
    """Ends the call with a status, and its details as google.rpc.Status."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    context.set_code(code)
    context.set_details(message)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))


def _info(reason: str, **metadata: str) -> Any:
    return error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN, metadata=metadata)


def _retry(after: float) -> Any:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(after * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)
