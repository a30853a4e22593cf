"""The users of the load test: courts that send batches and read each stream to its end.

    from loadtest.users import CourtUser      # in a locustfile of your own

Importing this module adds the options of `loadtest.options` to Locust's command line.
"""

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import grpc
import grpc.experimental.gevent
from locust import User, between, constant_throughput, events, task
from locust.runners import LocalRunner, WorkerRunner

from broker.v1 import investigation_pb2 as pb
from loadtest.court import CODES, Court
from loadtest.options import add_options, credentials_of, people_of, thresholds_of, truth_of
from loadtest.outcome import FACTS
from loadtest.people import People
from loadtest.statistics import Statistics
from loadtest.truth import Baseline, Truth
from mock_institutions.population import Lookup

# gRPC's own threads would block Locust's greenlets; this must come before the first channel.
grpc.experimental.gevent.init_gevent()

_events: Any = events  # untyped
_events.init_command_line_parser.add_listener(add_options)
_codes = itertools.cycle(CODES)
_channels = itertools.count()


class Run:
    """What the users of one process share."""

    def __init__(self, environment: Any) -> None:
        options = environment.parsed_options
        self.statistics = Statistics(environment)
        self.options = options
        self.record = Baseline.new() if options.record else None
        self._environment = environment

    @cached_property
    def truth(self) -> Truth:
        """Made when the first user needs it: the process of a master has no users."""
        return truth_of(self.options)

    @cached_property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """Those of all users of this process: a gateway's. None: plain text."""
        given = credentials_of(self.options)
        return given.channel_credentials() if given else None

    @cached_property
    def people(self) -> People:
        """Whom the users of this process ask about."""
        return people_of(self.options, getattr(self._environment.runner, "worker_index", 0))

    def check(self, lookup: Lookup, answer: pb.Answer) -> bool | None:
        """Whether an answer is right, as `loadtest.outcome.Check`. Learns it, if a baseline is recorded."""
        if self.record is not None:
            self.record.learn(lookup, answer)
        return self.truth.check(lookup, answer)

    def finish(self) -> None:
        """Prints the result, and sets the exit code: 1 if a threshold was exceeded."""
        statistics = self.statistics
        exceeded = thresholds_of(self.options).exceeded_by(statistics.last_reports())
        outcomes: dict[str, dict[str, int]] = {}
        for (institution, outcome), count in sorted(statistics.answers.items()):
            outcomes.setdefault(institution, {})[outcome] = count
        result = {
            "passed": not exceeded,
            "exceeded": exceeded,
            "first_report_ms": {kind: asdict(one) for kind, one in statistics.first_reports().items()},
            "last_report_ms": {kind: asdict(one) for kind, one in statistics.last_reports().items()},
            "answers": outcomes,
            "answers_checked": statistics.checked,
        }
        if self.options.result:
            Path(self.options.result).write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
        if self.record is not None:
            self.record.write(Path(self.options.record))
        self._environment.process_exit_code = 1 if exceeded else 0


def _begin(environment: Any, runner: Any, **_: Any) -> None:
    if runner is None or environment.parsed_options is None:
        return
    if environment.parsed_options.record and not isinstance(runner, LocalRunner):
        msg = "--record needs a run in one process"
        raise SystemExit(msg)
    environment.load_test = Run(environment)


def _finish(environment: Any, **_: Any) -> None:
    run = getattr(environment, "load_test", None)
    if run and not isinstance(environment.runner, WorkerRunner):
        run.finish()


_events.init.add_listener(_begin)
_events.quitting.add_listener(_finish)


class CourtUser(User):
    """A court system: mostly single lookups by an officer, sometimes a batch."""

    _options: ClassVar = [("grpc.max_receive_message_length", -1)]

    def wait_time(self) -> float:
        """Seconds until the next request."""
        rate = self._run.options.user_rate
        wait = constant_throughput(rate) if rate else between(0.1, 0.5)
        return float(wait(self))

    def on_start(self) -> None:
        """Connects, over a channel and connection of its own."""
        self._run: Run = self.environment.load_test
        options = self._run.options
        address = (self.host or "").removeprefix("http://").removeprefix("grpc://")
        arguments = [*self._options, ("loadtest.user", next(_channels))]
        credentials = self._run.credentials
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options=arguments)
        else:
            self._channel = grpc.secure_channel(address, credentials, options=arguments)
        self._court = Court(
            self._channel,
            code=next(_codes),
            check=self._run.check,
            timeout=options.request_timeout,
            allowed=FACTS | set(options.allow),
        )

    @property
    def people(self) -> People:
        """Whom this process asks about."""
        return self._run.people

    def on_stop(self) -> None:
        """Disconnects."""
        self._channel.close()

    @task(6)
    def one_known_person(self) -> None:
        """An officer looks up a person who has been looked up before."""
        self.ask("1 known", self.people.known(1))

    @task(3)
    def one_new_person(self) -> None:
        """An officer looks up the debtor of a new case."""
        self.ask("1 new", self.people.new(1))

    @task(1)
    def mixed_batch(self) -> None:
        """A batch of the day's cases: half of the debtors have been looked up before."""
        self.ask("200 mixed", self.people.known(100) + self.people.new(100))

    def ask(self, kind: str, lookups: Sequence[Lookup]) -> None:
        """Sends one request, and records what it came to under this kind."""
        lookups = [lookup._replace(ref=str(index)) for index, lookup in enumerate(lookups)]  # one may be drawn twice
        began = time.perf_counter()
        try:
            timing, verdict = self._court.ask(lookups)
        except Exception as error:  # noqa: BLE001 - Locust counts it
            self._run.statistics.failed(kind, time.perf_counter() - began, error)
        else:
            self._run.statistics.answered(kind, timing, verdict)
