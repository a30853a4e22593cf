"""The gRPC service of the broker: decodes requests, streams responses, and converts errors to statuses.

The pipeline has already encoded the responses; nothing is serialised here. `CancelledError` is never suppressed, so a
cancelled call ends everything that was begun for it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from broker.config import ServerConfig
from broker.core.control.admission import Holding
from broker.core.control.breaker import State
from broker.core.control.stream_limits import ReaderPace, time_limits
from broker.core.subjects.case_number import PUBLISHED, CaseNumbering
from broker.core.subjects.court import parse_court, reaches
from broker.core.subjects.request_id import loggable
from broker.errors import (
    BusyError,
    CallerError,
    CallerGoneError,
    DrainingError,
    InvalidRequestError,
    SlowReaderError,
    StreamTimeoutError,
    Violation,
    origin,
)
from broker.lanes.lane import LaneStatistics
from broker.metrics.requests import RequestMetrics
from broker.model import InstitutionSpec, Request
from broker.serving import contract
from broker.serving.pipeline import Pipeline
from broker.serving.stream import ResponseStream
from broker.v1 import investigation_pb2 as pb

log = logging.getLogger(__name__)

NAME = "broker.v1.InvestigationService"
_DOMAIN = "broker.v1"
# The details are sent as metadata, of which gRPC clients accept at most 8 KiB.
_MAX_VIOLATIONS = 20
_MAX_FIELD = 64
_DESCRIBED_AT_ONCE = 200  # institutions described in one step of the loop: some two milliseconds
# Below this share of its concurrency an institution is reported as degraded.
_DEGRADED_SHARE = 0.5


class InvestigationService:
    """The RPCs of investigation.proto."""

    def __init__(
        self,
        pipeline: Pipeline,
        config: ServerConfig,
        meter: RequestMetrics,
        *,
        numbering: CaseNumbering = PUBLISHED,
    ) -> None:
        """`numbering`: how the numbers of cases are read."""
        self._numbering = numbering
        self._pipeline = pipeline
        self._config = config
        self._meter = meter
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler to add to a server. It passes the messages of Investigate on as bytes, in both directions."""
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "Investigate": grpc.unary_stream_rpc_method_handler(self.investigate),
                "ListInstitutions": grpc.unary_unary_rpc_method_handler(
                    self.list_institutions,
                    request_deserializer=pb.ListInstitutionsRequest.FromString,
                    response_serializer=pb.ListInstitutionsResponse.SerializeToString,
                ),
            },
        )

    async def wait_idle(self) -> None:
        """Waits until no stream is open."""
        await self._idle.wait()

    async def investigate(self, body: bytes, context: Any) -> None:
        """Streams the reports of one `InvestigateRequest`."""
        began = time.perf_counter()
        status = "CANCELLED"
        self._active += 1
        self._idle.clear()
        try:
            status = await self._investigate(body, context, began)
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()
            self._meter.ended(status, time.perf_counter() - began)

    async def _investigate(self, body: bytes, context: Any, began: float) -> str:
        name = "a request that was not read"
        try:
            with self._pipeline.admission.enter(len(body)) as holding:
                request, lookups = contract.read_request(
                    body, max_lookups=self._config.max_lookups, numbering=self._numbering
                )
                name = f"request {loggable(request.request_id)}"
                await self._stream(holding, request, lookups, context, began)
        except CallerError as error:
            code, details = _status(error)
            _set_status(context, code, str(error), details)
            return str(code.name)
        except (SlowReaderError, StreamTimeoutError) as error:
            log.warning("%s: %s", name, error)
            _set_status(context, grpc.StatusCode.DEADLINE_EXCEEDED, str(error), [])
            return "DEADLINE_EXCEEDED"
        except CallerGoneError:
            raise asyncio.CancelledError from None  # as gRPC does it; otherwise it would fail to send a status
        except Exception as error:  # noqa: BLE001 - the caller gets INTERNAL
            if context.cancelled():  # the caller left during a write
                raise asyncio.CancelledError from None
            log.error("%s: internal error: %s", name, origin(error))
            _set_status(context, grpc.StatusCode.INTERNAL, f"the broker failed; its log has an error for {name}", [])
            return "INTERNAL"
        return "OK"

    async def _stream(
        self, holding: Holding, request: Request, lookups: Sequence[bytes], context: Any, began: float
    ) -> None:
        """Writes the whole stream, within its limits."""
        config = self._config
        limits = time_limits(context.time_remaining(), default=config.default_timeout, longest=config.max_timeout)
        pace = ReaderPace(min_rate=config.min_read_rate, max_lag=config.max_read_lag)
        stream = ResponseStream(context, pace, self._meter, began=began)
        try:
            async with asyncio.timeout(limits.stream) as whole:
                await self._pipeline.investigate(holding, request, lookups, limits.answers, stream.write)
        except TimeoutError:
            if not whole.expired():
                raise
            raise StreamTimeoutError(limits.stream) from None

    async def list_institutions(self, request: pb.ListInstitutionsRequest, context: Any) -> pb.ListInstitutionsResponse:
        """Lists the institutions a court can reach, or all."""
        specs: list[InstitutionSpec] = sorted(self._pipeline.selector.registry, key=lambda spec: spec.id)
        if request.court_code:
            try:
                court = parse_court(request.court_code)
            except ValueError as error:
                refusal = InvalidRequestError([Violation("court_code", str(error))])
                code, details = _status(refusal)
                _set_status(context, code, str(refusal), details)
                return pb.ListInstitutionsResponse()
            specs = [spec for spec in specs if reaches(court, spec.region)]
        lanes = self._pipeline.context.fanout.lanes
        response = pb.ListInstitutionsResponse()
        for start in range(0, len(specs), _DESCRIBED_AT_ONCE):
            part = specs[start : start + _DESCRIBED_AT_ONCE]
            response.institutions.extend([_describe(spec, lanes[spec.id].statistics()) for spec in part])
            await asyncio.sleep(0)
        return response


def _describe(spec: InstitutionSpec, statistics: LaneStatistics) -> pb.Institution:
    kind: Any = spec.kind
    described = pb.Institution(
        id=spec.id, display_name=spec.name, kind=kind, region=spec.region or "", health=_health(spec, statistics)
    )
    described.found_lifetime.FromNanoseconds(int(spec.found_ttl * 1e9))
    described.not_found_lifetime.FromNanoseconds(int(spec.not_found_ttl * 1e9))
    return described


def _health(spec: InstitutionSpec, statistics: LaneStatistics) -> pb.InstitutionHealth:
    if statistics.breaker is State.OPEN:
        return pb.INSTITUTION_HEALTH_UNREACHABLE
    if statistics.breaker is State.HALF_OPEN or statistics.limit < spec.concurrency * _DEGRADED_SHARE:
        return pb.INSTITUTION_HEALTH_DEGRADED
    return pb.INSTITUTION_HEALTH_SERVING


def _status(error: CallerError) -> tuple[grpc.StatusCode, list[Message]]:
    """The gRPC status of an error, with machine-readable details."""
    match error:
        case InvalidRequestError():
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=field[:_MAX_FIELD], description=description)
                for field, description in error.violations[:_MAX_VIOLATIONS]
            ]
            return grpc.StatusCode.INVALID_ARGUMENT, [error_details_pb2.BadRequest(field_violations=violations)]
        case BusyError():
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(error.retry_after * 1e9))
            return grpc.StatusCode.RESOURCE_EXHAUSTED, [
                error_details_pb2.ErrorInfo(reason="BUSY", domain=_DOMAIN),
                error_details_pb2.RetryInfo(retry_delay=delay),
            ]
        case DrainingError():
            return grpc.StatusCode.UNAVAILABLE, [error_details_pb2.ErrorInfo(reason="DRAINING", domain=_DOMAIN)]
        case _:
            return grpc.StatusCode.INTERNAL, []


def _set_status(context: Any, code: grpc.StatusCode, message: str, details: list[Message]) -> None:
    """Ends the call with a status, and its details as google.rpc.Status."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    context.set_code(code)
    context.set_details(message)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
