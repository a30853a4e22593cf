"""Long jobs through every fault of a broker, with several batches in flight: nothing is lost, doubled or wrong.

The same jobs run from the command line and with the Python client, once for each fault, on one pool of workers. A bank
that is slow keeps batches in flight until the fault has happened.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from google.protobuf import json_format

from broker.cli.exits import Exit
from broker.client import Client, Terms
from broker.v1 import investigation_pb2 as pb
from mock_institutions.population import Lookup
from tests.end_to_end.conftest import Mocks
from tests.end_to_end.test_worker_processes import PATIENCE, WorkerPool, metric, others_go_on
from tests.end_to_end.testbed import Reports, as_message, check_truth, institutions_for, mandate, run, sample

BANK = "mock-bank"
SLOW = {"distribution": "fixed", "seconds": 1.0}
BATCH = 1_000
"""Lookups in a batch of the command line."""
LINES = 4 * BATCH + 100
"""More than there are in flight at a time."""
ROOM = 10_000
"""Inquiries in flight: each worker's share is enough for one batch, and not for two."""

Fault = Callable[[WorkerPool], Awaitable[None]]


@pytest.fixture
def pool(mocks: Mocks, tmp_path: Path) -> Iterator[WorkerPool]:
    """With a default time limit in which no batch can be answered: a job without one has to ask for more."""
    started = WorkerPool(tmp_path, mocks, default_timeout=0.5, concurrency=2)
    yield started
    if started.program.process.returncode is None:
        started.stop()


def test_jobs_go_on_through_every_fault(pool: WorkerPool) -> None:
    faults = (a_worker_is_killed, workers_are_replaced, all_are_killed, restart, too_little_room)
    for seed, fault in enumerate(faults):
        run(partial(jobs, pool, fault, seed), seconds=PATIENCE)
    pool.stop()


# --- the faults -------------------------------------------------------------------------------------------------------


async def a_worker_is_killed(pool: WorkerPool) -> None:
    os.kill(min(pool.pids()), signal.SIGKILL)


async def workers_are_replaced(pool: WorkerPool) -> None:
    before = pool.pids()
    pool.tell(signal.SIGHUP)
    while len(pool.pids()) < 2 or pool.pids() & before:
        await others_go_on()


async def restart(pool: WorkerPool) -> None:
    pool.configure(max_inquiries_in_flight=ROOM)
    await asyncio.to_thread(pool.stop)
    await asyncio.to_thread(pool.start)


async def all_are_killed(pool: WorkerPool) -> None:
    """And another broker starts at the same port."""
    killed = pool.program
    killed.process.kill()
    killed.process.wait()
    await asyncio.to_thread(pool.start)
    killed.stop()


async def too_little_room(pool: WorkerPool) -> None:
    """After the restart. Batches are refused with a `RetryInfo`."""
    name = 'broker_requests_refused_total{reason="inquiries"}'
    async with aiohttp.ClientSession() as http:
        while not sum([await metric(http, worker["metrics"], name) for worker in pool.program.said["workers"]]):
            pass


# --- the jobs ---------------------------------------------------------------------------------------------------------


async def jobs(pool: WorkerPool, fault: Fault, seed: int) -> None:
    """Runs both jobs, and has the fault happen when several batches of each wait for the bank."""
    lines, lookups = sample(LINES, rng_seed=seed, mix="all"), sample(800, rng_seed=100 + seed, mix="all")
    with pool.mocks.faults(BANK, latency=SLOW):
        asked = pool.asked()
        tasks = [asyncio.create_task(command_line(pool, lines)), asyncio.create_task(python_client(pool, lookups))]
        while pool.asked() - asked < 2 * BATCH:
            await others_go_on()
        await fault(pool)
    for task in tasks:
        await task


async def command_line(pool: WorkerPool, lines: Sequence[Lookup]) -> None:
    """`broker investigate --bulk`, as in a night job."""
    folder = pool.file.parent
    (folder / "lines.csv").write_text(
        "\n".join(["ref,type,number,name", *(f"{each.ref},{each.type},{each.number},{each.name}" for each in lines)]),
        encoding="utf-8",
    )
    who = mandate()
    options = {
        "--broker": pool.program.said["grpc"],
        "--court": who.court_code,
        "--officer": who.officer,
        "--case": who.case_number,
        "--document": who.legal_document,
        "--timeout": f"{PATIENCE:g}",
        "--output": "reports.jsonl",
    }
    arguments = [part for option in options.items() for part in option]
    command = [sys.executable, "-m", "broker", "investigate", "--bulk", *arguments, "lines.csv"]
    with (folder / "investigate.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=log, stderr=log)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:  # another job has failed
                process.kill()
                await process.wait()
    assert code == Exit.COMPLETE, (folder / "investigate.log").read_text()
    printed = (folder / "reports.jsonl").read_text(encoding="utf-8").splitlines()
    check(lines, [json_format.Parse(line, pb.Report(), ignore_unknown_fields=True) for line in printed[:-1]])


async def python_client(pool: WorkerPool, lookups: Sequence[Lookup]) -> None:
    """Answers as they arrive, in eight batches, of which four are in flight; without a time limit."""
    terms = Terms(batch_size=100, incremental=True, timeout=None)
    async with (
        Client(pool.program.said["grpc"]) as client,
        client.investigate(mandate(), map(as_message, lookups), terms) as investigation,
    ):
        check(lookups, [report async for report in investigation])
    assert investigation.totals.complete


def check(lookups: Sequence[Lookup], reports: Sequence[pb.Report]) -> None:
    """Each lookup has one final report, and each institution's answer once; all of it is true."""
    said = Reports(list(reports))
    answers = said.answers()
    assert sorted(report.position for report in reports if report.final) == list(range(len(lookups)))
    assert all(report.ref == lookups[report.position].ref for report in reports)
    due = {position: institutions_for(lookup) for position, lookup in enumerate(lookups)}
    assert {position: set(by_institution) for position, by_institution in answers.items()} == due
    assert check_truth(lookups, said) == sum(map(len, due.values()))
