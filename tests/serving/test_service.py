"""The service around a request: what a refusal costs, and what the log and the caller are told of a failure."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc
from prometheus_client import CollectorRegistry

from broker.config import ServerConfig
from broker.core.control.admission import Admission
from broker.core.subjects.request_id import loggable
from broker.institutions.stub import OBSERVED_AT
from broker.metrics.requests import RequestMetrics
from broker.model import Priority
from broker.serving import contract, lookups
from broker.serving.service import InvestigationService
from broker.store.memory import MemoryStore
from tests.serving.parts import ACCOUNTS, Call, message, open_pipeline, roomy

MAX_LOOKUPS = 2_500
BODY = message(ACCOUNTS).SerializeToString()


class Read:
    """Counts how often something is read, and reads it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests = self.lookups = 0
        read_request, read_lookups = contract.read_request, lookups.read_lookups

        def counted_request(*args: object, **options: object) -> object:
            self.requests += 1
            return read_request(*args, **options)  # type: ignore[arg-type]

        def counted_lookups(*args: object, **options: object) -> object:
            self.lookups += 1
            return read_lookups(*args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(contract, "read_request", counted_request)
        monkeypatch.setattr(lookups, "read_lookups", counted_lookups)


def answer(body: bytes, admission: Admission | None = None, *, call: Call | None = None, **parts: Any) -> Call:
    """The end of a call."""
    ended = call or Call()
    config = ServerConfig(max_lookups=MAX_LOOKUPS, min_read_rate=1e12, max_read_lag=0.01)

    async def main() -> None:
        async with open_pipeline(admission=admission, **parts) as pipeline:
            await InvestigationService(pipeline, config, pipeline.meter).investigate(body, ended)

    asyncio.run(main())
    return ended


def full_of_inquiries(admission: Admission, stack: ExitStack) -> None:
    for _ in range(2):  # one request counts for 80 % at most
        stack.enter_context(admission.enter(1)).take_inquiries(5_000, Priority.INTERACTIVE)


def full_of_bytes(admission: Admission, stack: ExitStack) -> None:
    for _ in range(2):
        stack.enter_context(admission.enter(500_000))


def draining(admission: Admission, _: ExitStack) -> None:
    admission.draining = True


def nearly_full(admission: Admission, stack: ExitStack) -> None:
    stack.enter_context(admission.enter(1)).take_inquiries(7_501, Priority.INTERACTIVE)


def idle(_: Admission, __: ExitStack) -> None:
    pass


BUSY, GONE, WRONG = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INVALID_ARGUMENT,
)
TOO_MANY = message([*ACCOUNTS, "6222"]).SerializeToString()


@pytest.mark.parametrize(
    ("state", "body", "code", "requests_read"),
    [
        (full_of_inquiries, BODY, BUSY, 0),
        (full_of_bytes, BODY, BUSY, 0),
        (draining, BODY, GONE, 0),
        (nearly_full, BODY, BUSY, 1),
        (idle, TOO_MANY, WRONG, 1),
        (idle, b"\xff", WRONG, 1),
    ],
)
def test_no_more_is_read_than_it_takes_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
    state: Callable[[Admission, ExitStack], None],
    body: bytes,
    code: grpc.StatusCode,
    requests_read: int,
) -> None:
    read, admission = Read(monkeypatch), roomy()
    with ExitStack() as stack:
        state(admission, stack)
        call = answer(body, admission)
    assert call.code is code
    assert (read.requests, read.lookups) == (requests_read, 0)


def test_who_is_not_refused_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above could not fail."""
    read = Read(monkeypatch)
    assert answer(BODY, roomy()).code is grpc.StatusCode.OK
    assert (read.requests, read.lookups) == (1, 3)


def test_lookups_are_counted_without_an_object_for_each() -> None:
    contract.read_request(BODY, max_lookups=MAX_LOOKUPS)  # what is made once
    before = sys.getallocatedblocks()
    request, encoded = contract.read_request(BODY, max_lookups=MAX_LOOKUPS)
    made = sys.getallocatedblocks() - before
    assert (len(encoded), made < len(encoded) / 10) == (MAX_LOOKUPS, True)
    assert request.request_id


def test_lookups_come_as_they_were_sent() -> None:
    _, encoded = contract.read_request(BODY, max_lookups=MAX_LOOKUPS)
    assert list(encoded) == [lookup.SerializeToString() for lookup in message(ACCOUNTS).lookups]
    assert encoded[10:20] == list(encoded)[10:20]


# --- what is told of a failure ----------------------------------------------------------------------------------------


class Broken(MemoryStore):
    """A store that fails with a subject's number in its error."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        raise ValueError(ACCOUNTS[0], keys)


class Unread(Call):
    """A call whose reader takes nothing."""

    async def write(self, body: bytes) -> None:
        await asyncio.Event().wait()
        self.messages.append(body)


REQUEST_IDS = {
    "court-7/2026": "court-7/2026",
    "11010519491231002X": loggable("11010519491231002X"),
    "张三": loggable("张三"),
    "x\nERROR forged": loggable("x\nERROR forged"),
}


@pytest.mark.parametrize("request_id", REQUEST_IDS)
def test_log_and_caller_are_told_which_request_failed(caplog: pytest.LogCaptureFixture, request_id: str) -> None:
    body = message(ACCOUNTS[:3], request_id=request_id).SerializeToString()
    shown = REQUEST_IDS[request_id]

    failed = answer(body, store=Broken(lambda: OBSERVED_AT))
    assert failed.code is grpc.StatusCode.INTERNAL
    assert failed.details == f"the broker failed; its log has an error for request {shown}"

    slow = answer(body, call=Unread())
    assert slow.code is grpc.StatusCode.DEADLINE_EXCEEDED

    internal, too_slow = (record.getMessage() for record in caplog.records)
    assert internal.startswith(f"request {shown}: internal error: ValueError at ")
    assert too_slow.startswith(f"request {shown}: the stream was read more slowly than ")
    logged = caplog.text
    assert (request_id in logged) is (request_id == shown)
    assert ACCOUNTS[0] not in logged


def test_a_request_without_an_id_gets_one_that_log_and_caller_are_told(caplog: pytest.LogCaptureFixture) -> None:
    failed = answer(message(ACCOUNTS[:3]).SerializeToString(), store=Broken(lambda: OBSERVED_AT))
    (record,) = caplog.records
    given = record.getMessage().split()[1].rstrip(":")
    assert len(given) == 32
    assert failed.details.endswith(given)


def test_a_failure_before_the_request_is_read_is_told_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr(contract, "read_request", fail)
    assert answer(BODY).code is grpc.StatusCode.INTERNAL
    (record,) = caplog.records
    assert record.getMessage().startswith("a request that was not read: internal error: ValueError at ")


class Reset(Call):
    """A call whose connection was reset, which gRPC says by the failure of what it was told to send."""

    def __init__(self, error: Exception, *, knows: bool) -> None:
        super().__init__()
        self._error = error
        self._knows = knows

    def cancelled(self) -> bool:
        """Whether gRPC has taken note of that already."""
        return self._knows

    async def write(self, _: bytes) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "knows"),
    [(cygrpc.ExecuteBatchError("reset"), False), (cygrpc.ExecuteBatchError("reset"), True), (KeyError(), True)],
)
def test_a_caller_whose_connection_was_reset_has_gone(
    caplog: pytest.LogCaptureFixture, error: Exception, knows: bool
) -> None:
    call, registry = Reset(error, knows=knows), CollectorRegistry()

    async def main() -> None:
        async with open_pipeline() as pipeline:
            await InvestigationService(pipeline, ServerConfig(), RequestMetrics(registry)).investigate(BODY, call)

    with pytest.raises(asyncio.CancelledError):  # nothing is left to be sent
        asyncio.run(main())
    assert call.code is grpc.StatusCode.OK  # it was told none
    assert not caplog.records
    assert registry.get_sample_value("broker_requests_total", {"status": "CANCELLED"}) == 1
