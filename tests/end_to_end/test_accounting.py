"""Metrics count what courts were told: all of it, and nothing else, whatever became of the stream."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families

from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.testbed import FOUND, NATIONAL, NOT_FOUND, Reports, Testbed, asking, sample, with_testbed

INCREMENTAL = pb.DELIVERY_INCREMENTAL
HANGS = "mock-bank"


async def counted(opened: Testbed) -> Counter[str]:
    """Answers counted, by institution, once nothing is in flight any more."""
    await opened.is_idle()
    families = text_string_to_metric_families(await opened.metrics_text())
    by_institution: Counter[str] = Counter()
    for family in families:
        for one in family.samples:
            if one.name == "broker_inquiries_total" and one.value:
                by_institution[one.labels["institution"]] += int(one.value)
    return by_institution


async def take(call: Any, until: int) -> Reports:
    """Reads a stream until so many answers have come."""
    said = Reports()
    async for response in call:
        said.reports += response.reports
        if sum(len(report.answers) for report in said.reports) >= until:
            break
    return said


async def read_until_it_breaks(call: Any) -> Reports:
    said = Reports()
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for response in call:
            said.reports += response.reports
    assert not said.summary.lookups, "it was to break"
    return said


def told(said: Reports) -> Counter[str]:
    return Counter(answer.institution_id for report in said.reports for answer in report.answers)


def test_increments_told_before_the_caller_left_are_counted(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        await opened.faults(HANGS, hang=1)
        call = opened.investigate(asking(sample(3), delivery=INCREMENTAL))
        said = await take(call, until=9)
        call.cancel()
        assert told(said) == dict.fromkeys(set(NATIONAL) - {HANGS}, 3)
        assert await counted(opened) == told(said)
        assert await opened.metric("broker_lookups_total") == 0, "no lookup has had its final report"

    with_testbed(tmp_path, scenario)


def test_answers_that_were_in_and_not_told_are_not_counted(tmp_path: Path) -> None:
    """With complete delivery, nothing is said about a lookup before its last institution has answered."""

    async def scenario(opened: Testbed) -> None:
        await opened.faults(HANGS, hang=1)
        call = opened.investigate(asking(sample(3)))
        await opened.stats_reach("inquiries", 9)
        while await opened.metric("broker_lane_in_flight") > 3:
            pass
        call.cancel()
        assert await counted(opened) == {}

    with_testbed(tmp_path, scenario)


def test_what_is_told_at_the_deadline_is_counted(tmp_path: Path) -> None:
    async def scenario(opened: Testbed) -> None:
        await opened.faults(HANGS, hang=1)
        said = await opened.ask(asking(sample(3)), seconds=3.0)
        assert await counted(opened) == told(said)
        assert sum(told(said).values()) == 12

    with_testbed(tmp_path, scenario)


def test_a_stream_that_is_not_read_counts_what_was_sent_of_it(tmp_path: Path) -> None:
    """The stall ends it while most of the reports are still waiting to be sent."""
    lookups = sample(2_000)

    async def scenario(opened: Testbed) -> None:
        assert len((await opened.ask(asking(lookups))).reports) == 2_000  # all known from now on
        before = await counted(opened)
        call = opened.investigate(asking(lookups))
        while True:  # until the broker has given it up; nothing is read meanwhile
            if 'status="DEADLINE_EXCEEDED"' in await opened.metrics_text():
                break
        sent = sum((await counted(opened) - before).values())
        said = await read_until_it_breaks(call)
        assert sum(told(said).values()) <= sent < 8_000
        assert said.outcomes().keys() <= {FOUND, NOT_FOUND}

    with_testbed(
        tmp_path,
        scenario,
        server={"min_read_rate": 1e12, "max_read_lag": 0.5},
        grpc_options=[("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0)],
    )
