"""Several workers on one host: whoever is asked, every lookup is answered, truthfully and once.

First two workers in this process, which can be spoken to one by one; then real processes, which can be killed.
"""

import asyncio
import itertools
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import grpc
import pytest
import uvloop
from google.protobuf.duration_pb2 import Duration
from msgspec.structs import replace

from broker.config import Config, StoreConfig
from broker.core.planning.ownership import Ownership
from broker.investigation import report_sender
from broker.peers.client import open_peers
from broker.peers.server import PeerService
from broker.runtime import app
from broker.runtime.app import serve
from broker.runtime.worker import Addresses, WorkerSlot
from broker.v1 import investigation_pb2 as pb
from mock_institutions.population import Lookup
from mock_institutions.server import running
from tests.end_to_end import testbed as in_process
from tests.end_to_end.testbed import (
    INVALID,
    MOCKS,
    NATIONAL,
    PATIENCE,
    TIMED_OUT,
    Reports,
    Testbed,
    as_message,
    asking,
    check_truth,
    institutions_for,
    person,
    run,
    sample,
)

T = TypeVar("T")
COMPLETE, INCREMENTAL = pb.DELIVERY_COMPLETE, pb.DELIVERY_INCREMENTAL
SLOW = {"distribution": "fixed", "seconds": 0.3}


# --- two workers in this process --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two workers, each with a memory of its own: what it knows, it has asked itself."""

    one: Testbed
    other: Testbed

    async def ask_both(self, request: pb.InvestigateRequest) -> list[Reports]:
        """The same of both, at the same moment."""
        return list(await asyncio.gather(self.one.ask(request), self.other.ask(request)))

    async def both(self, metric: str) -> float:
        """A metric's sum over both workers."""
        return await self.one.metric(metric) + await self.other.metric(metric)

    async def asked_by(self, institution: str) -> tuple[float, float]:
        """How many inquiries each worker has sent to an institution."""
        name = f'broker_lane_asked_total{{institution="{institution}"}}'
        texts = [await worker.metrics_text() for worker in (self.one, self.other)]
        first, second = (float(text.split(name)[1].split("\n")[0]) for text in texts)
        return first, second


class _Stop(asyncio.Event):
    """An event of this loop that is set in another thread's loop as well."""

    def __init__(self) -> None:
        super().__init__()
        self.pass_on: Callable[[], object] = lambda: None

    def set(self) -> None:
        super().set()
        self.pass_on()


async def _serve_in_a_thread(config: Config, slot: WorkerSlot, stop: _Stop, ready: "asyncio.Future[Addresses]") -> None:
    """A thread cannot hold two of trio's loops, and each worker has one."""
    here = asyncio.get_running_loop()

    def tell(addresses: Addresses) -> None:
        here.call_soon_threadsafe(ready.set_result, addresses)

    async def main() -> None:
        there, stop_there = asyncio.get_running_loop(), asyncio.Event()
        stop.pass_on = lambda: there.is_closed() or there.call_soon_threadsafe(stop_there.set)
        if stop.is_set():
            stop_there.set()
        await serve(config, stop=stop_there, ready=tell, slot=slot)

    def run_there() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    await asyncio.to_thread(run_there)


@asynccontextmanager
async def worker(
    config: Config, slot: WorkerSlot, http: aiohttp.ClientSession, urls: dict[str, str]
) -> AsyncIterator[Testbed]:
    stop = _Stop()
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    broker = asyncio.create_task(_serve_in_a_thread(config, slot, stop, ready))
    starting: set[asyncio.Future[Any]] = {broker, ready}
    await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
    if broker.done():
        broker.result()
    try:
        async with grpc.aio.insecure_channel(ready.result().grpc, options=in_process.CLIENT_OPTIONS) as channel:
            yield Testbed(ready.result(), channel, http, urls, stop, broker)
    finally:
        stop.set()
        await broker


@asynccontextmanager
async def pair(
    folder: Path, *, server: dict[str, Any] | None = None, other_knows: slice = slice(None), **changes: Any
) -> AsyncIterator[Pair]:
    """Two workers; `other_knows`: which institutions are in the second's configuration."""
    async with running(MOCKS.with_ports_from(0)) as urls, aiohttp.ClientSession() as http:
        config = replace(
            in_process.configuration(folder, urls, server or {}, changes),
            store=StoreConfig(path="", key_file=str(folder / "broker.key")),
        )
        with tempfile.TemporaryDirectory(prefix="broker-") as sockets:
            slots = [WorkerSlot(Ownership(slot, 2), Path(sockets)) for slot in range(2)]
            others = replace(config, institutions=config.institutions[other_knows])
            async with worker(config, slots[0], http, urls) as one, worker(others, slots[1], http, urls) as other:
                try:
                    yield Pair(one, other)
                finally:
                    await one.faults()


def with_pair(folder: Path, scenario: Callable[[Pair], Awaitable[T]], **options: Any) -> T:
    async def main() -> T:
        async with pair(folder, **options) as opened:
            return await scenario(opened)

    return run(main)


def inquiries(lookups: Sequence[Lookup]) -> int:
    """How many it takes to answer these, each subject once."""
    subjects = {(each.type, each.number, each.name): each for each in lookups}
    return sum(len(institutions_for(each)) for each in subjects.values())


def answers_due(valid: dict[int, Lookup]) -> int:
    """How many answers of institutions these get."""
    return sum(len(institutions_for(lookup)) for lookup in valid.values())


def mixed() -> tuple[list[pb.Lookup], dict[int, Lookup], set[int]]:
    """More than a chunk of all there is, with repeats: by position, what is valid, and which are not."""
    known = sample(1_100, mix="all")
    again = [each._replace(ref=f"再 {each.ref}") for each in known[:300]]
    lines = [*known[:700], *again, *known[700:], *known[:50]]  # the last fifty have the same refs once more
    messages = [as_message(each) for each in lines]
    wrong = {
        7: pb.Lookup(ref="nothing"),
        650: person("no such day", "张三", "110105194913310028"),
        1_350: pb.Lookup(ref="no car", property=pb.Property(vehicle_plate="A12345")),
    }
    for position, message in sorted(wrong.items()):
        messages.insert(position, message)
        lines.insert(position, lines[0])
    valid = {position: line for position, line in enumerate(lines) if position not in wrong}
    return messages, valid, set(wrong)


def check_mixed(said: Reports, valid: dict[int, Lookup], wrong: set[int]) -> None:
    answers = said.answers()
    assert {position: set(answers[position]) for position in valid} == {
        position: institutions_for(lookup) for position, lookup in valid.items()
    }
    for position in wrong:
        (answer,) = answers[position].values()
        assert answer.outcome == INVALID
    rest = Reports([report for report in said.reports if report.position in valid])
    lines = [valid.get(position, valid[0]) for position in range(len(answers))]
    assert check_truth(lines, rest) == said.summary.inquiries - len(wrong)


@pytest.mark.parametrize("delivery", [COMPLETE, INCREMENTAL])
def test_one_worker_answers_everything_and_each_asks_what_it_owns(tmp_path: Path, delivery: pb.Delivery) -> None:
    messages, valid, wrong = mixed()

    async def scenario(workers: Pair) -> None:
        said = await workers.one.ask(asking(messages, delivery=delivery))
        check_mixed(said, valid, wrong)
        once = inquiries(list(valid.values()))
        stats = await workers.one.stats()
        assert (stats["inquiries"], stats["duplicates"]) == (once, 0)
        assert await workers.both("broker_lane_asked_total") == once
        for institution in NATIONAL:
            first, second = await workers.asked_by(institution)
            assert 0.4 < first / (first + second) < 0.6
        # Counted by the one that was asked, and not a second time by the one that took over.
        assert await workers.one.metric("broker_inquiries_total") == answers_due(valid)
        assert await workers.both("broker_inquiries_total") == answers_due(valid)
        assert await workers.both("broker_lookups_total") == len(messages)
        assert await workers.both("broker_requests_total") == 1
        # Either can answer all of it from what the two know.
        for each in (workers.one, workers.other):
            check_mixed(again := await each.ask(asking(messages)), valid, wrong)
            assert again.sources() == {"CACHE": again.summary.inquiries - len(wrong), "BROKER": len(wrong)}
        assert (await workers.one.stats())["inquiries"] == once

    with_pair(tmp_path, scenario)


def test_what_another_worker_found_says_under_which_name(tmp_path: Path) -> None:
    firms = [firm for firm in sample(100, mix="organisations") if "（" in firm.name]
    typed = [firm._replace(name=firm.name.replace("（", "(").replace("）", ")")) for firm in firms]

    async def scenario(workers: Pair) -> None:
        said = await workers.one.ask(asking(typed, institution_ids=["mock-real-estate"]))
        answers = [said.answers()[position]["mock-real-estate"] for position in range(len(firms))]
        spellings = [firm.name if answer.assets else "" for firm, answer in zip(firms, answers, strict=True)]
        assert [answer.found_as for answer in answers] == spellings
        assert any(spellings)
        assert min(await workers.asked_by("mock-real-estate")) > 0

    with_pair(tmp_path, scenario)


def test_increments_come_from_both_as_they_come(tmp_path: Path) -> None:
    """One institution never replies: what the others say of the other worker's subjects comes all the same."""
    lookups = sample(200)

    async def scenario(workers: Pair) -> None:
        await workers.one.faults("mock-bank", hang=1)
        call = workers.one.investigate(asking(lookups, delivery=INCREMENTAL))
        said: Counter[int] = Counter()
        async for response in call:
            for report in response.reports:
                said[report.position] += len(report.answers)
            if said == dict.fromkeys(range(200), 3):
                break
        call.cancel()
        assert set(said.values()) == {3}

    with_pair(tmp_path, scenario)


def test_asked_the_same_at_the_same_moment_they_ask_each_question_once(tmp_path: Path) -> None:
    lookups = sample(1_200, mix="all")

    async def scenario(workers: Pair) -> None:
        await workers.one.faults(latency=SLOW)
        for said in await workers.ask_both(asking(lookups)):
            assert check_truth(lookups, said) == said.summary.inquiries
            assert said.summary.complete
            assert set(said.sources()) <= {"INSTITUTION", "FLIGHT", "CACHE"}
        stats = await workers.one.stats()
        assert (stats["inquiries"], stats["duplicates"]) == (inquiries(lookups), 0)

    with_pair(tmp_path, scenario)


@pytest.mark.parametrize("delivery", [COMPLETE, INCREMENTAL])
def test_repeats_are_asked_once_even_if_nothing_known_will_do(tmp_path: Path, delivery: pb.Delivery) -> None:
    """With max_age 0 the answer to the first would be no answer to the second."""
    known = sample(200)
    lookups = [*known, *[line._replace(ref=f"{turn} {line.ref}") for turn in range(4) for line in known]]

    async def scenario(workers: Pair) -> None:
        for times in (1, 2):
            said = await workers.one.ask(asking(lookups, max_age=Duration(), delivery=delivery))
            assert check_truth(lookups, said) == said.summary.inquiries == 4 * len(lookups)
            assert said.sources() == {"INSTITUTION": 4 * len(lookups)}
            assert (await workers.one.stats())["inquiries"] == times * inquiries(known)

    with_pair(tmp_path, scenario)


@pytest.mark.parametrize("delivery", [COMPLETE, INCREMENTAL])
def test_repeats_in_other_chunks_are_asked_once_too(tmp_path: Path, delivery: pb.Delivery) -> None:
    known = sample(900)
    lookups = [*known, *[line._replace(ref=f"{turn} {line.ref}") for turn in range(4) for line in known]]

    async def scenario(workers: Pair) -> None:
        said = await workers.one.ask(asking(lookups, max_age=Duration(), delivery=delivery))
        assert check_truth(lookups, said) == said.summary.inquiries == 4 * len(lookups)
        assert said.sources() == {"INSTITUTION": 4 * len(lookups)}
        assert (await workers.one.stats())["inquiries"] == inquiries(known)

    with_pair(tmp_path, scenario)


@pytest.mark.parametrize("delivery", [COMPLETE, INCREMENTAL])
def test_at_the_deadline_all_is_accounted_for_though_another_worker_waits(
    tmp_path: Path, delivery: pb.Delivery
) -> None:
    lookups = sample(300)

    async def scenario(workers: Pair) -> None:
        await workers.one.faults("mock-bank", hang=1)
        said = await workers.one.ask_until_deadline(asking(lookups, delivery=delivery), answered=900)
        assert said.outcomes()[TIMED_OUT] == 300
        assert list(said.summary.unavailable_institution_ids) == ["mock-bank"]
        assert check_truth(lookups, said) == 900
        await workers.one.is_idle()
        await workers.other.is_idle()

    with_pair(tmp_path, scenario)


def test_at_the_deadline_all_is_accounted_for_though_another_worker_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PeerService, "forward", hang)
    monkeypatch.setattr(app, "open_peers", partial(open_peers, silence=PATIENCE))  # else it would be given up
    lookups = sample(300)

    async def scenario(workers: Pair) -> None:
        said = await workers.one.ask_until_deadline(asking(lookups), answered=1)
        assert 0 < said.outcomes()[TIMED_OUT] < 4 * 300
        assert check_truth(lookups, said) == 4 * 300 - said.outcomes()[TIMED_OUT]
        assert not said.summary.complete

    with_pair(tmp_path, scenario)


def test_who_leaves_leaves_nothing_behind_at_either_worker(tmp_path: Path) -> None:
    lookups = sample(300)

    async def scenario(workers: Pair) -> None:
        await workers.one.faults(hang=1)
        call = workers.one.investigate(asking(lookups))
        while not (await workers.one.metric("broker_lane_calls") and await workers.other.metric("broker_lane_calls")):
            pass
        call.cancel()
        await workers.one.is_idle()
        await workers.other.is_idle()
        await workers.one.faults()
        said = await workers.one.ask(asking(lookups))
        assert check_truth(lookups, said) == 1_200

    with_pair(tmp_path, scenario)


# --- when the other worker fails --------------------------------------------------------------------------------------


def test_with_the_other_gone_one_does_it_all(tmp_path: Path) -> None:
    messages, valid, wrong = mixed()

    async def scenario(workers: Pair) -> None:
        workers.other.stop.set()
        await workers.other.broker
        check_mixed(await workers.one.ask(asking(messages)), valid, wrong)
        stats = await workers.one.stats()
        assert (stats["inquiries"], stats["duplicates"]) == (inquiries(list(valid.values())), 0)
        assert await workers.one.metric("broker_inquiries_total") == answers_due(valid)

    with_pair(tmp_path, scenario)


def test_who_stops_finishes_what_it_took_over_and_takes_no_more(tmp_path: Path) -> None:
    first, second = sample(100), sample(100, rng_seed=2)

    async def scenario(workers: Pair) -> None:
        await workers.one.faults(latency=SLOW)
        in_progress = asyncio.create_task(workers.one.ask(asking(first)))
        while not await workers.other.metric("broker_lane_in_flight"):
            pass
        workers.other.stop.set()
        assert check_truth(second, await workers.one.ask(asking(second))) == 400
        assert check_truth(first, await in_progress) == 400
        await workers.other.broker
        stats = await workers.one.stats()
        assert (stats["inquiries"], stats["duplicates"]) == (800, 0)

    with_pair(tmp_path, scenario)


def test_who_has_to_stop_before_it_is_done_leaves_the_rest_to_the_one_that_asked(tmp_path: Path) -> None:
    lookups = sample(100)

    async def scenario(workers: Pair) -> None:
        await workers.one.faults("mock-bank", hang=1)
        in_progress = asyncio.create_task(workers.one.ask(asking(lookups, delivery=INCREMENTAL)))
        while await workers.other.metric("broker_lane_in_flight") != await workers.other.metric(
            "broker_lane_asked_total"
        ):
            pass
        workers.other.stop.set()
        await workers.other.broker
        await workers.one.faults()
        said = await in_progress
        assert check_truth(lookups, said) == 400
        assert said.summary.complete

    with_pair(tmp_path, scenario, server={"grace_period": 0.1}, timeout=1.0)


@pytest.mark.parametrize("delivery", [COMPLETE, INCREMENTAL])
def test_what_a_worker_that_breaks_off_has_said_is_said_once_and_the_rest_by_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delivery: pb.Delivery
) -> None:
    """After ever more messages, so that every state of a lookup is met: nothing, some or all of it said."""
    forward, allowed = PeerService.forward, itertools.count()

    class BreakingOff:
        def __init__(self, context: Any) -> None:
            self._context = context
            self._left = next(allowed)

        async def write(self, message: bytes) -> None:
            if not self._left:
                raise RuntimeError("broke off")
            self._left -= 1
            await self._context.write(message)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._context, name)

    async def break_off(service: PeerService, body: bytes, context: Any) -> None:
        await forward(service, body, BreakingOff(context))

    monkeypatch.setattr(PeerService, "forward", break_off)
    monkeypatch.setattr(report_sender, "_MESSAGE", 4_096)
    batches = [sample(100, rng_seed=seed, mix="all") for seed in range(7)]
    known = [each._replace(ref=f"{seed} {each.ref}") for seed, batch in enumerate(batches) for each in batch]
    lookups = [*known, *[each._replace(ref=f"again {each.ref}") for each in known]]

    async def scenario(workers: Pair) -> None:
        await workers.one.ask(asking([each for each in lookups[:20] if each.name], institution_ids=["mock-bank"]))
        said = await workers.one.ask(asking(lookups, delivery=delivery))
        assert {position: set(each) for position, each in said.answers().items()} == {
            position: institutions_for(lookup) for position, lookup in enumerate(lookups)
        }
        assert check_truth(lookups, said) == said.summary.inquiries
        assert said.summary.complete
        for batch in batches:
            check_truth(batch, await workers.one.ask(asking(batch, delivery=delivery, max_age=Duration())))

    with_pair(tmp_path, scenario)


@pytest.mark.parametrize("delivery", [COMPLETE, INCREMENTAL])
def test_one_configured_otherwise_is_not_asked(tmp_path: Path, delivery: pb.Delivery) -> None:
    lookups = sample(100, mix="all")

    async def scenario(workers: Pair) -> None:
        for chosen in ((), ("mock-bank", "mock-vehicle")):
            said = await workers.one.ask(asking(lookups, delivery=delivery, institution_ids=chosen))
            conclusive = Reports([r for r in said.reports if not any(a.outcome == INVALID for a in r.answers)])
            assert check_truth(lookups, said) == sum(len(report.answers) for report in conclusive.reports)
        assert await workers.other.metric("broker_lane_asked_total") == 0

    with_pair(tmp_path, scenario, other_knows=slice(1, None))
