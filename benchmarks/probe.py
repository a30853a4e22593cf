"""Latency probes: one-lookup requests at set moments, sent from a process of their own.

A court does not share an event loop with the bulk client of a benchmark. Probes sent from that loop would measure how
long they wait for it.
"""

import asyncio
import gc
import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import aiohttp
import msgspec

from benchmarks.load_client import LoadClient, StreamResult
from benchmarks.load_generator import uvloop_runner
from benchmarks.lookup_encoder import EncodedRequest
from broker.v1 import investigation_pb2 as pb

_CONNECTIONS = 4


class Probe(NamedTuple):
    """A request to be sent."""

    at: float
    """Seconds after the start."""
    kind: str
    request: EncodedRequest
    direct: bool = False
    """To be sent to the institutions themselves instead of the broker."""


class ProbeResult(NamedTuple):
    """What came back to a probe."""

    kind: str
    request: EncodedRequest
    result: StreamResult
    late: float = 0.0
    """Seconds by which the probe was sent too late: included in the result's times, though not the broker's doing."""


def raise_priority() -> bool:
    """Starts the probes' process, and gives it priority over all others. Returns whether the system allowed that.

    A court has a machine of its own. Here its client competes for a core with broker, mocks and bulk client, and its
    wait would be counted as the broker's: without priority it was 30 ms at p99 on sending, and as much on receiving.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    except PermissionError:
        return False
    return True


def run_probes(
    address: str, institutions: Mapping[str, str], probes: Sequence[Probe], start: float
) -> list[ProbeResult]:
    """Sends all probes, which are in order of time. `institutions`: base URLs by id. `start`: by `time.time`."""
    with uvloop_runner() as runner:
        return runner.run(_run_probes(address, institutions, probes, start))


async def _run_probes(
    address: str, institutions: Mapping[str, str], probes: Sequence[Probe], start: float
) -> list[ProbeResult]:
    gc.freeze()
    began = time.perf_counter() + start - time.time()
    tasks, late = [], []
    async with LoadClient.open(address, channels=_CONNECTIONS) as client, aiohttp.ClientSession() as session:
        async with asyncio.TaskGroup() as group:
            for probe in probes:
                due = began + probe.at
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                late.append(time.perf_counter() - due)
                if probe.direct:
                    sending = _ask_institutions(session, institutions, probe.request, due)
                else:
                    sending = client.send(probe.request, keep=True, due=due)
                tasks.append(group.create_task(sending))
        return [
            ProbeResult(probe.kind, probe.request, task.result(), seconds)
            for probe, task, seconds in zip(probes, tasks, late, strict=True)
        ]


async def _ask_institutions(
    session: aiohttp.ClientSession, institutions: Mapping[str, str], request: EncodedRequest, due: float
) -> StreamResult:
    """Asks all institutions about a person. Only the result's time is set."""
    result = StreamResult(lookups=1)
    async with asyncio.TaskGroup() as group:
        for name, url in institutions.items():
            group.create_task(_post(session, f"{url}/v1/inquiries", _question(name, request)))
    result.last = time.perf_counter() - due
    return result


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
        response.raise_for_status()
        await response.read()


def _question(institution: str, request: EncodedRequest) -> bytes:
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
