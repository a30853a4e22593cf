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

from broker.access.policy import INVESTIGATE, LIST_INSTITUTIONS
from broker.config import ServerConfig
from broker.core.control.admission import Holding
from broker.core.control.breaker import State
from broker.core.control.stream_limits import ReaderPace, time_limits
from broker.core.subjects.case_number import PUBLISHED, CaseNumbering
from broker.core.subjects.court import parse_court, reaches
from broker.core.subjects.request_id import loggable
from broker.errors import (
    CallerError,
    CallerGoneError,
    InvalidRequestError,
    SlowReaderError,
    StreamTimeoutError,
    Violation,
    origin,
)
from broker.lanes.lane import LaneStatistics
from broker.metrics.requests import RequestMetrics
from broker.model import Court, InstitutionSpec, Request
from broker.serving import contract
from broker.serving.gate import OPEN_GATE, Gate, Passage
from broker.serving.pipeline import Pipeline
from broker.serving.status import set_status, status_of
from broker.serving.stream import ResponseStream
from broker.v1 import investigation_pb2 as pb

log = logging.getLogger(__name__)

NAME = "broker.v1.InvestigationService"
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
        gate: Gate = OPEN_GATE,
        numbering: CaseNumbering = PUBLISHED,
    ) -> None:
        """`numbering`: how the numbers of cases are read."""
        self._gate = gate
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
        """Waits until no stream is open, and the end of each is recorded."""
        await self._idle.wait()
        await self._gate.recorder.wait_recorded()

    async def investigate(self, body: bytes, context: Any) -> None:
        """Streams the reports of one `InvestigateRequest`."""
        began = time.perf_counter()
        status = "CANCELLED"
        passage = self._gate.passage(INVESTIGATE, body, context)
        self._active += 1
        self._idle.clear()
        try:
            status = await self._investigate(passage, body, context, began)
        finally:
            passage.record.break_off(status)
            self._active -= 1
            if not self._active:
                self._idle.set()
            self._meter.ended(status, time.perf_counter() - began)

    async def _investigate(self, passage: Passage, body: bytes, context: Any, began: float) -> str:
        name = "a request that was not read"
        try:
            with self._pipeline.admission.enter(len(body)) as holding:
                passage.identify()
                request, lookups = contract.read_request(
                    body, max_lookups=self._config.max_lookups, numbering=self._numbering
                )
                name = f"request {loggable(request.request_id)}"
                await self._stream(holding, passage, request, lookups, context, began)
        except CallerError as refusal:
            error = await passage.refuse(refusal)
            code, details = status_of(error)
            set_status(context, code, str(error), details)
            return str(code.name)
        except (SlowReaderError, StreamTimeoutError) as error:
            log.warning("%s: %s", name, error)
            set_status(context, grpc.StatusCode.DEADLINE_EXCEEDED, str(error), [])
            return "DEADLINE_EXCEEDED"
        except CallerGoneError:
            raise asyncio.CancelledError from None  # as gRPC does it; otherwise it would fail to send a status
        except Exception as error:  # noqa: BLE001 - the caller gets INTERNAL
            if context.cancelled():  # the caller left during a write
                raise asyncio.CancelledError from None
            log.error("%s: internal error: %s", name, origin(error))
            set_status(context, grpc.StatusCode.INTERNAL, f"the broker failed; its log has an error for {name}", [])
            return "INTERNAL"
        return "OK"

    async def _stream(
        self,
        holding: Holding,
        passage: Passage,
        request: Request,
        lookups: Sequence[bytes],
        context: Any,
        began: float,
    ) -> None:
        """Writes the whole stream, within its limits."""
        config = self._config
        limits = time_limits(context.time_remaining(), default=config.default_timeout, longest=config.max_timeout)
        pace = ReaderPace(min_rate=config.min_read_rate, max_lag=config.max_read_lag)
        stream = ResponseStream(context, pace, self._meter, began=began)
        try:
            async with asyncio.timeout(limits.stream) as whole:
                await self._pipeline.investigate(holding, passage, request, lookups, limits.answers, stream.write)
        except TimeoutError:
            if not whole.expired():
                raise
            raise StreamTimeoutError(limits.stream) from None

    async def list_institutions(self, request: pb.ListInstitutionsRequest, context: Any) -> pb.ListInstitutionsResponse:
        """Lists the institutions a court can reach, or all."""
        specs: list[InstitutionSpec] = sorted(self._pipeline.selector.registry, key=lambda spec: spec.id)
        try:
            court = await self._admit_list(request, context)
        except CallerError as error:
            code, details = status_of(error)
            set_status(context, code, str(error), details)
            return pb.ListInstitutionsResponse()
        if court is not None:
            specs = [spec for spec in specs if reaches(court, spec.region)]
        lanes = self._pipeline.context.fanout.lanes
        response = pb.ListInstitutionsResponse()
        for start in range(0, len(specs), _DESCRIBED_AT_ONCE):
            part = specs[start : start + _DESCRIBED_AT_ONCE]
            response.institutions.extend([_describe(spec, lanes[spec.id].statistics()) for spec in part])
            await asyncio.sleep(0)
        return response

    async def _admit_list(self, request: pb.ListInstitutionsRequest, context: Any) -> Court | None:
        """The court whose institutions are to be listed. Raises `CallerError`."""
        try:
            court = parse_court(request.court_code) if request.court_code else None
        except ValueError as error:
            raise InvalidRequestError([Violation("court_code", str(error))]) from None
        await self._gate.passage(LIST_INSTITUTIONS, b"", context).list(court)
        return court


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
