"""An in-process institution for tests. Its behaviour is configurable, and it records every question.

A *behaviour* is an asynchronous function from a `Question` to a `Reply`. Behaviours can be combined:

    StubInstitution(spec)                                                      finds nothing
    StubInstitution(spec, holds({"京A12345": [asset]}))                        finds these assets
    StubInstitution(spec, slow(0.2, holds({})))                                answers after 0.2 s
    StubInstitution(spec, script(fails(UnreachableError("down")), holds({})))  fails once, then answers

Durations are in seconds of trio's clock, so that tests can use virtual time.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import trio

from broker.core.wire import encoding
from broker.model import InstitutionSpec, Kind, Outcome, Problem, Question, Reply, Subject
from broker.v1 import asset_pb2, investigation_pb2

Behaviour = Callable[[Question], Awaitable[Reply]]
"""What an institution does when it is asked. Raises `InstitutionError` if it does not reply."""

OBSERVED_AT = 1_750_000_000
"""The default time of observation: a fixed time in 2025, so that replies are reproducible."""

_MISSING = Problem("NO_ANSWER", "", "the stub is configured to leave out this inquiry")
_REFUSED = Problem("REFUSED_BY_STUB", "", "the stub is configured to refuse this inquiry")


_SPEC = InstitutionSpec(
    id="stub",
    name="Stub",
    kind=Kind.BANK,
    region=None,
    dialect="stub",
    url="stub:",
    batch_size=100,
    concurrency=4,
    rate=1e6,
    timeout=5.0,
    found_ttl=3600.0,
    not_found_ttl=900.0,
)


def stub_spec(institution_id: str = "stub", **changes: Any) -> InstitutionSpec:
    """A spec with generous limits; `changes` are fields of `InstitutionSpec`."""
    return replace(_SPEC, id=institution_id, **changes)


def content(outcome: Outcome, assets: Iterable[asset_pb2.Asset] = (), *, observed_at: int = OBSERVED_AT) -> bytes:
    """One encoded item of a reply, with a problem if the outcome requires one."""
    if outcome is Outcome.UNAVAILABLE:
        return encoding.content(outcome, problem=_MISSING)
    problem = _REFUSED if outcome in (Outcome.REFUSED, Outcome.INVALID) else None
    head = encoding.content(outcome, observed_at=observed_at, problem=problem)
    return head + investigation_pb2.Answer(assets=assets).SerializeToString()


def says(outcome_of: Callable[[Subject], Outcome], *, observed_at: int = OBSERVED_AT) -> Behaviour:
    """Replies with an outcome for each subject, without assets. UNAVAILABLE stands for an item that is left out."""

    async def behave(question: Question) -> Reply:
        outcomes = [outcome_of(subject) for subject in question.subjects]
        missing = [item for item, outcome in enumerate(outcomes) if outcome is Outcome.UNAVAILABLE]
        return Reply(
            outcomes=bytes(outcomes),
            contents=[content(outcome, observed_at=observed_at) for outcome in outcomes],
            observed_at=[observed_at] * len(outcomes),
            missing=missing,
            unusable=len(missing),
        )

    return behave


def holds(assets: Mapping[str, Iterable[asset_pb2.Asset]], *, observed_at: int = OBSERVED_AT) -> Behaviour:
    """Finds these assets, by the subject's number, and nothing about other subjects."""
    nothing = content(Outcome.NOT_FOUND, observed_at=observed_at)
    held = {number: content(Outcome.FOUND, owned, observed_at=observed_at) for number, owned in assets.items()}

    async def behave(question: Question) -> Reply:
        numbers = [subject.number for subject in question.subjects]
        return Reply(
            outcomes=bytes([Outcome.FOUND if number in held else Outcome.NOT_FOUND for number in numbers]),
            contents=[held.get(number, nothing) for number in numbers],
            observed_at=[observed_at] * len(numbers),
        )

    return behave


def fails(error: Exception) -> Behaviour:
    """Raises the error."""

    async def behave(_: Question) -> NoReturn:
        raise error

    return behave


def slow(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Behaves the same after a delay. With `inf` it never replies."""

    async def behave(question: Question) -> Reply:
        await trio.sleep(seconds)
        return await behaviour(question)

    return behave


def script(*behaviours: Behaviour) -> Behaviour:
    """Uses one behaviour per call, in order, and the last one for all further calls."""
    coming = list(reversed(behaviours))

    async def behave(question: Question) -> Reply:
        behaviour = coming.pop() if len(coming) > 1 else coming[0]
        return await behaviour(question)

    return behave


class StubInstitution:
    """An `Institution` with a given behaviour.

    State: the questions it was asked, in order, and the number of calls in progress.
    """

    def __init__(self, spec: InstitutionSpec, behaviour: Behaviour | None = None) -> None:
        """The default behaviour finds nothing. `behaviour` may be replaced at any time."""
        self.spec = spec
        self.behaviour = behaviour or holds({})
        self.questions: list[Question] = []
        self.busy = 0
        """Calls in progress."""
        self.busiest = 0
        """The maximum of `busy` so far."""

    async def ask(self, question: Question) -> Reply:
        """See `Institution`."""
        self.questions.append(question)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await trio.lowlevel.checkpoint()
            return await self.behaviour(question)
        finally:
            self.busy -= 1
