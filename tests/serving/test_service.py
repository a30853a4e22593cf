"""What refusing a request costs: no more is read of it than it takes to know that it is refused."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack

import grpc
import pytest

from broker.config import ServerConfig
from broker.core.control.admission import Admission
from broker.model import Priority
from broker.serving import contract, lookups
from broker.serving.service import InvestigationService
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


def answer(body: bytes, admission: Admission) -> Call:
    """The end of a call."""
    call = Call()

    async def main() -> None:
        async with open_pipeline(admission=admission) as pipeline:
            service = InvestigationService(pipeline, ServerConfig(max_lookups=MAX_LOOKUPS), pipeline.meter)
            await service.investigate(body, call)

    asyncio.run(main())
    return call


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
