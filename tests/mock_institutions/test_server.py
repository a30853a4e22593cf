"""Institutions over real HTTP: answers, checks, limits, counters and every fault."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from google.protobuf.message import DecodeError

from broker.v1 import inquiry_pb2, institution_pb2
from mock_institutions.config import Config, InstitutionConfig
from mock_institutions.faults import KINDS, Faults
from mock_institutions.population import Lookup, Population
from mock_institutions.server import running

from .conftest import SEED

MANDATE = {
    "court_code": "京0101",
    "officer": "李法官",
    "case_number": "（2026）京0101执1号",
    "legal_document": "裁定书",
}
BANK = InstitutionConfig(id="bank-a", kind="bank", batch_size=50, concurrency=4)
JSON, PROTOBUF = "application/json", "application/x-protobuf"


class Bank:
    """A client of one running bank."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, lookups: list[Lookup], content_type: str = JSON, **changes: Any) -> tuple[int, Any, bytes]:
        """Status, headers and body of one call."""
        batch = request(lookups) | changes
        body = msgspec.json.encode(batch) if content_type == JSON else in_protobuf(batch)
        return await self.post("/v1/inquiries", body, content_type)

    async def post(self, path: str, body: bytes = b"", content_type: str = JSON) -> tuple[int, Any, bytes]:
        headers = {"Content-Type": content_type}
        async with self.session.post(path, data=body, headers=headers, allow_redirects=False) as response:
            return response.status, response.headers, await response.read()

    async def set_faults(self, **settings: Any) -> None:
        status, _, body = await self.post("/faults", msgspec.json.encode(settings))
        assert status == 200, body

    async def get(self, path: str) -> Any:
        async with self.session.get(path) as response:
            return await response.json()


def request(lookups: list[Lookup]) -> dict[str, Any]:
    inquiries = [
        {"item": item, "mandate": 0, "subject_type": each.type, "number": each.number, "name": each.name}
        for item, each in enumerate(lookups)
    ]
    return {
        "request_id": "r-1",
        "institution_id": "bank-a",
        "attempt": 1,
        "mandates": [MANDATE],
        "inquiries": inquiries,
    }


def in_protobuf(batch: dict[str, Any]) -> bytes:
    inquiries = [
        each | {"subject_type": inquiry_pb2.SubjectType.Value(f"SUBJECT_TYPE_{each['subject_type']}")}
        for each in batch["inquiries"]
    ]
    return institution_pb2.InquiryBatch(**batch | {"inquiries": inquiries}).SerializeToString()


def with_bank(scenario: Callable[[Bank], Awaitable[None]], **changes: Any) -> None:
    """Run a scenario against a bank of its own."""

    async def run() -> None:
        config = Config(seed=SEED, institutions=(msgspec.structs.replace(BANK, **changes),))
        async with running(config) as urls, aiohttp.ClientSession(urls["bank-a"]) as session:
            await scenario(Bank(session))

    asyncio.run(run())


@pytest.fixture(scope="session")
def lookups(population: Population) -> list[Lookup]:
    return list(population.sample(40, 1, "persons"))


def test_answers_are_those_of_the_population(population: Population, lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        status, headers, body = await bank.ask(lookups)
        assert (status, headers["Content-Type"]) == (200, JSON)
        reply = msgspec.json.decode(body)
        assert reply["request_id"] == "r-1"
        for item, (each, said) in enumerate(zip(lookups, reply["replies"], strict=True)):
            expected = population.answer(BANK.institution, *each[1:])
            assert said.pop("observed_at").endswith("Z")
            assert said == {"item": item} | msgspec.json.decode(msgspec.json.encode(expected))
        status, headers, body = await bank.ask(lookups, PROTOBUF)
        assert (status, headers["Content-Type"]) == (200, PROTOBUF)
        message = institution_pb2.InquiryBatchReply.FromString(body)
        assert [each.item for each in message.replies] == list(range(len(lookups)))
        assert [len(each.assets) for each in message.replies] == [
            len(each.get("assets", ())) for each in reply["replies"]
        ]

    with_bank(scenario)


def test_several_institutions_answer_at_once(lookups: list[Lookup]) -> None:
    async def run() -> None:
        institutions = (BANK, msgspec.structs.replace(BANK, id="land", kind="real_estate"))
        async with running(Config(seed=SEED, institutions=institutions)) as urls, aiohttp.ClientSession() as session:
            for name, url in urls.items():
                async with session.get(f"{url}/healthz") as response:
                    assert (await response.json())["institution_id"] == name
                body = msgspec.json.encode(request(lookups) | {"institution_id": name})
                async with session.post(f"{url}/v1/inquiries", data=body, headers={"Content-Type": JSON}) as response:
                    assert response.status == 200

    asyncio.run(run())


def test_many_institutions_answer_at_one_address(lookups: list[Lookup]) -> None:
    async def run() -> None:
        config = Config(seed=SEED, institutions=(BANK,)).with_national(400)
        async with running(config) as urls, aiohttp.ClientSession() as session:
            assert len(urls) == 400
            assert len({url.rpartition("/")[0] for url in urls.values()}) == 1
            name = "mock-vehicle-0398"
            body = msgspec.json.encode(request(lookups) | {"institution_id": name})
            async with session.post(
                f"{urls[name]}/v1/inquiries", data=body, headers={"Content-Type": JSON}
            ) as response:
                assert response.status == 200
            for asked in (name, "mock-bank-0397"):
                async with session.get(f"{urls[asked]}/stats") as response:
                    assert (await response.json())["calls"] == (asked == name)

    asyncio.run(run())


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_a_wrong_batch_is_refused_as_a_whole(lookups: list[Lookup], content_type: str) -> None:
    inquiries = request(lookups)["inquiries"]
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"institution_id": "bank-b"}, 400, "WRONG_INSTITUTION"),
        ({"request_id": ""}, 400, "NO_REQUEST_ID"),
        ({"attempt": 0}, 400, "NO_ATTEMPT"),
        ({"inquiries": []}, 400, "NO_INQUIRIES"),
        ({"mandates": []}, 400, "NO_MANDATE"),
        ({"mandates": [MANDATE | {"officer": ""}]}, 400, "INCOMPLETE_MANDATE"),
        ({"inquiries": [inquiries[0], inquiries[0]]}, 400, "DUPLICATE_ITEM"),
        ({"inquiries": [each | {"item": i} for i, each in enumerate(inquiries * 2)]}, 413, "BATCH_TOO_LARGE"),
    ]

    async def scenario(bank: Bank) -> None:
        for changes, expected, reason in wrong:
            status, _, body = await bank.ask(lookups, content_type, **changes)
            assert (status, json.loads(body)["reason"]) == (expected, reason)
        status, _, body = await bank.post("/v1/inquiries", b"\xff", content_type)
        assert (status, json.loads(body)["reason"]) == (400, "MALFORMED_REQUEST")
        status, _, body = await bank.post("/v1/inquiries", b"", "text/xml")
        assert (status, json.loads(body)["reason"]) == (415, "UNSUPPORTED_CONTENT_TYPE")
        stats = await bank.get("/stats")
        assert (stats["calls"], stats["rejected"], stats["inquiries"]) == (10, 10, 0)
        assert stats["batch_violations"] == 1

    with_bank(scenario)


def test_stats_are_exact(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.ask(lookups[:30])
        await bank.ask(lookups[20:30], PROTOBUF)
        await bank.ask(lookups[:5], attempt=2)
        mistaken = [each._replace(name="别人") for each in lookups[:3]]
        for _ in range(2):
            await bank.ask(mistaken)
        assert await bank.get("/stats") == {
            "calls": 5,
            "inquiries": 51,
            "first_attempts": 46,
            "retries": 5,
            "duplicates": 10,
            "rejected": 0,
            "peak_concurrency": 1,
            "concurrency_violations": 0,
            "rate_violations": 0,
            "batch_violations": 0,
            "faults": {},
        }
        await bank.post("/stats/reset")
        assert (await bank.get("/stats"))["calls"] == 0

    with_bank(scenario)


def test_more_calls_at_a_time_than_allowed_are_refused(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.set_faults(latency={"distribution": "fixed", "seconds": 0.2})
        answers = await asyncio.gather(*(bank.ask(lookups[:1]) for _ in range(7)))
        assert sorted(status for status, _, _ in answers) == [200] * 4 + [429] * 3
        stats = await bank.get("/stats")
        assert (stats["peak_concurrency"], stats["concurrency_violations"]) == (5, 3)

    with_bank(scenario)


def test_a_higher_rate_than_allowed_is_refused(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        assert (await bank.ask(lookups))[0] == 200
        status, headers, body = await bank.ask(lookups)
        assert (status, json.loads(body)["reason"]) == (429, "TOO_FAST")
        # 50 inquiries at once, then one in ten seconds; 30 are lacking.
        assert 299 <= int(headers["Retry-After"]) <= 300
        assert (await bank.get("/stats"))["rate_violations"] == 1

    with_bank(scenario, rate=0.1)


def test_replies_are_compressed_if_wanted_and_worth_it(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        _, headers, body = await bank.ask(lookups)
        assert headers["Content-Encoding"] == "gzip"
        assert len(json.loads(body)["replies"]) == len(lookups)
        _, headers, _ = await bank.ask(lookups[:1], PROTOBUF)
        assert "Content-Encoding" not in headers

    with_bank(scenario, gzip_above=1000)


def test_settings_of_faults_are_shown_replaced_and_checked() -> None:
    async def scenario(bank: Bank) -> None:
        assert await bank.get("/faults") == {"error": 0.5}
        await bank.set_faults(hang=0.25, poison=["7"])
        assert await bank.get("/faults") == {"hang": 0.25, "poison": ["7"]}
        for wrong in (b"{", b'{"hang": 2}', b'{"hang": 0.7, "error": 0.7}', b'{"latency": 1}'):
            status, _, body = await bank.post("/faults", wrong)
            assert (status, json.loads(body)["reason"]) == (400, "INVALID_FAULTS")
        assert await bank.get("/faults") == {"hang": 0.25, "poison": ["7"]}

    with_bank(scenario, faults=Faults(error=0.5))


REFUSING = {"error": 500, "unavailable": 503, "rate_refusal": 429, "refusal": 400, "redirect": 307}


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_faults_that_refuse(lookups: list[Lookup], content_type: str) -> None:
    async def scenario(bank: Bank) -> None:
        for kind, expected in REFUSING.items():
            await bank.set_faults(**{kind: 1.0}, retry_after=7)
            status, headers, _ = await bank.ask(lookups, content_type)
            assert status == expected
            assert headers.get("Retry-After") == ("7" if kind == "rate_refusal" else None)
            assert ("Location" in headers) == (kind == "redirect")
        assert (await bank.get("/stats"))["faults"] == dict.fromkeys(REFUSING, 1)

    with_bank(scenario)


def test_down_and_poison(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.set_faults(down=True)
        assert (await bank.ask(lookups))[0] == 503
        poisoned = lookups[3].number[-8:]
        await bank.set_faults(poison=[poisoned])
        assert (await bank.ask(lookups))[0] == 400
        assert (await bank.ask(lookups[:3]))[0] == 200
        assert (await bank.get("/stats"))["faults"] == {"down": 1, "poison": 1}

    with_bank(scenario)


@pytest.mark.parametrize("kind", ["reset", "broken_off"])
def test_faults_that_break_the_connection(lookups: list[Lookup], kind: str) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.set_faults(**{kind: 1.0})
        with pytest.raises(aiohttp.ClientError) as caught:
            await bank.ask(lookups)
        assert isinstance(caught.value, aiohttp.ClientPayloadError) == (kind == "broken_off")
        await bank.set_faults()
        assert (await bank.ask(lookups))[0] == 200

    with_bank(scenario)


def test_a_hang_ends_when_the_client_leaves(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.set_faults(hang=1.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bank.ask(lookups), 0.2)
        await bank.set_faults()
        # Of four calls allowed none is left hanging, else the fourth here would be one too many.
        answers = await asyncio.gather(*(bank.ask(lookups[:1]) for _ in range(4)))
        assert [status for status, _, _ in answers] == [200] * 4

    with_bank(scenario)


def test_a_hang_is_bounded(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.set_faults(hang=1.0, hang_seconds=0.05)
        with pytest.raises(aiohttp.ClientError):
            await bank.ask(lookups)

    with_bank(scenario)


def test_faults_in_the_body(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        _, _, whole = await bank.ask(lookups)
        for kind in ("garbage", "truncated"):
            await bank.set_faults(**{kind: 1.0})
            status, headers, body = await bank.ask(lookups)
            assert (status, headers["Content-Type"]) == (200, JSON)
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(body)
        assert len(body) == len(whole) // 2
        await bank.set_faults(garbage=1.0)
        _, _, body = await bank.ask(lookups, PROTOBUF)
        with pytest.raises(DecodeError):
            institution_pb2.InquiryBatchReply.FromString(body)

    with_bank(scenario)


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_faults_in_the_content(lookups: list[Lookup], content_type: str) -> None:
    def read(body: bytes) -> tuple[str, list[int]]:
        if content_type == JSON:
            reply = json.loads(body)
            return reply["request_id"], [each["item"] for each in reply["replies"]]
        message = institution_pb2.InquiryBatchReply.FromString(body)
        return message.request_id, [each.item for each in message.replies]

    async def scenario(bank: Bank) -> None:
        asked = list(range(len(lookups)))
        for kind, request_id, items in (
            ("surplus_item", "r-1", [*asked, len(asked)]),
            ("missing_item", "r-1", asked[:-1]),
            ("wrong_request_id", "r-1-other", asked),
        ):
            await bank.set_faults(**{kind: 1.0})
            status, _, body = await bank.ask(lookups, content_type)
            assert (status, *read(body)) == (200, request_id, items)
        await bank.set_faults(missing_item=1.0)
        assert read((await bank.ask(lookups[:1], content_type))[2]) == ("r-1", [])
        assert (await bank.get("/stats"))["duplicates"] == 0

    with_bank(scenario)


def test_faults_of_size(lookups: list[Lookup]) -> None:
    async def scenario(bank: Bank) -> None:
        await bank.set_faults(oversized=1.0, oversized_bytes=3_000_000)
        _, headers, body = await bank.ask(lookups)
        assert len(body) == int(headers["Content-Length"]) == 3_000_000
        await bank.set_faults(gzip_bomb=1.0, oversized_bytes=3_000_000)
        _, headers, body = await bank.ask(lookups, PROTOBUF)
        assert len(body) == 3_000_000
        assert int(headers["Content-Length"]) < 10_000

    with_bank(scenario)


def test_every_kind_of_fault_is_tested_here() -> None:
    elsewhere = {"reset", "broken_off", "hang", "garbage", "truncated", "oversized", "gzip_bomb"}
    content = {"surplus_item", "missing_item", "wrong_request_id"}
    assert set(KINDS) == set(REFUSING) | elsewhere | content
