"""How a worker stops, with parts that do nothing but wait and write down when they were closed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from broker.core.control.admission import Admission
from broker.runtime.worker import Worker


class Parts:
    """A gRPC server, its service, and the metrics endpoint. State: what has happened, in order, and what is open."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.callers_left = asyncio.Event()
        self.is_idle = asyncio.Event()
        self.admission = Admission(max_inquiries=1, max_request_bytes=1)

    def worker(self, *, grace_period: float) -> Worker:
        parts: Any = self
        return Worker(
            admission=self.admission,
            service=parts,
            server=parts,
            endpoint=_Endpoint(self.events),  # type: ignore[arg-type]
            peer_service=None,
            grace_period=grace_period,
        )

    async def leave(self) -> None:
        self.events.append("leaves")

    async def wait_left(self) -> None:
        await self.callers_left.wait()
        self.events.append("callers have left")

    async def stop(self, grace_period: float) -> None:
        del grace_period
        self.events.append("refuses" if self.admission.draining else "refuses too early")

    async def wait_idle(self) -> None:
        await self.is_idle.wait()
        self.events.append("idle")

    async def close(self) -> None:
        self.events.append("closed")


class _Endpoint:
    def __init__(self, events: list[str]) -> None:
        self._events = events

    async def close(self) -> None:
        self._events.append("metrics closed")


ENDLESS = 1e6  # s
Scenario = Callable[[Parts, asyncio.Event], Awaitable[None]]


def drain(scenario: Scenario, *, grace_period: float = ENDLESS) -> list[str]:
    """What happens when a worker is drained, once it has begun, beside a scenario."""

    async def main() -> list[str]:
        parts, orphaned = Parts(), asyncio.Event()
        draining = asyncio.create_task(parts.worker(grace_period=grace_period).drain(orphaned))
        await until(parts, "leaves")
        await scenario(parts, orphaned)
        await draining
        return parts.events

    return asyncio.run(main())


async def until(parts: Parts, event: str) -> None:
    while event not in parts.events:  # noqa: ASYNC110 - nothing else waits for it
        await asyncio.sleep(0)


def test_callers_leave_before_anything_is_refused_and_requests_end_before_anything_is_closed() -> None:
    async def scenario(parts: Parts, _: asyncio.Event) -> None:
        parts.callers_left.set()
        await until(parts, "refuses")
        parts.is_idle.set()

    assert drain(scenario) == ["leaves", "callers have left", "refuses", "idle", "closed", "metrics closed"]


def test_the_grace_period_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(parts: Parts, _: asyncio.Event) -> None:
        parts.callers_left.set()

    assert drain(scenario, grace_period=0.0)[-2:] == ["closed", "metrics closed"]
    assert "longer than the grace period" in caplog.text


def test_an_orphan_does_not_wait_for_its_callers_to_leave_and_releases_its_ports_at_once() -> None:
    async def scenario(parts: Parts, orphaned: asyncio.Event) -> None:
        orphaned.set()
        await until(parts, "metrics closed")
        parts.is_idle.set()

    assert drain(scenario)[:4] == ["leaves", "refuses", "metrics closed", "idle"]


def test_one_that_is_orphaned_while_it_stops_releases_its_ports_at_once_too() -> None:
    async def scenario(parts: Parts, orphaned: asyncio.Event) -> None:
        parts.callers_left.set()
        await until(parts, "refuses")
        orphaned.set()
        await until(parts, "metrics closed")
        parts.is_idle.set()

    assert drain(scenario)[:5] == ["leaves", "callers have left", "refuses", "metrics closed", "idle"]


def test_an_orphan_has_little_time_for_what_is_in_flight(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("broker.runtime.worker._ORPHAN_GRACE_PERIOD", 0.0)

    async def scenario(_: Parts, orphaned: asyncio.Event) -> None:
        orphaned.set()

    assert "closed" in drain(scenario)
    assert "longer than the grace period" in caplog.text
