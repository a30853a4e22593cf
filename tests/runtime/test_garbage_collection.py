"""All objects are collected while nobody waits, and under load only when there could be much garbage."""

import asyncio
import gc
import math

import pytest

from broker.runtime import garbage_collection
from broker.runtime.garbage_collection import CollectionChoice, CollectionSchedule, uncollected


@pytest.mark.parametrize(
    ("objects", "is_idle", "now", "decision"),
    [
        (19_999, True, 10.0, CollectionChoice.NOTHING),
        (20_000, True, 10.0, CollectionChoice.COLLECT),
        (20_000, False, 10.0, CollectionChoice.NOTHING),
        (9_999_999, False, 10.0, CollectionChoice.NOTHING),
        (10_000_000, False, 10.0, CollectionChoice.COLLECT),
        (19_999, True, 3600.0, CollectionChoice.NOTHING),
        (20_000, True, 3600.0, CollectionChoice.COLLECT_EVERYTHING),
        (10_000_000, False, 3600.0, CollectionChoice.COLLECT),
    ],
)
def test_when_all_objects_are_collected(objects: int, is_idle: bool, now: float, decision: CollectionChoice) -> None:
    assert CollectionSchedule(0.0).decide(objects, is_idle=is_idle, now=now) is decision


@pytest.mark.parametrize(
    ("counts", "objects"),
    [((7, 0, 0), 7), ((7, 1, 0), 500_007), ((7, 4, 0), 2_000_007), ((7, 0, 1), 2_500_007), ((0, 2, 3), 8_500_000)],
)
def test_how_many_objects_may_be_garbage(counts: tuple[int, int, int], objects: int) -> None:
    assert uncollected(counts) == objects


def test_everything_is_looked_at_once_an_hour() -> None:
    schedule = CollectionSchedule(0.0)
    decisions = [schedule.decide(20_000, is_idle=True, now=now) for now in (3599.0, 3600.0, 3601.0, 7199.0, 7200.0)]
    everything = CollectionChoice.COLLECT_EVERYTHING
    assert [decision is everything for decision in decisions] == [False, True, False, False, True]


def test_a_cycle_is_collected_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage_collection, "_CHECK_INTERVAL", 0.0)
    monkeypatch.setattr(garbage_collection, "_WHEN_IDLE", 0)
    monkeypatch.setattr(garbage_collection, "_UNDER_LOAD", math.inf)
    thresholds = gc.get_threshold()
    busy, collected = [True] * 5, list[int]()

    async def main() -> None:
        done = asyncio.Event()

        def on_collection(phase: str, info: dict[str, int]) -> None:
            if phase == "stop" and info["generation"] == 2:
                collected.append(len(busy))
                done.set()

        gc.callbacks.append(on_collection)
        collecting = asyncio.create_task(garbage_collection.collect_forever(lambda: not (busy and busy.pop())))
        await done.wait()
        collecting.cancel()
        gc.callbacks.remove(on_collection)

    try:
        gc.set_threshold(10**9)
        asyncio.run(main())
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    assert collected == [0], "not while somebody waits"
