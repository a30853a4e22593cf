"""Locust's side of the load test.

    locust -f loadtest/locustfile.py --host 127.0.0.1:50051

Every user is a court of one of the four levels that sends batches and reads the stream to its end. Each request gives
two lines in Locust's statistics, *first report* and *last report*, because an average over a stream says nothing. A
wrong answer is a failure. BROKER_SEED is the mocks' seed (1 unless given).
"""

import itertools
import os
import random
from collections.abc import Sequence
from typing import Any, ClassVar

import grpc
import grpc.experimental.gevent
from locust import User, between, events, task

from loadtest.court import CODES, Court, Subjects, Timing
from mock_institutions.population import Lookup

# gRPC's own threads would block Locust's greenlets; this must come before the first channel.
grpc.experimental.gevent.init_gevent()

SEED = int(os.environ.get("BROKER_SEED", "1"))
_fire: Any = events.request.fire  # which has no types
_codes = itertools.cycle(CODES)
_seeds = itertools.count(SEED)


class CourtUser(User):
    """A court's system: mostly one officer at a screen, sometimes a night's work."""

    wait_time = between(0.1, 0.5)
    _options: ClassVar = [("grpc.max_receive_message_length", -1)]

    def on_start(self) -> None:
        """Connects. Each user has a channel, and so a connection, of its own."""
        seed = next(_seeds)
        self._channel = grpc.insecure_channel(self.host, options=[*self._options, ("loadtest.user", seed)])
        self._court = Court(self._channel, code=next(_codes), seed=SEED)
        self._subjects = Subjects(SEED, known=2000, draw=random.Random(seed))

    def on_stop(self) -> None:
        """Disconnects."""
        self._channel.close()

    @task(6)
    def one_known_person(self) -> None:
        """An officer looks somebody up again."""
        self._ask("1 known", self._subjects.known(1))

    @task(3)
    def one_new_person(self) -> None:
        """An officer opens a new case."""
        self._ask("1 new", self._subjects.new(1))

    @task(1)
    def mixed_batch(self) -> None:
        """The day's cases: half of the debtors are known from other cases."""
        self._ask("200 mixed", self._subjects.known(100) + self._subjects.new(100))

    def _ask(self, name: str, lookups: Sequence[Lookup]) -> None:
        try:
            timing = self._court.ask(lookups)
        except Exception as error:  # noqa: BLE001 - Locust counts it
            _record(f"{name}: last report", Timing(0.0, 0.0, 0, 0), 0.0, error)
            return
        _record(f"{name}: first report", timing, timing.first, None)
        _record(f"{name}: last report", timing, timing.last, None)


def _record(name: str, timing: Timing, seconds: float, error: Any) -> None:
    _fire(
        request_type="stream",
        name=name,
        response_time=seconds * 1000,
        response_length=timing.size,
        exception=error,
        context={},
    )
