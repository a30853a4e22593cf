"""Everything the contract promises, through the public door: real gRPC, real LMDB and real HTTP, in one process."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from prometheus_client.parser import text_string_to_metric_families

from broker.client import Client, Terms
from broker.errors import ConfigError
from broker.investigation.aggregation import Aggregator
from broker.serving import connection_limits, sockets
from broker.v1 import asset_pb2
from broker.v1 import investigation_pb2 as pb
from mock_institutions.population import Lookup
from tests import http2
from tests.end_to_end.testbed import (
    CLIENT_OPTIONS,
    FOUND,
    INVALID,
    NATIONAL,
    NOT_FOUND,
    REFUSED,
    REGIONAL,
    SERVICE,
    TIMED_OUT,
    UNAVAILABLE,
    Reports,
    Testbed,
    as_message,
    asking,
    check_shape,
    check_truth,
    details,
    institutions_for,
    mandate,
    open_testbed,
    person,
    run,
    sample,
    violations,
    with_testbed,
)

# --- the main job -----------------------------------------------------------------------------------------------------


def test_a_batch_is_answered_by_everybody_truthfully_and_the_second_time_from_the_cache(tmp_path: Path) -> None:
    lookups = sample(600, mix="all")

    async def first(opened: Testbed) -> None:
        said = await opened.ask(asking(lookups, request_id="mine"))
        assert said.summary.request_id == "mine"
        assert said.summary.complete
        assert said.summary.elapsed.ToNanoseconds() > 0
        assert {p: set(a) for p, a in said.answers().items()} == {
            position: institutions_for(lookup) for position, lookup in enumerate(lookups)
        }
        assert check_truth(lookups, said) == said.summary.inquiries
        assert set(said.sources()) == {"INSTITUTION"}
        asked = (await opened.stats())["inquiries"]
        assert asked == said.summary.inquiries
        again = await opened.ask(asking(lookups))
        assert again.summary.request_id
        assert set(again.sources()) == {"CACHE"}
        assert check_truth(lookups, again) == said.summary.inquiries
        assert (await opened.stats())["inquiries"] == asked

    async def after_a_restart(opened: Testbed) -> None:
        said = await opened.ask(asking(lookups))
        assert set(said.sources()) == {"CACHE"}
        assert check_truth(lookups, said) == said.summary.inquiries
        assert (await opened.stats())["inquiries"] == 0

    with_testbed(tmp_path, first)
    with_testbed(tmp_path, after_a_restart)


def test_who_has_just_started_sends_no_burst_which_another_may_have_sent(tmp_path: Path) -> None:
    lookups, began = sample(50), time.monotonic()

    async def scenario(opened: Testbed) -> None:
        with suppress(grpc.aio.AioRpcError):  # the stream itself was late
            await opened.ask(asking(lookups), seconds=1.0)
        asked = (await opened.stats())["inquiries"]
        assert asked <= len(NATIONAL) * (time.monotonic() - began)

    with_testbed(tmp_path, scenario, rate=1.0, batch_size=50)


def test_increments_concatenate_to_the_same_answers(tmp_path: Path) -> None:
    lookups = sample(900, mix="all")
    lookups += [lookup._replace(ref=f"again {lookup.ref}") for lookup in lookups[:400]]  # some in the next chunk

    async def scenario(opened: Testbed) -> None:
        # So that part of some lookups is in the cache.
        await opened.ask(asking([each for each in lookups[:200] if each.name], institution_ids=["mock-bank"]))
        incremental = await opened.ask(asking(lookups, delivery=pb.DELIVERY_INCREMENTAL))
        complete = await opened.ask(asking(lookups, delivery=pb.DELIVERY_COMPLETE))
        assert all(report.final for report in complete.reports)
        assert len(incremental.reports) > len(complete.reports)
        assert all(report.answers for report in incremental.reports)
        for both in (incremental, complete):
            assert check_truth(lookups, both) == both.summary.inquiries
        said_at_once = {position: set(each) for position, each in complete.answers().items()}
        assert {position: set(each) for position, each in incremental.answers().items()} == said_at_once
        last = {report.position: report for report in incremental.reports}
        assert all(report.final and report.complete for report in last.values())

    with_testbed(tmp_path, scenario)


def test_what_is_cached_does_not_wait_for_what_is_not(tmp_path: Path) -> None:
    """No institution ever replies to the second request: what comes can only come from the cache."""
    lookups = sample(400)
    known = set(range(0, 400, 4))

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(lookups[::4]))
        await opened.faults(hang=1)
        call = opened.investigate(asking(lookups))
        seen: set[int] = set()
        async for response in call:
            seen |= {report.position for report in response.reports}
            if seen == known:
                break
        call.cancel()
        assert seen == known

    with_testbed(tmp_path, scenario)


def test_equal_lookups_are_asked_once_and_answered_each(tmp_path: Path) -> None:
    one, other = sample(2)
    spaced = f"{one.number[:6]} {one.number[6:14]} {one.number[14:]}".lower()

    async def scenario(opened: Testbed) -> None:
        lookups = [
            as_message(one),
            as_message(one),  # same ref, same subject
            person("second", one.name, one.number),
            person("third", one.name, spaced),
            as_message(other),
        ]
        said = await opened.ask(asking(lookups))
        answers = said.answers()
        assert (await opened.stats())["inquiries"] == 8
        assert said.summary.inquiries == 20
        for position in (1, 2, 3):
            assert answers[position] == answers[0]
        assert answers[4] != answers[0]
        again = await opened.ask(asking(lookups, delivery=pb.DELIVERY_INCREMENTAL))
        assert again.summary.inquiries == 20
        assert (await opened.stats())["duplicates"] == 0

    with_testbed(tmp_path, scenario)


def test_two_requests_at_a_time_ask_each_question_once(tmp_path: Path) -> None:
    lookups = sample(200)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(latency={"distribution": "fixed", "seconds": 0.1})
        both = await asyncio.gather(*[opened.ask(asking(lookups)) for _ in range(2)])
        assert (await opened.stats())["inquiries"] == 800
        assert (await opened.stats())["duplicates"] == 0
        sources = both[0].sources() + both[1].sources()
        assert sources["INSTITUTION"] == 800
        assert sources["FLIGHT"] > 0
        assert all(check_truth(lookups, said) == 800 for said in both)

    with_testbed(tmp_path, scenario)


def test_max_age_decides_whether_the_cache_will_do(tmp_path: Path) -> None:
    lookups = sample(20)

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(lookups))
        recent = await opened.ask(asking(lookups, max_age=Duration(seconds=600)))
        assert recent.sources() == {"CACHE": 80}
        anew = await opened.ask(asking(lookups, max_age=Duration()))
        assert anew.sources() == {"INSTITUTION": 80}
        assert (await opened.stats())["inquiries"] == 160

    with_testbed(tmp_path, scenario)


def test_a_regional_institution_is_asked_for_courts_of_its_region_only(tmp_path: Path) -> None:
    reach = {"最高法": True, "京": True, "京01": True, "京0101": True, "沪": False, "沪01": False, "粤0305": False}

    async def scenario(opened: Testbed) -> None:
        (lookup,) = sample(1)
        listed = opened.service.ListInstitutions
        for court, reached in reach.items():
            expected = {*NATIONAL, REGIONAL} if reached else set(NATIONAL)
            said = await opened.ask(asking([lookup], court=court))
            assert set(said.answers()[0]) == expected, court
            institutions = (await listed(pb.ListInstitutionsRequest(court_code=court))).institutions
            assert {each.id for each in institutions} == expected
            if not reached:
                error = await opened.refusal(asking([lookup], court=court, institution_ids=[REGIONAL]))
                assert violations(error) == ["institution_ids[0]"]
                assert REGIONAL in (error.details() or "")

    with_testbed(tmp_path, scenario)


def test_a_request_may_choose_whom_it_asks(tmp_path: Path) -> None:
    (lookup,) = sample(1)
    plate = pb.Lookup(ref="car", property=pb.Property(vehicle_plate="京A12345"))

    async def scenario(opened: Testbed) -> None:
        chosen = await opened.ask(asking([lookup], institution_ids=["mock-bank", "mock-vehicle", "mock-bank"]))
        assert set(chosen.answers()[0]) == {"mock-bank", "mock-vehicle"}
        of_kind = await opened.ask(asking([lookup], kinds=[pb.INSTITUTION_KIND_REAL_ESTATE]))
        assert set(of_kind.answers()[0]) == {"mock-real-estate"}
        both = await opened.ask(asking([lookup, plate], kinds=[pb.INSTITUTION_KIND_BANK]))
        (nobody,) = both.answers()[1].values()
        assert (nobody.outcome, nobody.problem.reason) == (INVALID, "NOBODY_ASKED")

    with_testbed(tmp_path, scenario)


# --- bad input --------------------------------------------------------------------------------------------------------

GOOD = person("1", "张三", "11010519491231002X")
_MANDATE = {
    "court_code": "京0101",
    "officer": "王",
    "case_number": "（2026）京0101执1号",
    "legal_document": "裁定书",
}


def _with_mandate(**changes: str) -> dict[str, Any]:
    return {"mandate": {**_MANDATE, **changes}, "lookups": [GOOD]}


BAD_REQUESTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no mandate": (
        {"lookups": [GOOD]},
        ["mandate.court_code", "mandate.case_number", "mandate.officer", "mandate.legal_document"],
    ),
    "no court": (_with_mandate(court_code=""), ["mandate.court_code"]),
    "no such court": (_with_mandate(court_code="京010"), ["mandate.court_code"]),
    "another court's case": (_with_mandate(case_number="（2026）沪0101执1号"), ["mandate.case_number"]),
    "no case number": (_with_mandate(case_number="执1号"), ["mandate.case_number"]),
    "not an enforcement case": (_with_mandate(case_number="（2026）京0101民初1号"), ["mandate.case_number"]),
    "no officer": (_with_mandate(officer=" "), ["mandate.officer"]),
    "an endless document": (_with_mandate(legal_document="书" * 201), ["mandate.legal_document"]),
    "no lookups": ({"mandate": _MANDATE}, ["lookups"]),
    "too many lookups": ({"mandate": _MANDATE, "lookups": [GOOD] * 51}, ["lookups"]),
    "negative max_age": ({**_with_mandate(), "max_age": Duration(seconds=-1)}, ["max_age"]),
    "negative nanos": ({**_with_mandate(), "max_age": Duration(nanos=-1)}, ["max_age"]),
    "too many nanos": ({**_with_mandate(), "max_age": Duration(nanos=1_000_000_000)}, ["max_age"]),
    "endless max_age": ({**_with_mandate(), "max_age": Duration(seconds=315_576_000_000)}, ["max_age"]),
    "unknown institution": ({**_with_mandate(), "institution_ids": ["mock-bank", "no-bank"]}, ["institution_ids[1]"]),
    "unspecified kind": ({**_with_mandate(), "kinds": [1, 0]}, ["kinds[1]"]),
    "unknown kind": ({**_with_mandate(), "kinds": [99]}, ["kinds[0]"]),
    "kind and institution exclude each other": (
        {**_with_mandate(), "institution_ids": ["mock-bank"], "kinds": [2]},
        ["institution_ids[0]"],
    ),
    "unknown priority": ({**_with_mandate(), "priority": 9}, ["priority"]),
    "unknown delivery": ({**_with_mandate(), "delivery": -1}, ["delivery"]),
    "endless request_id": ({**_with_mandate(), "request_id": "x" * 129}, ["request_id"]),
    "everything": (
        {"max_age": Duration(seconds=-1), "kinds": [7], "priority": 9, "delivery": 9},
        [
            *("mandate.court_code", "mandate.case_number", "mandate.officer", "mandate.legal_document"),
            *("lookups", "max_age", "kinds[0]", "priority", "delivery"),
        ],
    ),
}


def test_a_request_that_is_wrong_as_a_whole_is_refused_field_by_field_and_nobody_is_asked(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        for name, (fields, expected) in BAD_REQUESTS.items():
            error = await opened.refusal(pb.InvestigateRequest(**fields))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, name
            assert violations(error) == expected, name
            assert not any(secret in str(error.details()) for secret in ("11010519491231002X", "张三"))
        assert (await opened.stats())["calls"] == 0
        assert len((await opened.ask(pb.InvestigateRequest(mandate=_MANDATE, lookups=[GOOD] * 50))).reports) == 50

    with_testbed(tmp_path, scenario, server={"max_lookups": 50})


def test_what_is_no_request_at_all_is_refused(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        call = opened.channel.unary_stream(f"/{SERVICE}/Investigate")(b"\xff\xff not protobuf")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert violations(error.value) == ["request"]

    with_testbed(tmp_path, scenario)


BAD_LOOKUPS: dict[str, tuple[pb.Lookup, str, str]] = {
    "check digit": (person("a", "张三", "110105194912310021"), "BAD_CHECK_DIGIT", "person.document_number"),
    "birth date": (person("b", "张三", "110105194913310028"), "BAD_BIRTH_DATE", "person.document_number"),
    "empty number": (person("c", "张三", ""), "EMPTY", "person.document_number"),
    "empty name": (person("d", " ", "11010519491231002X"), "EMPTY", "person.name"),
    "no document type": (person("e", "张三", "11010519491231002X", 0), "BAD_TYPE", "person.document_type"),
    "an organisation's type": (person("f", "张三", "11010519491231002X", 6), "BAD_TYPE", "person.document_type"),
    "unknown type": (person("g", "张三", "11010519491231002X", 99), "BAD_TYPE", "person.document_type"),
    "code": (
        pb.Lookup(ref="h", organization=pb.Organization(name="公司", code="91350100M000100Y44")),
        "BAD_CHECK_DIGIT",
        "organization.code",
    ),
    "plate": (pb.Lookup(ref="i", property=pb.Property(vehicle_plate="A12345")), "BAD_SHAPE", "property.vehicle_plate"),
    "no number": (pb.Lookup(ref="j", property=pb.Property()), "NO_SUBJECT", "property.number"),
    "no subject": (pb.Lookup(ref="k"), "NO_SUBJECT", "subject"),
    "empty ref": (person("", "张三", "11010519491231002X"), "BAD_REF", "ref"),
    "long ref": (person("x" * 65, "张三", "11010519491231002X"), "BAD_REF", "ref"),
    "shared ref": (person("shared", "张三", "11010519491231002X"), "DUPLICATE_REF", "ref"),
    "shared ref again": (person("shared", "李四", "11010519491231002X"), "DUPLICATE_REF", "ref"),
}


def test_a_wrong_lookup_is_refused_alone_and_the_others_are_answered(tmp_path: Path) -> None:
    good = sample(10)

    async def scenario(opened: Testbed) -> None:
        bad = [lookup for lookup, _, _ in BAD_LOOKUPS.values()]
        said = await opened.ask(asking([*good[:5], *bad, *good[5:]]))
        answers = said.answers()
        for position, (name, (_, reason, field_)) in enumerate(BAD_LOOKUPS.items(), start=5):
            (answer,) = answers[position].values()
            assert (answer.institution_id, answer.outcome, answer.source) == ("", INVALID, pb.SOURCE_BROKER), name
            assert (answer.problem.reason, answer.problem.field) == (reason, field_), name
            assert answer.problem.message
        rest = Reports([report for report in said.reports if len(report.answers) == 4])
        by_ref = {lookup.ref: lookup for lookup in good}
        positions = [
            by_ref.get(each.ref, good[0]) for each in [*map(as_message, good[:5]), *bad, *map(as_message, good[5:])]
        ]
        assert check_truth(positions, rest) == 40
        assert said.summary.complete  # nothing would change if it were asked again
        assert (await opened.stats())["inquiries"] == 40

    with_testbed(tmp_path, scenario)


DOCUMENTS = {
    asset_pb2.DOCUMENT_TYPE_FOREIGN_PERMANENT_RESIDENT: "931840199003070018",
    asset_pb2.DOCUMENT_TYPE_HONG_KONG_ID: "A123456(3)",
    asset_pb2.DOCUMENT_TYPE_MACAO_ID: "1/234567/8",
    asset_pb2.DOCUMENT_TYPE_TAIWAN_ID: "A123456789",
}


def test_every_document_of_a_person_is_asked_about_everywhere(tmp_path: Path) -> None:
    lookups = [person(number, "张三", number, document) for document, number in DOCUMENTS.items()]

    async def scenario(opened: Testbed) -> None:
        said = await opened.ask(asking(lookups))
        assert [len(each) for each in said.answers().values()] == [len(NATIONAL)] * len(DOCUMENTS)
        assert said.outcomes() == {NOT_FOUND: len(NATIONAL) * len(DOCUMENTS)}

    with_testbed(tmp_path, scenario)


def test_a_lookup_that_is_not_utf_8_is_refused_alone_and_the_others_are_answered(tmp_path: Path) -> None:
    bad_name = b"\x12\x0d\x0a\x03bad\x12\x06\x0a\x02\xff\xfe\x10\x01"  # a Lookup of 13 bytes; ref "bad"
    bad_ref = b"\x12\x04\x0a\x02\xff\xfe"
    lookups = sample(20)

    async def scenario(opened: Testbed) -> None:
        request = asking(lookups).SerializeToString() + bad_name + bad_ref
        call = opened.channel.unary_stream(f"/{SERVICE}/Investigate")(request)
        said = pb.InvestigateResponse()
        async for message in call:
            said.MergeFromString(message)
        *good, name, ref = sorted(said.reports, key=lambda report: report.position)
        assert check_truth(lookups, Reports(good)) == said.summary.inquiries - 2
        for report, expected in (name, ("bad", 20, "person.name")), (ref, ("", 21, "ref")):
            (answer,) = report.answers
            assert (report.ref, report.position, answer.problem.field) == expected
            assert (answer.outcome, answer.problem.reason) == (INVALID, "BAD_ENCODING")

    with_testbed(tmp_path, scenario)


def test_a_message_above_the_limit_is_refused_with_the_limit(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        error = await opened.refusal(asking(sample(2_000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "20000" in (error.details() or "")
        assert (await opened.stats())["calls"] == 0
        await opened.ask(asking(sample(50)))

    # gRPC refuses such a message itself; if the connection ages at that moment, the caller is told of that instead.
    server = {"max_message_bytes": 20_000, "max_connection_age": 60.0, "grace_period": 1.0}
    with_testbed(tmp_path, scenario, server=server)


def test_more_than_there_is_room_for_is_refused_with_a_hint_when_to_come_back(tmp_path: Path) -> None:
    lookups = sample(60)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        first = opened.investigate(asking(lookups))
        await opened.stats_reach("calls", 1)
        error = await opened.refusal(asking(lookups))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        packed = details(error)
        assert packed[0].Unpack(info)
        assert packed[1].Unpack(retry)
        assert (info.reason, retry.retry_delay.seconds) == ("BUSY", 1)
        first.cancel()
        await opened.faults()
        await opened.is_idle()
        await opened.ask(asking(lookups))

    with_testbed(tmp_path, scenario, server={"max_inquiries_in_flight": 300})


def test_admission_counts_inquiries_and_not_lookups(tmp_path: Path) -> None:
    """Room for 300: two requests of 60 lookups fit if they ask one institution each, and not if they ask four."""
    lookups = sample(180)
    cars = [pb.Lookup(ref=str(n), property=pb.Property(vehicle_plate=f"京A{n:05}")) for n in range(100)]

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        one_bank: dict[str, Any] = {"institution_ids": ["mock-bank"]}
        calls = [opened.investigate(asking(lookups[start : start + 60], **one_bank)) for start in (0, 60)]
        while await opened.metric("broker_inquiries_in_flight") < 120:
            pass
        error = await opened.refusal(asking(lookups[120:180]))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 'broker_requests_refused_total{reason="inquiries"} 1.0' in await opened.metrics_text()
        for call in calls:
            call.cancel()
        await opened.is_idle()
        call = opened.investigate(asking(cars))  # which only the vehicle registry is asked about
        await opened.stats_reach("inquiries", 220)
        assert await opened.metric("broker_inquiries_in_flight") == 100
        call.cancel()

    with_testbed(tmp_path, scenario, server={"max_inquiries_in_flight": 300})


def test_admission_counts_the_bytes_of_requests(tmp_path: Path) -> None:
    request = asking(sample(60))
    room = request.ByteSize() * 5 // 4  # so that the request is four fifths of it

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        call = opened.investigate(request)
        await opened.stats_reach("calls", 4)
        assert await opened.metric("broker_request_bytes_in_flight") == pytest.approx(request.ByteSize(), abs=1)
        error = await opened.refusal(request)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "bytes" in (error.details() or "")
        assert 'broker_requests_refused_total{reason="bytes"} 1.0' in await opened.metrics_text()
        call.cancel()
        await opened.is_idle()

    with_testbed(tmp_path, scenario, server={"max_request_bytes_in_flight": room})


def test_a_connection_carries_a_limited_number_of_calls_at_a_time(tmp_path: Path) -> None:
    lookups = sample(9)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        calls = [opened.investigate(asking(lookups[start : start + 3])) for start in (0, 3, 6)]
        await opened.stats_reach("inquiries", 24)
        async with grpc.aio.insecure_channel(opened.addresses.grpc, options=CLIENT_OPTIONS) as other:
            for _ in range(10):  # what came before on the first connection has been seen by now
                await replace(opened, channel=other).health()
        assert await opened.metric("broker_requests_in_flight") == 2
        calls[0].cancel()
        await opened.stats_reach("inquiries", 36)
        for call in calls:
            call.cancel()
        await opened.is_idle()

    with_testbed(
        tmp_path, scenario, server={"max_streams_per_connection": 2, "max_connection_age": 60.0, "grace_period": 1.0}
    )


# --- deadlines, cancelling, slow readers ------------------------------------------------------------------------------


def test_at_the_deadline_what_is_open_is_timed_out_and_the_stream_ends_well(tmp_path: Path) -> None:
    lookups = sample(200)

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(lookups[:50]))
        await opened.faults("mock-bank", hang=1)
        said = await opened.ask_until_deadline(asking(lookups), answered=4 * 200 - 150)
        assert said.outcomes()[TIMED_OUT] == 150
        assert list(said.summary.unavailable_institution_ids) == ["mock-bank"]
        assert check_truth(lookups, said) == 4 * 200 - 150
        assert not said.summary.complete
        for by_institution in said.answers().values():
            if by_institution["mock-bank"].outcome == TIMED_OUT:
                assert by_institution["mock-bank"].problem.reason == "DEADLINE"
                assert by_institution["mock-bank"].source == pb.SOURCE_BROKER
        await opened.is_idle()

    with_testbed(tmp_path, scenario)


def test_a_deadline_too_short_for_any_reply_leaves_nothing_behind(tmp_path: Path) -> None:
    """Around the shortest deadlines gRPC may end the call before the broker does, at any of its steps."""
    lookups = sample(3_000)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        for milliseconds in (0, 1, 2, 5, 10, 20, 40, 80):
            call = opened.investigate(asking(lookups), seconds=milliseconds / 1_000)
            try:
                async for _ in call:
                    pass
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # noqa: PT017 - it need not be raised
        await opened.is_idle()
        await opened.faults()
        assert check_truth(lookups[:50], await opened.ask(asking(lookups[:50]))) == 200

    with_testbed(tmp_path, scenario)


def test_cancelling_frees_everything(tmp_path: Path) -> None:
    lookups = sample(500)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        calls = [opened.investigate(asking(lookups[start : start + 250])) for start in (0, 250)]
        await opened.stats_reach("calls", 4)
        assert await opened.metric("broker_inquiries_in_flight") == 2_000
        calls[0].cancel()
        while await opened.metric("broker_inquiries_in_flight") > 1_000:
            pass
        calls[1].cancel()
        await opened.is_idle()
        await opened.faults()
        said = await opened.ask(asking(lookups))
        assert check_truth(lookups, said) == 2_000

    with_testbed(tmp_path, scenario)


def test_a_call_goes_on_for_who_still_waits_when_the_one_who_asked_leaves(tmp_path: Path) -> None:
    lookups = sample(100)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(latency={"distribution": "fixed", "seconds": 0.3})
        first = opened.investigate(asking(lookups))
        await opened.stats_reach("inquiries", 400)
        second = asyncio.create_task(opened.ask(asking(lookups)))
        while await opened.metric("broker_requests_in_flight") < 2:
            pass
        first.cancel()
        said = await second
        assert check_truth(lookups, said) == 400
        assert (await opened.stats())["duplicates"] == 0

    with_testbed(tmp_path, scenario)


async def a_long_stream(opened: Testbed) -> pb.InvestigateRequest:
    """A request for more than 20 MB of reports, all of them in the cache. Needs `max_lookups` of 20,000."""
    lookups = sample(300)
    known = await opened.ask(asking(lookups))
    largest = max(known.reports, key=pb.Report.ByteSize)
    assert 20_000 * largest.ByteSize() > 20_000_000
    return asking([lookups[largest.position]._replace(ref=str(number)) for number in range(20_000)])


def test_a_slow_reader_is_held_back(tmp_path: Path) -> None:
    """It takes one message and stops. The broker must stop planning, though all of it is in the cache."""
    lookups = sample(300)

    async def scenario(opened: Testbed) -> None:
        known = await opened.ask(asking(lookups))
        largest = max(known.reports, key=pb.Report.ByteSize)
        lookup = lookups[largest.position]
        request = asking([lookup._replace(ref=str(number)) for number in range(20_000)])
        assert 20_000 * largest.ByteSize() > 20_000_000
        planned_before = await opened.metric("broker_store_hits_total")
        stream = aiter(opened.investigate(request))
        said = Reports(list((await anext(stream)).reports))
        for _ in range(50):  # others are served meanwhile: it is not the broker that is slow
            await opened.ask(asking([lookup]))
        planned = await opened.metric("broker_store_hits_total") - planned_before - 50
        # What gRPC's windows and the sockets' buffers take: 6,000 as measured, however large the request.
        assert planned <= 10_000
        async for response in stream:
            said.reports += response.reports
            said.summary = response.summary
        check_shape(request, said)
        assert all(_said(report) == _said(largest) for report in said.reports)

    with_testbed(tmp_path, scenario, server={"max_lookups": 20_000})


def _said(report: pb.Report) -> list[tuple[str, int, list[asset_pb2.Asset]]]:
    """What a report says, whatever the source."""
    return [(answer.institution_id, int(answer.outcome), list(answer.assets)) for answer in report.answers]


def cut_off(folder: Path, *, seconds: float | None, **server: Any) -> str:
    """What the broker says of a long stream that is not read, once it has ended it; it must have let go of it then."""

    async def main() -> str:
        async with open_testbed(folder, server={"max_lookups": 20_000}) as opened:
            request = await a_long_stream(opened)
        async with open_testbed(folder, server={"max_lookups": 20_000, **server}) as opened:
            call = opened.investigate(request, seconds=seconds)
            while 'broker_requests_total{status="DEADLINE_EXCEEDED"} 1.0' not in await opened.metrics_text():
                pass
            assert await opened.metric("broker_requests_in_flight") == 0
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in call:
                    pass
            assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            return str(ended.value.details())

    return run(main)


AT_ONCE = {"min_read_rate": 1e12}
"""Reading is to take no time at all: whenever the broker waits, the reader falls behind."""
AT_ANY_PACE = {"min_read_rate": 1.0, "max_read_lag": 1e6}


def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    message = cut_off(tmp_path, seconds=None, **AT_ONCE, max_read_lag=0.5)
    assert "read more slowly than 1e+12 bytes per second" in message


def test_a_stream_without_a_deadline_ends_after_the_default_even_if_it_is_not_read(tmp_path: Path) -> None:
    assert "did not end within 2 s" in cut_off(tmp_path, seconds=None, **AT_ANY_PACE, default_timeout=2.0)


def test_a_stream_ends_after_the_longest_time_whatever_its_deadline(tmp_path: Path) -> None:
    assert "did not end within 2 s" in cut_off(tmp_path, seconds=1_000, **AT_ANY_PACE, max_timeout=2.0)


def test_a_reader_that_leaves_while_held_back_is_no_fault_of_the_broker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(opened: Testbed) -> None:
        request = await a_long_stream(opened)
        call = opened.investigate(request)
        await anext(aiter(call))
        call.cancel()
        await opened.is_idle()
        assert 'status="INTERNAL"' not in await opened.metrics_text()

    with_testbed(tmp_path, scenario, server={"max_lookups": 20_000})
    assert "internal error" not in caplog.text


def test_a_broker_that_falls_over_never_calls_a_stream_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trio side dies while institutions are being asked: the caller must not read that as nothing found."""

    async def attend(*_: object) -> None:
        return  # as if everything had been answered

    monkeypatch.setattr(Aggregator, "attend", attend)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        refused = await opened.refusal(asking(sample(3)))
        assert refused.code() == grpc.StatusCode.INTERNAL

    with_testbed(tmp_path, scenario)


def test_many_mistakes_are_told_within_what_metadata_may_hold(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        refused = await opened.refusal(asking(sample(1), institution_ids=[f"nobody-{n}" for n in range(4_000)]))
        assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert len(violations(refused)) == 20
        assert "and 3995 more" in (refused.details() or "")
        refused = await opened.refusal(asking(sample(1), institution_ids=["mock-bank"] * 6_000))
        assert violations(refused) == ["institution_ids"]
        refused = await opened.refusal(asking(sample(1), kinds=[pb.INSTITUTION_KIND_BANK] * 65))
        assert violations(refused) == ["kinds"]

    with_testbed(tmp_path, scenario)


# --- institutions that fail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"down": True}, {"reset": 1}, {"garbage": 1}, {"redirect": 1}, {"truncated": 1}])
def test_with_every_institution_down_the_stream_is_complete_all_the_same(tmp_path: Path, fault: dict[str, Any]) -> None:
    async def scenario(opened: Testbed) -> None:
        await opened.faults(**fault)
        said = await opened.ask(asking(sample(50)))
        assert said.outcomes() == {UNAVAILABLE: 200}
        assert said.sources() == {"BROKER": 200}
        assert sorted(said.summary.unavailable_institution_ids) == sorted(NATIONAL)
        await opened.is_idle()
        listed = await opened.service.ListInstitutions(pb.ListInstitutionsRequest())
        assert len(listed.institutions) == 5

    with_testbed(tmp_path, scenario)


def test_one_failing_institution_does_not_touch_the_others(tmp_path: Path) -> None:
    lookups = sample(100)

    async def scenario(opened: Testbed) -> None:
        await opened.faults("mock-vehicle", down=True)
        said = await opened.ask(asking(lookups))
        assert check_truth(lookups, said) == 300
        assert list(said.summary.unavailable_institution_ids) == ["mock-vehicle"]
        await opened.faults()
        again = await opened.ask(asking(lookups))  # only what is missing is asked
        assert again.sources()["CACHE"] == 300
        assert check_truth(lookups, again) == 400

    with_testbed(tmp_path, scenario)


def test_a_poisoned_inquiry_is_found_and_the_others_answered(tmp_path: Path) -> None:
    lookups = sample(200)
    poisoned = lookups[77].number

    async def scenario(opened: Testbed) -> None:
        await opened.faults("mock-bank", poison=[poisoned])
        said = await opened.ask(asking(lookups))
        assert said.outcomes()[REFUSED] == 1
        assert said.answers()[77]["mock-bank"].outcome == REFUSED
        assert check_truth(lookups, said) == 799

    with_testbed(tmp_path, scenario)


ODDITIES = ("missing_item", "surplus_item", "wrong_request_id", "truncated", "broken_off", "redirect", "reset")


def test_whatever_institutions_think_of_nothing_wrong_gets_through(tmp_path: Path) -> None:
    lookups = sample(1_000)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(**dict.fromkeys(ODDITIES, 0.05), refusal=0.05)
        said = await opened.ask(asking(lookups))
        assert said.summary.inquiries == 4_000
        assert check_truth(lookups, said) > 2_000
        await opened.faults()
        await opened.is_idle()
        cached = await opened.ask(asking(lookups))
        assert cached.sources()["CACHE"] >= check_truth(lookups, said)
        assert check_truth(lookups, cached) == cached.outcomes()[FOUND] + cached.outcomes()[NOT_FOUND]

    with_testbed(tmp_path, scenario, batch_size=20)


FAULTS = {"error": 0.10, "garbage": 0.05, "hang": 0.05}


def test_in_the_worst_of_weathers_nothing_is_wrong_nothing_is_lost_and_nothing_asked_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """10 % errors, 5 % garbage and 5 % hangs, and ten thousand lookups."""
    caplog.set_level(logging.DEBUG)
    lookups = sample(10_000)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(**FAULTS)
        said = await opened.ask(asking(lookups, priority=pb.PRIORITY_BULK))
        answers = said.answers()
        assert len(answers) == 10_000
        assert all(by_institution.keys() == set(NATIONAL) for by_institution in answers.values())
        assert set(said.outcomes()) <= {FOUND, NOT_FOUND, UNAVAILABLE}
        assert check_truth(lookups, said) > 10_000  # a slow machine gives up more
        stats = await opened.stats()
        assert stats["duplicates"] == 0
        assert stats["first_attempts"] <= 40_000
        assert await opened.metric("broker_lane_repeated_total") >= stats["retries"] > 0
        assert await opened.metric("broker_lane_asked_total") >= stats["first_attempts"]
        for violated in ("concurrency_violations", "rate_violations", "batch_violations"):
            assert stats[violated] == 0
        await opened.is_idle()
        text = await opened.metrics_text()
        assert not [lookup for lookup in lookups if lookup.number in text or lookup.name in text]

    with_testbed(tmp_path, scenario, timeout=1.0, batch_size=100)
    logged = caplog.text
    assert "mock-bank" in logged
    assert not [lookup for lookup in lookups if lookup.number in logged or lookup.name in logged]


# --- around the service -----------------------------------------------------------------------------------------------


def test_institutions_are_listed_with_what_they_are_and_how_they_do(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        listing = opened.service.ListInstitutions
        listed = (await listing(pb.ListInstitutionsRequest())).institutions
        assert [each.id for each in listed] == sorted([*NATIONAL, REGIONAL])
        assert {each.region for each in listed if each.id == REGIONAL} == {"京"}
        assert {each.health for each in listed} == {pb.INSTITUTION_HEALTH_SERVING}
        assert {(each.found_lifetime.seconds, each.not_found_lifetime.seconds) for each in listed} == {(3600, 900)}
        assert all(each.display_name for each in listed)
        await opened.faults("mock-bank", down=True)
        for number in range(12):
            await opened.ask(asking(sample(1, rng_seed=10 + number)))
        health = {each.id: each.health for each in (await listing(pb.ListInstitutionsRequest())).institutions}
        assert health.pop("mock-bank") == pb.INSTITUTION_HEALTH_UNREACHABLE
        assert set(health.values()) == {pb.INSTITUTION_HEALTH_SERVING}
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await listing(pb.ListInstitutionsRequest(court_code="Beijing"))
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert violations(error.value) == ["court_code"]

    with_testbed(tmp_path, scenario)


def test_a_stock_client_finds_its_way_by_reflection_alone(tmp_path: Path) -> None:
    (lookup,) = sample(1)
    request = {
        "mandate": {
            "court_code": "京0101",
            "officer": "王法官",
            "case_number": "（2026）京0101执1号",
            "legal_document": "裁定书",
        },
        "lookups": [
            {
                "ref": "one",
                "person": {
                    "name": lookup.name,
                    "document_type": "DOCUMENT_TYPE_RESIDENT_ID",
                    "document_number": lookup.number,
                },
            }
        ],
    }

    async def scenario(opened: Testbed) -> None:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("buf")),
            *("curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect"),
            *("--data", json.dumps(request), f"http://{opened.addresses.grpc}/{SERVICE}/Investigate"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": str(tmp_path)},
        )
        printed, complaints = await process.communicate()
        assert process.returncode == 0, complaints
        messages = list(_json_stream(printed.decode()))
        (report,) = [report for message in messages for report in message.get("reports", ())]
        assert (report["ref"], report["final"], report["complete"]) == ("one", True, True)
        assert {answer["institutionId"] for answer in report["answers"]} == {*NATIONAL, REGIONAL}
        assert messages[-1]["summary"]["lookups"] == 1

    with_testbed(tmp_path, scenario)


def _json_stream(text: str) -> Iterable[dict[str, Any]]:
    decoder = json.JSONDecoder()
    while text := text.strip():
        message, end = decoder.raw_decode(text)
        yield message
        text = text[end:]


def test_standard_health_tells_and_so_does_http(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        for service in ("", SERVICE):
            assert await opened.health(service) == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await opened.health("no.such.Service")
        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        async with opened.http.get(f"http://{opened.addresses.metrics}/healthz") as response:
            assert (response.status, await response.json()) == (200, {"status": "serving"})

    with_testbed(tmp_path, scenario)


PROMISED = {
    "broker_": [
        "inquiries",
        "lookups",
        "requests",
        "request_seconds",
        "first_report_seconds",
        "request_lookups",
        "requests_in_flight",
        "inquiries_in_flight",
        "inquiries_in_flight_limit",
        "request_bytes_in_flight",
        "request_bytes_in_flight_limit",
        "requests_refused",
    ],
    "broker_lane_": ["queued", "in_flight", "calls", "limit", "asked", "repeated", "shared", "breaker", "failures"],
    "broker_store_": [
        "records",
        "bytes_used",
        "bytes_limit",
        "pending",
        "healthy",
        "hits",
        "misses",
        "commits",
        "commit_seconds",
        "dropped",
        "damaged",
    ],
}
"""Families of metrics, by how their names begin."""


def test_metrics_count_what_was_asked_and_name_nobody(tmp_path: Path) -> None:
    lookups = sample(30, mix="all")

    async def scenario(opened: Testbed) -> None:
        said = await opened.ask(asking([*lookups, pb.Lookup(ref="bad")]))
        await opened.ask(asking(lookups))
        await opened.refusal(pb.InvestigateRequest())
        text = await opened.metrics_text()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        promised = [begin + rest for begin, names in PROMISED.items() for rest in names]
        assert [name for name in promised if name not in families] == []
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in families.values()
            for sample in family.samples
        }
        assert samples["broker_lookups_total", "valid"] == 60
        assert samples["broker_lookups_total", "invalid"] == 1
        assert samples["broker_requests_total", "OK"] == 2
        assert samples["broker_requests_total", "INVALID_ARGUMENT"] == 1
        assert await opened.metric("broker_inquiries_total") == 2 * (said.summary.inquiries - 1)
        assert await opened.metric("broker_lane_asked_total") == said.summary.inquiries - 1
        assert await opened.metric("broker_request_seconds_count") == 3
        assert not [lookup for lookup in lookups if lookup.number in text or (lookup.name and lookup.name in text)]
        assert "王法官" not in text

    with_testbed(tmp_path, scenario)


def test_connections_age_without_a_failed_call(tmp_path: Path) -> None:
    """Until each of four channels has had several connections; streams go on while their connection ages."""
    lookups = sample(20)

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(lookups))
        aged = asyncio.Event()

        async def keep_asking(number: int) -> None:
            options = [*CLIENT_OPTIONS, ("channel", number)]
            async with grpc.aio.insecure_channel(opened.addresses.grpc, options=options) as channel:
                one = replace(opened, channel=channel)
                while not aged.is_set():
                    assert check_truth(lookups, await one.ask(asking(lookups), seconds=None)) == 80
                    await one.health()

        async def through_the_client() -> None:
            async with Client(opened.addresses.grpc) as client:
                while not aged.is_set():
                    terms = Terms(batch_size=5, retry=False)
                    async with client.investigate(mandate(), map(as_message, lookups), terms) as investigation:
                        assert len([report async for report in investigation]) == 20

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(keep_asking(number))
            group.create_task(through_the_client())
            seen: set[Any] = set()
            while len(seen) < 30:
                seen |= connections(opened.addresses.grpc)
                await asyncio.sleep(0)
            aged.set()

    with_testbed(tmp_path, scenario, server={"max_connection_age": 0.2})


def connections(address: str) -> set[Any]:
    """From where connections to an address of this process come."""
    port = int(address.rpartition(":")[2])
    found = set()
    for each in sockets.find_sockets(port):
        with suppress(OSError):
            found.add(each.getpeername())
    return found


def test_a_stream_outlives_its_connections_age(tmp_path: Path) -> None:
    """It takes ten times as long."""
    lookups = sample(20)

    async def scenario(opened: Testbed) -> None:
        await opened.faults(latency={"distribution": "fixed", "seconds": 1.0})
        assert check_truth(lookups, await opened.ask(asking(lookups))) == 80

    with_testbed(tmp_path, scenario, server={"max_connection_age": 0.1})


def test_a_caller_may_probe_a_silent_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, gRPC closes a connection on which a third probe comes in within five minutes, with its calls."""
    monkeypatch.setattr(connection_limits, "_PING_INTERVAL", 0)

    async def scenario(opened: Testbed) -> None:
        reader, writer = await asyncio.open_connection(*opened.addresses.grpc.split(":"))
        await opened.faults(hang=1)
        call = http2.frame(http2.Kind.HEADERS, http2.END_HEADERS, 1, http2.call_headers())
        request = http2.message(asking(sample(1)).SerializeToString())
        writer.write(http2.opening() + call + http2.frame(http2.Kind.DATA, http2.END_STREAM, 1, request))
        received = http2.FrameReader()
        for number in range(10):
            probe = bytes([number] * 8)
            writer.write(http2.frame(http2.Kind.PING, payload=probe))
            acknowledged = (http2.Kind.PING, http2.ACK, 0, probe)
            while part := await reader.read(65_536):
                if acknowledged in list(received.feed(part)):
                    break
            assert part, "the connection is closed"
        writer.close()

    with_testbed(tmp_path, scenario)


def test_stopping_finishes_what_is_in_flight_and_serves_callers_until_they_have_left(tmp_path: Path) -> None:
    lookups, known = sample(100), sample(5, rng_seed=2)

    async def scenario(opened: Testbed) -> None:
        await opened.ask(asking(known))
        await opened.faults(latency={"distribution": "fixed", "seconds": 0.8})
        in_flight = asyncio.create_task(opened.ask(asking(lookups)))
        await opened.stats_reach("calls", 8)
        opened.stop.set()
        while await healthz(opened) != 503:
            pass
        host, _, port = opened.addresses.grpc.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await keep_asking(opened, known)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "Connection refused" in str(refused.value.details()), "the call never began"
        assert check_truth(lookups, await in_flight) == 400
        await opened.broker

    with_testbed(tmp_path, scenario)


def test_a_worker_that_stops_serves_who_is_connected_and_ends_when_they_have_left(tmp_path: Path) -> None:
    """Connections do not age here: what ends the wait is that the only one is closed."""
    lookups = sample(5)

    async def scenario(opened: Testbed) -> None:
        async with grpc.aio.insecure_channel(opened.addresses.grpc, options=CLIENT_OPTIONS) as channel:
            connected = replace(opened, channel=channel)
            await connected.ask(asking(lookups))
            opened.stop.set()
            while await connected.health() == health_pb2.HealthCheckResponse.SERVING:
                pass
            for seed in range(2, 12):
                new = sample(5, rng_seed=seed)
                assert check_truth(new, await connected.ask(asking(new))) == 20
            assert not opened.broker.done()
        await opened.broker

    with_testbed(tmp_path, scenario, server={"max_connection_age": 1e6, "grace_period": 1e6})


async def keep_asking(opened: Testbed, lookups: Sequence[Lookup]) -> None:
    """Until a call fails."""
    while True:
        assert check_truth(lookups, await opened.ask(asking(lookups))) == 4 * len(lookups)


async def healthz(opened: Testbed) -> int:
    async with opened.http.get(f"http://{opened.addresses.metrics}/healthz") as response:
        return response.status


def test_stopping_does_not_wait_longer_than_the_grace_period(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(opened: Testbed) -> None:
        await opened.faults(hang=1)
        call = opened.investigate(asking(sample(10)))
        await opened.stats_reach("calls", 4)
        opened.stop.set()
        await opened.broker
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call.read()

    with_testbed(tmp_path, scenario, server={"grace_period": 0.1})
    assert "grace" in caplog.text


@pytest.mark.parametrize("port", ["listen", "metrics"])
def test_a_port_in_use_is_refused_by_its_key(tmp_path: Path, port: str) -> None:
    async def main() -> str:
        nobodys = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
        async with nobodys:
            taken = f"127.0.0.1:{nobodys.sockets[0].getsockname()[1]}"
            with pytest.raises(ConfigError) as error:
                async with open_testbed(tmp_path, server={port: taken}):
                    pass
        return str(error.value)

    message = run(main)
    assert message.startswith(f"server.{port}: ")
