"""The broker's peers are no straw men: the straightforward one answers rightly, and does what it says it does."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import hiredis
import msgspec
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from benchmarks.peers import __main__ as peers
from benchmarks.peers import answers
from benchmarks.peers.caches import Cache, Gathered, OneByOne
from benchmarks.peers.contest import OURS, REDIS, Contest, Step, ratio
from benchmarks.peers.daemon import free_port
from benchmarks.peers.keys import cache_key
from benchmarks.peers.redis_mget import Asker
from benchmarks.peers.run import Run
from benchmarks.peers.statements import read_answer
from benchmarks.peers.straightforward import Institution, Service, new_session
from benchmarks.shelf import Shelf
from benchmarks.stage import FOUR
from benchmarks.traffic import Checker, Received, requests, sample
from broker.v1 import inquiry_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions import config
from mock_institutions.population import Population
from mock_institutions.protobuf_dialect import fill
from mock_institutions.records import InquiryReply
from mock_institutions.server import running

SEED = 1
LOOKUPS = sample(SEED, 100)


class FakeRedis:
    """A dictionary that counts how often it was asked."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()

    async def get(self, key: str) -> bytes | None:
        self.calls["get"] += 1
        return self.held.get(key)

    async def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        self.calls["mget"] += 1
        return [self.held.get(key) for key in keys]

    async def set(self, key: str, value: bytes, *, ex: int) -> None:
        assert ex > 0
        self.held[key] = value


class BrokenRedis(FakeRedis):
    """One that is out of order."""

    async def mget(self, _: Sequence[str]) -> list[bytes | None]:
        raise ConnectionError("no Redis")


@pytest.mark.parametrize("name", FOUR)
def test_json_becomes_the_same_protobuf(name: str) -> None:
    population, institution = Population(SEED), config.load().find(name).institution
    found = 0
    for lookup in LOOKUPS:
        truth = population.answer(institution, lookup.type, lookup.number, lookup.name)
        said = InquiryReply(item=0, outcome=truth.outcome, observed_at="2026-01-31T00:00:05Z", assets=truth.assets)
        answer = read_answer(name, msgspec.json.decode(msgspec.json.encode(said)))
        expected = pb.Answer(institution_id=name)
        expected.observed_at.FromJsonString("2026-01-31T00:00:05Z")
        fill(expected, truth)
        assert answer == expected
        found += len(answer.assets)
    assert found


@pytest.mark.parametrize("make_cache", [OneByOne, Gathered])
def test_the_straightforward_broker_is_right_and_asks_once(make_cache: type[OneByOne]) -> None:
    redis = FakeRedis()
    first, again = asyncio.run(_investigate_twice(make_cache(cast("Redis", redis))))
    checker = Checker(SEED, LOOKUPS, FOUR)
    for received, source in ((first, pb.SOURCE_INSTITUTION), (again, pb.SOURCE_CACHE)):
        verdict = checker.check(Received(kept=Shelf(response.SerializeToString() for response in received)))
        assert (verdict.reports, verdict.wrong) == (len(LOOKUPS), 0)
        summary = received[-1].summary
        assert [(each.source, each.count) for each in summary.sources] == [(source, len(LOOKUPS) * len(FOUR))]
        assert summary.complete
    assert len(redis.held) == len(LOOKUPS) * len(FOUR)
    assert redis.calls == ({"get": 800} if make_cache is OneByOne else {"mget": 2})


async def _investigate_twice(cache: Cache) -> list[list[pb.InvestigateResponse]]:
    (body,) = requests(LOOKUPS, len(LOOKUPS))
    request = pb.InvestigateRequest.FromString(body)
    async with running(config.load().with_ports_from(0)) as urls, new_session() as session:
        known = [Institution(name, f"{urls[name]}/v1/inquiries", asyncio.Semaphore(8)) for name in sorted(FOUR)]
        service = Service(known, cache, session)
        return [[response async for response in service.Investigate(request, None)] for _ in range(2)]


def test_an_institution_that_is_away_is_unavailable_and_not_cached() -> None:
    redis = FakeRedis()

    async def investigate() -> list[pb.InvestigateResponse]:
        away = Institution("mock-bank", f"http://127.0.0.1:{free_port()}/", asyncio.Semaphore(1))
        request = pb.InvestigateRequest.FromString(requests(LOOKUPS[:2], 2)[0])
        async with new_session() as session:
            service = Service([away], OneByOne(cast("Redis", redis)), session)
            return [response async for response in service.Investigate(request, None)]

    reports, last = asyncio.run(investigate())
    outcomes = [answer.outcome for report in reports.reports for answer in report.answers]
    assert outcomes == [inquiry_pb2.OUTCOME_UNAVAILABLE] * 2
    assert not last.summary.complete
    assert not redis.held


def test_reads_of_a_moment_are_one() -> None:
    redis = FakeRedis()
    redis.held = {"a": b"1", "b": b"2"}

    async def read() -> list[bytes | None]:
        cache = Gathered(cast("Redis", redis))
        return await asyncio.gather(*map(cache.get, "abca"))

    assert asyncio.run(read()) == [b"1", b"2", None, b"1"]
    assert redis.calls == {"mget": 1}


def test_a_read_that_fails_fails_for_everybody() -> None:
    async def read() -> list[Any]:
        cache = Gathered(cast("Redis", BrokenRedis()))
        return await asyncio.gather(*map(cache.get, "ab"), return_exceptions=True)

    assert [type(each) for each in asyncio.run(read())] == [ConnectionError] * 2


def test_redis_is_asked_for_every_key_and_what_it_lacks_is_lost() -> None:
    """The asker against a server that answers each MGET with one value missing."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader(encoding="utf-8")
        while data := await reader.read(1 << 16):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                asked.extend(command[1:])
                writer.write(b"*%d\r\n$-1\r\n" % (len(command) - 1) + b"$1\r\nx\r\n" * (len(command) - 2))
        writer.close()

    async def play() -> Run:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            asker = Asker(server.sockets[0].getsockname()[1], list("abcdef"), at_once=3, streams=2)
            return await asyncio.to_thread(asker.ask, 0.05, SEED)

    run = asyncio.run(play())
    assert set(asked) == set("abcdef")
    assert run.inquiries + run.lost == len(asked)
    assert run.lost * 2 == run.inquiries


def test_answers_survive_the_way_to_a_cache_and_back() -> None:
    said = [pb.Answer(institution_id=name, source=pb.SOURCE_CACHE) for name in FOUR]
    report = pb.Report(ref=LOOKUPS[0].ref, answers=said)
    received = Received(kept=Shelf([pb.InvestigateResponse(reports=[report]).SerializeToString()]))
    held = answers.encoded(received, LOOKUPS)
    (body,) = answers.received(held, LOOKUPS[:1], FOUR).kept
    (back,) = pb.InvestigateResponse.FromString(body).reports
    assert [answer.institution_id for answer in back.answers] == list(FOUR)
    assert not any(answer.source for answer in back.answers)


def test_a_cache_key_tells_subjects_apart_and_says_nothing_of_them() -> None:
    keys = {key for lookup in LOOKUPS for key in answers.keys_of(lookup, FOUR)}
    assert len(keys) == len(LOOKUPS) * len(FOUR)
    assert not any(lookup.number in key or lookup.name in key for lookup in LOOKUPS for key in keys)
    assert cache_key("mock-bank", 1, "1", "2") != cache_key("mock-bank", 1, "12", "")


def test_ratios_are_formed_within_rounds() -> None:
    runs = {OURS: [Run(8, 1, 0), Run(30, 1, 0), Run(4, 1, 0)], REDIS: [Run(4, 1, 0), Run(10, 1, 0), Run(4, 1, 0)]}
    assert ratio(runs, REDIS) == 2


class FakeContest:
    """Notes what is played."""

    def __init__(self) -> None:
        self.played: list[str] = []

    def preparations(self) -> list[Step]:
        return [self._step("fill"), self._step("check")]

    def round(self, number: int) -> list[Step]:
        return [self._step(f"round {number}")]

    def closing(self) -> list[Step]:
        return [self._step("close")]

    def _step(self, name: str) -> Step:
        return name, lambda: self.played.append(name)


@pytest.mark.parametrize(("end", "rounds"), [(math.inf, ["round 0", "round 1", "round 2"]), (0.0, ["round 0"])])
def test_rounds_there_is_no_time_for_are_left_out(end: float, rounds: list[str]) -> None:
    contest = FakeContest()
    peers._play(cast("Contest", contest), 3, end)
    assert contest.played == ["fill", "check", *rounds, "close"]


def test_a_missing_program_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "missing", lambda: ["varnishd"])
    done = CliRunner().invoke(peers.main)
    assert done.exit_code == 2
    assert "varnishd" in done.output
    assert "make peers-system" in done.output
