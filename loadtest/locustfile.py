"""The load test's Locust file.

    locust -f loadtest/locustfile.py --host 127.0.0.1:50051

Every user is a court of one of the four levels that sends batches and reads each stream to its end. Each request is
recorded twice in Locust's statistics, as *first report* and *last report*, since an average over a stream means
nothing. A wrong answer is a failure. BROKER_SEED is the mocks' seed (default: 1).
"""

import itertools
import os
import random
from collections.abc import Sequence
from typing import Any, ClassVar

import grpc
import grpc.experimental.gevent
from locust import User, between, events, task

from loadtest.court import CODES, Court, DebtorSampler, Timing
from mock_institutions.population import Lookup

# gRPC's own threads would block Locust's greenlets; this must come before the first channel.
grpc.experimental.gevent.init_gevent()

SEED = int(os.environ.get("BROKER_SEED", "1"))
_fire: Any = events.request.fire  # untyped
_codes = itertools.cycle(CODES)
_seeds = itertools.count(SEED)


class CourtUser(User):
    """A court system: mostly single lookups by an officer, sometimes a batch."""

    wait_time = between(0.1, 0.5)
    _options: ClassVar = [("grpc.max_receive_message_length", -1)]

    def on_start(self) -> None:
        """Connects, over a channel and connection of its own."""
        seed = next(_seeds)
        self._channel = grpc.insecure_channel(self.host, options=[*self._options, ("loadtest.user", seed)])
        self._court = Court(self._channel, code=next(_codes), seed=SEED)
        self._subjects = DebtorSampler(SEED, known=2000, draw=random.Random(seed))

    def on_stop(self) -> None:
        """Disconnects."""
        self._channel.close()

    @task(6)
    def one_known_person(self) -> None:
        """An officer looks up a person who has been looked up before."""
        self._ask("1 known", self._subjects.known(1))

    @task(3)
    def one_new_person(self) -> None:
        """An officer looks up the debtor of a new case."""
        self._ask("1 new", self._subjects.new(1))

    @task(1)
    def mixed_batch(self) -> None:
        """A batch of the day's cases: half of the debtors have been looked up before."""
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
