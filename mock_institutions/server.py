"""The HTTP server of an institution: it validates every call like a real institution, answers it, and performs faults.

Steps of a call: count it -> refuse it if down or if there are too many in progress -> decode -> check -> rate limit ->
draw a fault -> wait -> answer. All of them work on whole batches.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from mock_institutions.config import Config, InstitutionConfig
from mock_institutions.dialect import Batch, Dialect, MalformedError
from mock_institutions.faults import FaultDrawer, Faults
from mock_institutions.json_dialect import JSON
from mock_institutions.limits import TokenBucket
from mock_institutions.listening import listening
from mock_institutions.misbehaviour import json_response, misbehave, refusal
from mock_institutions.population import Population
from mock_institutions.protobuf_dialect import PROTOBUF
from mock_institutions.records import Mandate
from mock_institutions.stats import Stats
from mock_institutions.tls import server_context

log = logging.getLogger("mock_institutions")

DIALECTS: dict[str, Dialect] = {dialect.content_type: dialect for dialect in (JSON, PROTOBUF)}

MAX_BODY = 16 << 20
"""The maximum size of a request in bytes. Ten thousand inquiries are about 1.5 MB of JSON."""


class RefusedError(Exception):
    """A call is refused as a whole. `retry_after` is in seconds."""

    def __init__(self, status: int, reason: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.response = refusal(status, reason, message, retry_after)


class InstitutionServer:
    """The HTTP handlers of one institution."""

    def __init__(self, config: InstitutionConfig, population: Population) -> None:
        self._config = config
        self._stats = Stats(config.lifetime if config.count_duplicates else None)
        self._faults = FaultDrawer(config.faults, f"{population.seed}/{config.id}")
        # The burst is one second of the rate, but at least a whole batch.
        self._bucket = TokenBucket(config.rate, max(config.rate, config.batch_size))
        registry = population.registry(config.institution)
        self._splicers = {content_type: dialect.splicer(registry) for content_type, dialect in DIALECTS.items()}

    def add_to(self, application: web.Application, below: str) -> None:
        """Adds the routes, each with the prefix `below`."""
        router = application.router
        router.add_post(f"{below}/v1/inquiries", self._inquiries)
        router.add_get(f"{below}/healthz", self._health)
        router.add_get(f"{below}/stats", self._show_stats)
        router.add_post(f"{below}/stats/reset", self._reset_stats)
        router.add_get(f"{below}/faults", self._show_faults)
        router.add_post(f"{below}/faults", self._replace_faults)

    async def _health(self, _: web.Request) -> web.Response:
        config = self._config
        return json_response(
            {"status": "serving", "institution_id": config.id, "kind": config.kind, "region": config.region}
        )

    async def _show_stats(self, _: web.Request) -> web.Response:
        return json_response(self._stats.snapshot()._asdict())

    async def _reset_stats(self, request: web.Request) -> web.Response:
        self._stats.reset()
        return await self._show_stats(request)

    async def _show_faults(self, _: web.Request) -> web.Response:
        return json_response(self._faults.settings)

    async def _replace_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults.settings = msgspec.json.decode(await request.read(), type=Faults)
        except msgspec.DecodeError as error:
            return refusal(400, "INVALID_FAULTS", str(error))
        return await self._show_faults(request)

    async def _inquiries(self, request: web.Request) -> web.StreamResponse:
        self._stats.enter()
        try:
            return await self._call(request)
        except RefusedError as error:
            self._stats.rejected += 1
            return error.response
        finally:
            self._stats.leave()

    async def _call(self, request: web.Request) -> web.StreamResponse:
        self._admit()
        batch = await self._read(request)
        self._check_size(batch)
        check(batch, self._config.id)
        self._take_tokens(batch)
        self._stats.asked(len(batch.mandate_of), batch.attempt)
        self._refuse_poison(batch)
        fault = self._faults.draw()
        delay = self._faults.latency()
        if delay:
            await asyncio.sleep(delay)
        if fault is None:
            return self._answer(request, batch)
        self._stats.fault(fault)
        splicer = self._splicers[request.content_type]
        return await misbehave(
            fault,
            request,
            settings=self._faults.settings,
            batch=batch,
            write=lambda batch: splicer.reply(batch.request_id, batch.inquiries, int(time.time())).body,
        )

    def _admit(self) -> None:
        if self._faults.settings.down:
            self._stats.fault("down")
            raise RefusedError(503, "DOWN", "the institution is down")
        if self._stats.in_progress > self._config.concurrency:
            self._stats.concurrency_violations += 1
            raise RefusedError(429, "TOO_MANY_CALLS", f"at most {self._config.concurrency} simultaneous calls", 1)

    async def _read(self, request: web.Request) -> Batch:
        dialect = DIALECTS.get(request.content_type)
        if dialect is None:
            raise RefusedError(415, "UNSUPPORTED_CONTENT_TYPE", f"send one of {', '.join(DIALECTS)}")
        try:
            return dialect.decode(await request.read())
        except MalformedError as error:
            raise RefusedError(400, "MALFORMED_REQUEST", str(error)) from error

    def _check_size(self, batch: Batch) -> None:
        if len(batch.mandate_of) > self._config.batch_size:
            self._stats.batch_violations += 1
            raise RefusedError(413, "BATCH_TOO_LARGE", f"at most {self._config.batch_size} inquiries per call")

    def _take_tokens(self, batch: Batch) -> None:
        wait = self._bucket.take(len(batch.mandate_of), time.monotonic())
        if wait:
            self._stats.rate_violations += 1
            raise RefusedError(429, "TOO_FAST", f"at most {self._config.rate:g} inquiries per second", math.ceil(wait))

    def _refuse_poison(self, batch: Batch) -> None:
        poison = self._faults.settings.poison
        if poison and any(number.endswith(poison) for number in batch.inquiries.numbers):
            self._stats.fault("poison")
            raise RefusedError(400, "REFUSED", "the batch cannot be processed")

    def _answer(self, request: web.Request, batch: Batch) -> web.Response:
        body, findings = self._splicers[request.content_type].reply(batch.request_id, batch.inquiries, int(time.time()))
        self._stats.answered(batch.inquiries, findings, attempt=batch.attempt, now=time.monotonic())
        response = web.Response(body=body, content_type=request.content_type)
        if 0 < self._config.gzip_above < len(body) and "gzip" in request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
        return response


def check(batch: Batch, institution_id: str) -> None:
    """Validates a batch, apart from the limits of the institution. Raises RefusedError."""
    for wrong, reason, message in (
        (batch.institution_id != institution_id, "WRONG_INSTITUTION", f"this is {institution_id}"),
        (not batch.request_id, "NO_REQUEST_ID", "request_id is required"),
        (batch.attempt < 1, "NO_ATTEMPT", "attempt is at least 1"),
        (not batch.mandate_of, "NO_INQUIRIES", "there must be at least one inquiry"),
        (not all(map(_is_complete, batch.mandates)), "INCOMPLETE_MANDATE", "every field of a mandate is required"),
        (not _has_mandates(batch), "NO_MANDATE", "every inquiry must refer to one of the mandates"),
        (not _is_numbered(batch.inquiries.items), "DUPLICATE_ITEM", "item numbers must be distinct, and not negative"),
    ):
        if wrong:
            raise RefusedError(400, reason, message)


def _is_complete(mandate: Mandate) -> bool:
    return all((mandate.court_code, mandate.officer, mandate.case_number, mandate.legal_document))


def _has_mandates(batch: Batch) -> bool:
    return set(batch.mandate_of) <= set(range(len(batch.mandates)))


def _is_numbered(items: Sequence[int]) -> bool:
    return len(set(items)) == len(items) and min(items, default=0) >= 0


@asynccontextmanager
async def running(config: Config, tls: Path | None = None) -> AsyncIterator[dict[str, str]]:
    """Serves all institutions of `config` while the context is open. Yields their base URLs by id.

    `tls`: the folder with their certificates. Institutions at one address have that of the first. Raises
    `CertificateError`.
    """
    population = Population(config.seed)
    urls: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for together in [config.institutions] if config.one_address else [(each,) for each in config.institutions]:
            application = web.Application(client_max_size=MAX_BODY)
            below = {each.id: f"/{each.id}" if config.one_address else "" for each in together}
            for each in together:
                InstitutionServer(each, population).add_to(application, below[each.id])
            first = together[0]
            context = server_context(tls, first.id) if tls else None
            address = await stack.enter_async_context(listening(application, first.host, first.port, context))
            for each in together:
                urls[each.id] = address + below[each.id]
                log.info("%s (%s) listens at %s", each.id, each.kind, urls[each.id])
        yield urls
