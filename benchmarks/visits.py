"""Somebody who waits: single questions at set moments, asked from a process of their own.

Courts do not share a loop with the bulk client of a benchmark, and must not be measured behind its work.
"""

import asyncio
import gc
import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import aiohttp
import msgspec

from benchmarks.courier import Courier, Reply
from benchmarks.hits import uvloop_runner
from benchmarks.pool import Request
from broker.v1 import investigation_pb2 as pb

_CONNECTIONS = 4


class Visit(NamedTuple):
    """A question to come."""

    at: float
    """Seconds after the first could have come."""
    kind: str
    request: Request
    direct: bool = False
    """Asked of the institutions themselves, not of the broker."""


class Visited(NamedTuple):
    """What came of it."""

    kind: str
    request: Request
    reply: Reply
    late: float = 0.0
    """Seconds after it was due that this process came to it: part of the reply's times, and not the broker's doing."""


def ready() -> bool:
    """Starts the process before it is measured, and puts it ahead of all others: whether the system allowed that.

    A court has a machine of its own. Here its client waits for a core behind broker, mocks and bulk client, and that
    wait would be taken for the broker's: it was 30 ms at p99, on the way there and once more on the way back.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except PermissionError:
        return False
    return True


def visit(address: str, institutions: Mapping[str, str], visits: Sequence[Visit], begin: float) -> list[Visited]:
    """Pays all visits, in order of time. `institutions`: base URLs by id. `begin`: by `time.time`."""
    with uvloop_runner() as runner:
        return runner.run(_visit(address, institutions, visits, begin))


async def _visit(address: str, institutions: Mapping[str, str], visits: Sequence[Visit], begin: float) -> list[Visited]:
    gc.freeze()
    start = time.perf_counter() + begin - time.time()
    tasks, late = [], []
    async with Courier.open(address, channels=_CONNECTIONS) as courier, aiohttp.ClientSession() as session:
        async with asyncio.TaskGroup() as group:
            for each in visits:
                due = start + each.at
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                late.append(time.perf_counter() - due)
                if each.direct:
                    asking = _ask_directly(session, institutions, each.request, due)
                else:
                    asking = courier.ask(each.request, keep=True, due=due)
                tasks.append(group.create_task(asking))
        return [
            Visited(each.kind, each.request, task.result(), seconds)
            for each, task, seconds in zip(visits, tasks, late, strict=True)
        ]


async def _ask_directly(
    session: aiohttp.ClientSession, institutions: Mapping[str, str], request: Request, due: float
) -> Reply:
    """Asks all institutions about a person. The reply has times and nothing else."""
    reply = Reply(asked=1)
    async with asyncio.TaskGroup() as group:
        for name, url in institutions.items():
            group.create_task(_post(session, f"{url}/v1/inquiries", _question(name, request)))
    reply.last = time.perf_counter() - due
    return reply


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
        response.raise_for_status()
        await response.read()


def _question(institution: str, request: Request) -> bytes:
    """A batch of one, in the institutions' JSON."""
    message = pb.InvestigateRequest.FromString(request.body)
    mandate, person = message.mandate, message.lookups[0].person
    return msgspec.json.encode(
        {
            "request_id": message.lookups[0].ref,
            "institution_id": institution,
            "attempt": 1,
            "mandates": [{field.name: value for field, value in mandate.ListFields()}],
            "inquiries": [
                {
                    "item": 0,
                    "mandate": 0,
                    "subject_type": "RESIDENT_ID",
                    "number": person.document_number,
                    "name": person.name,
                }
            ],
        }
    )
