"""The straightforward broker answers correctly, and the comparison measures what it claims to."""

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

from benchmarks.answer_check import AnswerChecker
from benchmarks.baselines import __main__ as command
from benchmarks.baselines import answers
from benchmarks.baselines.caches import BatchedReads, Cache, SingleReads
from benchmarks.baselines.comparison import OURS, REDIS, Comparison, Step, ratio
from benchmarks.baselines.daemon import free_port
from benchmarks.baselines.keys import cache_key
from benchmarks.baselines.redis_mget import Asker
from benchmarks.baselines.run import Run
from benchmarks.baselines.statements import read_answer
from benchmarks.baselines.straightforward import Service, Upstream, new_session
from benchmarks.load_generator import LoadResult, requests, sample
from benchmarks.message_buffer import MessageBuffer
from benchmarks.testbed import FOUR
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
    """A dictionary that counts calls."""

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
    """A Redis that fails."""

    async def mget(self, _: Sequence[str]) -> list[bytes | None]:
        raise ConnectionError("no Redis")


@pytest.mark.parametrize("name", FOUR)
def test_json_becomes_the_same_protobuf(name: str) -> None:
    population, institution = Population(SEED), config.load().find(name).institution
    found = 0
    for lookup in LOOKUPS:
        expected_answer = population.answer(institution, lookup.type, lookup.number, lookup.name)
        replied = InquiryReply(
            item=0, outcome=expected_answer.outcome, observed_at="2026-01-31T00:00:05Z", assets=expected_answer.assets
        )
        answer = read_answer(name, msgspec.json.decode(msgspec.json.encode(replied)))
        expected = pb.Answer(institution_id=name)
        expected.observed_at.FromJsonString("2026-01-31T00:00:05Z")
        fill(expected, expected_answer)
        assert answer == expected
        found += len(answer.assets)
    assert found


@pytest.mark.parametrize("make_cache", [SingleReads, BatchedReads])
def test_the_straightforward_broker_answers_correctly_and_asks_once(make_cache: type[SingleReads]) -> None:
    redis = FakeRedis()
    first, again = asyncio.run(_investigate_twice(make_cache(cast("Redis", redis))))
    checker = AnswerChecker(SEED, LOOKUPS, FOUR)
    for received, source in ((first, pb.SOURCE_INSTITUTION), (again, pb.SOURCE_CACHE)):
        check = checker.check(response.SerializeToString() for response in received)
        assert (check.reports, check.wrong) == (len(LOOKUPS), 0)
        summary = received[-1].summary
        assert [(each.source, each.count) for each in summary.sources] == [(source, len(LOOKUPS) * len(FOUR))]
        assert summary.complete
    assert len(redis.held) == len(LOOKUPS) * len(FOUR)
    assert redis.calls == ({"get": 800} if make_cache is SingleReads else {"mget": 2})


async def _investigate_twice(cache: Cache) -> list[list[pb.InvestigateResponse]]:
    (body,) = requests(LOOKUPS, len(LOOKUPS))
    request = pb.InvestigateRequest.FromString(body)
    async with running(config.load().with_ports_from(0)) as urls, new_session() as session:
        known = [Upstream(name, f"{urls[name]}/v1/inquiries", asyncio.Semaphore(8)) for name in sorted(FOUR)]
        service = Service(known, cache, session)
        return [[response async for response in service.Investigate(request, None)] for _ in range(2)]


def test_an_unreachable_institution_is_unavailable_and_not_cached() -> None:
    redis = FakeRedis()

    async def investigate() -> list[pb.InvestigateResponse]:
        unreachable = Upstream("mock-bank", f"http://127.0.0.1:{free_port()}/", asyncio.Semaphore(1))
        request = pb.InvestigateRequest.FromString(requests(LOOKUPS[:2], 2)[0])
        async with new_session() as session:
            service = Service([unreachable], SingleReads(cast("Redis", redis)), session)
            return [response async for response in service.Investigate(request, None)]

    reports, last = asyncio.run(investigate())
    outcomes = [answer.outcome for report in reports.reports for answer in report.answers]
    assert outcomes == [inquiry_pb2.OUTCOME_UNAVAILABLE] * 2
    assert not last.summary.complete
    assert not redis.held


def test_reads_of_one_turn_share_an_mget() -> None:
    redis = FakeRedis()
    redis.held = {"a": b"1", "b": b"2"}

    async def read() -> list[bytes | None]:
        cache = BatchedReads(cast("Redis", redis))
        return await asyncio.gather(*map(cache.get, "abca"))

    assert asyncio.run(read()) == [b"1", b"2", None, b"1"]
    assert redis.calls == {"mget": 1}


def test_a_failed_mget_fails_for_every_reader() -> None:
    async def read() -> list[Any]:
        cache = BatchedReads(cast("Redis", BrokenRedis()))
        return await asyncio.gather(*map(cache.get, "ab"), return_exceptions=True)

    assert [type(each) for each in asyncio.run(read())] == [ConnectionError] * 2


def test_every_key_is_read_and_a_missing_value_is_lost() -> None:
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

    async def scenario() -> Run:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            asker = Asker(server.sockets[0].getsockname()[1], list("abcdef"), at_once=3, streams=2)
            return await asyncio.to_thread(asker.ask, 0.05, SEED)

    run = asyncio.run(scenario())
    assert set(asked) == set("abcdef")
    assert run.inquiries + run.lost == len(asked)
    assert run.lost * 2 == run.inquiries


def test_answers_survive_conversion_to_cached_values_and_back() -> None:
    replied = [pb.Answer(institution_id=name, source=pb.SOURCE_CACHE) for name in FOUR]
    report = pb.Report(ref=LOOKUPS[0].ref, answers=replied)
    received = LoadResult(kept=MessageBuffer([pb.InvestigateResponse(reports=[report]).SerializeToString()]))
    held = answers.encoded(received, LOOKUPS)
    (body,) = answers.received(held, LOOKUPS[:1], FOUR).kept
    (back,) = pb.InvestigateResponse.FromString(body).reports
    assert [answer.institution_id for answer in back.answers] == list(FOUR)
    assert not any(answer.source for answer in back.answers)


def test_cache_keys_differ_and_reveal_nothing_of_the_subject() -> None:
    keys = {key for lookup in LOOKUPS for key in answers.keys_of(lookup, FOUR)}
    assert len(keys) == len(LOOKUPS) * len(FOUR)
    assert not any(lookup.number in key or lookup.name in key for lookup in LOOKUPS for key in keys)
    assert cache_key("mock-bank", 1, "1", "2") != cache_key("mock-bank", 1, "12", "")


def test_ratios_are_formed_within_rounds() -> None:
    runs = {OURS: [Run(8, 1, 0), Run(30, 1, 0), Run(4, 1, 0)], REDIS: [Run(4, 1, 0), Run(10, 1, 0), Run(4, 1, 0)]}
    assert ratio(runs, REDIS) == 2


class FakeContest:
    """Records the steps taken."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def preparations(self) -> list[Step]:
        return [self._step("fill"), self._step("check")]

    def round(self, number: int) -> list[Step]:
        return [self._step(f"round {number}")]

    def closing(self) -> list[Step]:
        return [self._step("close")]

    def _step(self, name: str) -> Step:
        return name, lambda: self.steps.append(name)


@pytest.mark.parametrize(("end", "rounds"), [(math.inf, ["round 0", "round 1", "round 2"]), (0.0, ["round 0"])])
def test_rounds_without_time_are_left_out(end: float, rounds: list[str]) -> None:
    comparison = FakeContest()
    command._run(cast("Comparison", comparison), 3, end)
    assert comparison.steps == ["fill", "check", *rounds, "close"]


def test_a_missing_program_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "missing", lambda: ["varnishd"])
    done = CliRunner().invoke(command.main)
    assert done.exit_code == 2
    assert "varnishd" in done.output
    assert "make baselines-system" in done.output
