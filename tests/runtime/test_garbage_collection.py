"""All objects are collected while nobody waits, and under load only when there could be much garbage."""

import asyncio
import gc
import math

import pytest

from broker.runtime import garbage_collection
from broker.runtime.garbage_collection import CollectionChoice, CollectionSchedule


@pytest.mark.parametrize(
    ("objects", "is_idle", "in_flight", "now", "decision"),
    [
        (19_999, True, 0, 10.0, CollectionChoice.NOTHING),
        (20_000, True, 0, 10.0, CollectionChoice.COLLECT),
        (20_000, False, 0, 10.0, CollectionChoice.NOTHING),
        (999_999, False, 0, 10.0, CollectionChoice.NOTHING),
        (1_000_000, False, 0, 10.0, CollectionChoice.COLLECT),
        (1_000_000, False, 1, 10.0, CollectionChoice.NOTHING),
        (1_799_999, False, 100_000, 10.0, CollectionChoice.NOTHING),
        (1_800_000, False, 100_000, 10.0, CollectionChoice.COLLECT),
        (19_999, True, 0, 3600.0, CollectionChoice.NOTHING),
        (20_000, True, 0, 3600.0, CollectionChoice.COLLECT_EVERYTHING),
        (1_000_000, False, 0, 3600.0, CollectionChoice.COLLECT),
    ],
)
def test_when_all_objects_are_collected(
    objects: int, is_idle: bool, in_flight: int, now: float, decision: CollectionChoice
) -> None:
    assert CollectionSchedule(0.0).decide(objects, is_idle=is_idle, in_flight=in_flight, now=now) is decision


def test_python_itself_collects_nothing() -> None:
    try:
        garbage_collection.begin()
        assert not gc.isenabled()
        before, _, _ = gc.get_count()
        made: list[list[int]] = [[] for _ in range(10_000)]
        after, _, _ = gc.get_count()
        assert after - before >= len(made), "it counts all the same"
    finally:
        gc.enable()
        gc.unfreeze()


def test_everything_is_looked_at_once_an_hour() -> None:
    schedule = CollectionSchedule(0.0)
    moments = (3599.0, 3600.0, 3601.0, 7199.0, 7200.0)
    decisions = [schedule.decide(20_000, is_idle=True, in_flight=0, now=now) for now in moments]
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
        collecting = asyncio.create_task(
            garbage_collection.collect_forever(lambda: not (busy and busy.pop()), in_flight=lambda: 0)
        )
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
