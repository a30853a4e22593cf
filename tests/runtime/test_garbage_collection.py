"""All objects are collected while nobody waits, and under load only when there could be much garbage."""

import asyncio
import gc

import pytest

from broker.runtime import garbage_collection
from broker.runtime.garbage_collection import CollectionSchedule, Decision


@pytest.mark.parametrize(
    ("young", "is_idle", "now", "decision"),
    [
        (0, True, 10.0, Decision.NOTHING),
        (1, True, 10.0, Decision.COLLECT),
        (1, False, 10.0, Decision.NOTHING),
        (99, False, 10.0, Decision.NOTHING),
        (100, False, 10.0, Decision.COLLECT),
        (0, True, 3600.0, Decision.NOTHING),
        (1, True, 3600.0, Decision.COLLECT_EVERYTHING),
        (100, False, 3600.0, Decision.COLLECT),
    ],
)
def test_when_all_objects_are_collected(young: int, is_idle: bool, now: float, decision: Decision) -> None:
    assert CollectionSchedule(0.0).decide(young, is_idle=is_idle, now=now) is decision


def test_everything_is_looked_at_once_an_hour() -> None:
    schedule = CollectionSchedule(0.0)
    decisions = [schedule.decide(1, is_idle=True, now=now) for now in (3599.0, 3600.0, 3601.0, 7199.0, 7200.0)]
    everything = Decision.COLLECT_EVERYTHING
    assert [decision is everything for decision in decisions] == [False, True, False, False, True]


def test_a_cycle_is_collected_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_collection, "_CHECK_INTERVAL", 0.0)
    thresholds = gc.get_threshold()
    busy, collected = [True] * 5, list[int]()

    def on_collection(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            collected.append(len(busy))

    async def main() -> None:
        collecting = asyncio.create_task(garbage_collection.collect_forever(lambda: not (busy and busy.pop())))
        while not collected:
            gc.collect(1)
            await asyncio.sleep(0)
        collecting.cancel()

    try:
        gc.set_threshold(10**9)
        gc.callbacks.append(on_collection)
        asyncio.run(main())
    finally:
        gc.callbacks.remove(on_collection)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    assert collected[0] == 0, "not while somebody waits"
