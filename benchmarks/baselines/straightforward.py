"""The broker a competent team might write first: grpc.aio, aiohttp, Redis, and one coroutine per inquiry.

    python -m benchmarks.baselines.straightforward --listen 127.0.0.1:50052 --redis 6379 --institution ID=URL

An inquiry is looked up in Redis (GET); if it is not there, the institution is asked over HTTP, in JSON, and its answer
is cached (SET with a TTL). All inquiries of a request run concurrently; its reports are sent many to a message, which
is cheaper than one by one. Where there was a choice, it was made for speed:

* it runs on uvloop, parses Redis in C (hiredis) and JSON with msgspec, and keeps its connections open;
* it does less than the broker: numbers are not normalised or checked, nothing is encrypted or synced to disk, inquiries
  in flight are not shared, nothing is retried, there are no breakers, metrics, priorities, deadlines or back-pressure;
* it supports lookups of persons and organisations, not of properties.

Several processes may listen on one port, one for each core; `--calls` limits the concurrent calls of each. With
`--batched`, all cache reads of one turn of the event loop share one MGET: the obvious optimisation after a profile.
"""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp
import click
import grpc
import msgspec
import uvloop
from redis.asyncio import Redis

from benchmarks.baselines.caches import BatchedReads, Cache, SingleReads
from benchmarks.baselines.keys import cache_key
from benchmarks.baselines.statements import read_answer
from broker.v1 import asset_pb2, inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from broker.v1.investigation_pb2_grpc import (
    InvestigationServiceServicer,
    add_InvestigationServiceServicer_to_server,
)

_FOUND, _NOT_FOUND = inquiry_pb2.OUTCOME_FOUND, inquiry_pb2.OUTCOME_NOT_FOUND
_TTLS = {_FOUND: 3600, _NOT_FOUND: 900}  # s; the broker's configuration for a bank
CALLS = 16  # in flight to an institution: as many as the mocks allow, twice what the broker is configured for
_TIMEOUT = aiohttp.ClientTimeout(total=5.0)  # s; the broker's configuration
_REPORTS = 250  # to a message: some 90 kB


class SubjectFields(NamedTuple):
    """A subject, as the request names it."""

    type: asset_pb2.DocumentType
    number: str
    name: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """An institution, and the calls it allows at a time."""

    id: str
    url: str
    calls: asyncio.Semaphore


class Service(InvestigationServiceServicer):
    """The RPC Investigate, inquiry by inquiry."""

    def __init__(self, institutions: Sequence[Upstream], cache: Cache, session: aiohttp.ClientSession) -> None:
        self._institutions = institutions
        self._cache = cache
        self._session = session

    async def Investigate(  # noqa: N802 - the contract's name
        self, request: pb.InvestigateRequest, context: Any
    ) -> AsyncIterator[pb.InvestigateResponse]:
        """Streams the reports of one request."""
        mandate = _mandate(request.mandate)
        if not all(mandate.values()):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no field of the mandate may be empty")
        began = time.perf_counter()
        answers = await asyncio.gather(
            *(
                self._inquire(institution, mandate, subject)
                for subject in map(_subject, request.lookups)
                for institution in self._institutions
            )
        )
        reports = [
            _report(lookup.ref, position, answers[position * len(self._institutions) :][: len(self._institutions)])
            for position, lookup in enumerate(request.lookups)
        ]
        for start in range(0, len(reports), _REPORTS):
            yield pb.InvestigateResponse(reports=reports[start : start + _REPORTS])
        yield pb.InvestigateResponse(summary=_summary(request, answers, time.perf_counter() - began))

    async def _inquire(self, institution: Upstream, mandate: dict[str, str], subject: SubjectFields) -> pb.Answer:
        key = cache_key(institution.id, *subject)
        held = await self._cache.get(key)
        if held is not None:
            answer = pb.Answer.FromString(held)
            answer.source = pb.SOURCE_CACHE
            return answer
        answer = await self._ask(institution, mandate, subject)
        if answer.outcome in _TTLS:
            await self._cache.put(key, answer.SerializeToString(), _TTLS[answer.outcome])
        answer.source = pb.SOURCE_INSTITUTION
        return answer

    async def _ask(self, institution: Upstream, mandate: dict[str, str], subject: SubjectFields) -> pb.Answer:
        """The institution's answer, or UNAVAILABLE if it does not give one."""
        request_id = uuid.uuid4().hex
        body = msgspec.json.encode(_batch_of_one(request_id, institution.id, mandate, subject))
        try:
            async with institution.calls, self._session.post(institution.url, data=body) as response:
                reply = msgspec.json.decode(await response.read())
            return read_answer(institution.id, _only_reply(reply, request_id))
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            problem = inquiry_pb2.Problem(reason="UNAVAILABLE", message="the institution did not answer")
            return pb.Answer(institution_id=institution.id, outcome=inquiry_pb2.OUTCOME_UNAVAILABLE, problem=problem)


def _mandate(mandate: inquiry_pb2.Mandate) -> dict[str, str]:
    return {
        "court_code": mandate.court_code,
        "officer": mandate.officer,
        "case_number": mandate.case_number,
        "legal_document": mandate.legal_document,
    }


def _subject(lookup: pb.Lookup) -> SubjectFields:
    if lookup.HasField("person"):
        person = lookup.person
        return SubjectFields(person.document_type, person.document_number, person.name)
    organization = lookup.organization
    return SubjectFields(asset_pb2.DOCUMENT_TYPE_ORGANIZATION_CODE, organization.code, organization.name)


def _batch_of_one(
    request_id: str, institution_id: str, mandate: dict[str, str], subject: SubjectFields
) -> dict[str, object]:
    subject_type = asset_pb2.DocumentType.Name(subject.type).removeprefix("DOCUMENT_TYPE_")
    return {
        "request_id": request_id,
        "institution_id": institution_id,
        "attempt": 1,
        "mandates": [mandate],
        "inquiries": [
            {"item": 0, "mandate": 0, "subject_type": subject_type, "number": subject.number, "name": subject.name}
        ],
    }


def _only_reply(reply: dict[str, Any], request_id: str) -> dict[str, Any]:
    if reply["request_id"] != request_id:
        raise ValueError("the reply is to another request")
    (answer,) = reply["replies"]
    return dict(answer)


def _report(ref: str, position: int, answers: Sequence[pb.Answer]) -> pb.Report:
    complete = all(answer.outcome != inquiry_pb2.OUTCOME_UNAVAILABLE for answer in answers)
    return pb.Report(ref=ref, position=position, final=True, complete=complete, answers=answers)


def _summary(request: pb.InvestigateRequest, answers: Sequence[pb.Answer], elapsed: float) -> pb.Summary:
    outcomes = Counter(answer.outcome for answer in answers)
    sources = Counter(answer.source for answer in answers)
    failed = {answer.institution_id for answer in answers if answer.outcome == inquiry_pb2.OUTCOME_UNAVAILABLE}
    summary = pb.Summary(
        request_id=request.request_id,
        lookups=len(request.lookups),
        inquiries=len(answers),
        outcomes=[pb.OutcomeCount(outcome=outcome, count=count) for outcome, count in outcomes.items()],
        sources=[pb.SourceCount(source=source, count=count) for source, count in sources.items()],
        unavailable_institution_ids=sorted(failed),
        complete=not failed,
    )
    summary.elapsed.FromNanoseconds(int(elapsed * 1e9))
    return summary


def new_session() -> aiohttp.ClientSession:
    """A session for calls to institutions."""
    return aiohttp.ClientSession(timeout=_TIMEOUT, raise_for_status=True, headers={"Content-Type": "application/json"})


async def serve(
    listen: str, redis_port: int, institutions: Sequence[Upstream], make_cache: Callable[[Redis], Cache]
) -> None:
    """Serves until it is cancelled."""
    async with Redis(port=redis_port) as redis, new_session() as session:
        server = grpc.aio.server()
        service = Service(institutions, make_cache(redis), session)
        add_InvestigationServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # generated
        server.add_insecure_port(listen)
        await server.start()
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(grace=None)


@click.command(help=__doc__)
@click.option("--listen", default="127.0.0.1:50052", show_default=True)
@click.option("--redis", "redis_port", default=6379, show_default=True, help="Port of a Redis on this machine.")
@click.option("--calls", default=CALLS, show_default=True, help="Calls in flight to an institution.")
@click.option("--batched", is_flag=True, help="Batch cache reads into MGETs.")
@click.option("--institution", "institutions", multiple=True, metavar="ID=URL", help="An institution; may be repeated.")
def main(*, listen: str, redis_port: int, calls: int, batched: bool, institutions: Sequence[str]) -> None:
    """Run the broker."""
    # In the order of their ids, as the contract demands within a report.
    known = [
        Upstream(name, url, asyncio.Semaphore(calls))
        for name, _, url in (each.partition("=") for each in sorted(institutions))
    ]
    uvloop.run(serve(listen, redis_port, known, BatchedReads if batched else SingleReads))


if __name__ == "__main__":
    main()
