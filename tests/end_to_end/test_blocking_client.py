"""The client for programs without asyncio, against a real broker."""

from collections.abc import Sequence

import pytest

from broker.client import (
    BlockingClient,
    BrokerUnavailableError,
    Mandate,
    Outcome,
    RequestRefusedError,
    SubjectType,
    Terms,
    lookup,
)
from broker.v1 import investigation_pb2 as pb
from tests.end_to_end.conftest import Broker

MANDATE = Mandate(court_code="京0101", officer="张", case_number="（2026）京0101执1号", legal_document="通知书1号")


def asked(people: Sequence[dict[str, str]], times: int = 1) -> list[pb.Lookup]:
    return [
        lookup(f"{line['ref']}-{time}", SubjectType[line["type"]], line["number"], line["name"])
        for time in range(times)
        for line in people
    ]


def test_reports_and_totals(broker: Broker, people: Sequence[dict[str, str]]) -> None:
    with BlockingClient(broker.address) as client:
        with client.investigate(MANDATE, asked(people), Terms(timeout=60)) as investigation:
            reports = list(investigation)
        assert sorted(report.position for report in reports) == list(range(len(people)))
        assert investigation.totals.complete
        assert set(investigation.totals.outcomes) == {Outcome.FOUND, Outcome.NOT_FOUND}
        assert client.health()
        assert "mock-bank" in {one.id for one in client.institutions("京0101")}


def test_several_investigations_of_one_client(broker: Broker, people: Sequence[dict[str, str]]) -> None:
    with BlockingClient(broker.address) as client:
        for _ in range(3):
            assert len(list(client.investigate(MANDATE, asked(people, 5), Terms(timeout=60, batch_size=7)))) == 100


def test_leaving_early_cancels_the_rest(broker: Broker, people: Sequence[dict[str, str]]) -> None:
    with BlockingClient(broker.address) as client:
        investigation = client.investigate(MANDATE, asked(people, 50), Terms(timeout=60, batch_size=5))
        for _ in investigation:
            break
        investigation.close()
        assert investigation.totals.lookups < 1000


def test_errors_are_raised_in_the_callers_thread(broker: Broker, people: Sequence[dict[str, str]]) -> None:
    wrong = Mandate(court_code="沪01", officer="张", case_number="（2026）京0101执1号", legal_document="1号")
    with BlockingClient(broker.address) as client, pytest.raises(RequestRefusedError) as caught:
        list(client.investigate(wrong, asked(people)))
    assert [violation.field for violation in caught.value.violations] == ["mandate.case_number"]
    with BlockingClient("127.0.0.1:1") as client, pytest.raises(BrokerUnavailableError):
        list(client.investigate(MANDATE, asked(people), Terms(retry=False)))
    with pytest.raises(ValueError, match="at least 1"):
        BlockingClient("127.0.0.1:1", channels=0)


def test_closing_twice_is_no_error(broker: Broker) -> None:
    client = BlockingClient(broker.address)
    client.close()
    client.close()
