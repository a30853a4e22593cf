"""The breaker: its rules as tables, then as a state machine that tries every order of events."""

import itertools
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.control.breaker import TRANSITIONS, Breaker, BreakerSpec, BreakerStatistics, Era, State

SPEC = BreakerSpec(window=20, minimum_calls=10, ratio=0.6, cool_down=5.0, longest_cool_down=30.0)


def feed(breaker: Breaker, results: str) -> None:
    """Calls one after the other at moment 0: `x` fails, `.` succeeds, `-` is ignored; those not admitted are left."""
    for result in results:
        if not breaker.admits(0.0):
            return
        era = breaker.start(0.0)
        if result == "x":
            breaker.on_failure(era, 0.0)
        elif result == ".":
            breaker.on_success(era)
        else:
            breaker.on_ignored(era)


def opened() -> Breaker:
    """A breaker that opened at moment 0."""
    breaker = Breaker(SPEC)
    feed(breaker, "x" * 10)
    assert breaker.state is State.OPEN
    return breaker


def fail_probe(breaker: Breaker, now: float) -> None:
    breaker.on_failure(breaker.start(now), now)


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("x" * 9, State.CLOSED),
        ("x" * 9 + "-" * 20, State.CLOSED),
        ("x" * 10, State.OPEN),
        ("....xxxxxx", State.OPEN),
        (".....xxxxx", State.CLOSED),
        ("x" * 9 + ".", State.CLOSED),
        ("x" * 9 + ".x", State.OPEN),
        ("." * 20 + "x" * 11, State.CLOSED),
        ("." * 20 + "x" * 12, State.OPEN),
        ("....x" * 200, State.CLOSED),
        ("x...." * 200, State.CLOSED),
        ("." * 1000 + "xxxx" + "." * 16, State.CLOSED),
    ],
    ids=[
        "too few results",
        "ignored calls are no results",
        "all fail",
        "exactly the ratio",
        "below the ratio",
        "a success never opens",
        "the failure after it does",
        "the window still holds successes",
        "the window has slid",
        "20 % faults",
        "20 % faults, another order",
        "a short incident",
    ],
)
def test_when_it_opens(results: str, state: State) -> None:
    breaker = Breaker(SPEC)
    feed(breaker, results)
    assert breaker.state is state


def test_every_state_can_be_left_and_reached() -> None:
    assert {before for before, _ in TRANSITIONS} == set(State) == set(TRANSITIONS.values())


def test_open_admits_nothing_until_cooled_down() -> None:
    breaker = opened()
    assert [breaker.wait(now) for now in (0.0, 4.0, 5.0, 9.0)] == [5.0, 1.0, 0.0, 0.0]
    assert (breaker.admits(4.999), breaker.state) == (False, State.OPEN)
    assert (breaker.admits(5.0), breaker.state) == (True, State.HALF_OPEN)


def test_asking_does_not_use_up_the_probe_but_starting_does() -> None:
    breaker = opened()
    assert breaker.admits(5.0)
    assert breaker.admits(5.0)
    breaker.start(5.0)
    assert not breaker.admits(1e9)
    assert breaker.wait(1e9) == inf


def test_a_call_that_was_not_admitted_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="open"):
        opened().start(1.0)


def test_a_successful_probe_closes_and_forgets() -> None:
    breaker = opened()
    breaker.on_success(breaker.start(5.0))
    assert breaker.statistics() == BreakerStatistics(State.CLOSED, calls=0, failures=0, opened=1)
    assert breaker.wait(5.0) == 0.0


def test_failed_probes_double_the_cool_down_up_to_its_bound_and_closing_resets_it() -> None:
    breaker, now = opened(), 0.0
    waits = []
    for _ in range(5):
        now += breaker.wait(now)
        fail_probe(breaker, now)
        waits.append(breaker.wait(now))
    assert waits == [10.0, 20.0, 30.0, 30.0, 30.0]
    now += breaker.wait(now)
    breaker.on_success(breaker.start(now))
    feed(breaker, "x" * 10)
    assert breaker.wait(0.0) == 5.0


def test_an_ignored_probe_lets_the_next_call_be_the_probe() -> None:
    breaker = opened()
    breaker.on_ignored(breaker.start(5.0))
    assert (breaker.wait(5.0), breaker.state) == (0.0, State.HALF_OPEN)
    breaker.on_success(breaker.start(5.0))
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("result", ["success", "failure", "ignored"])
@pytest.mark.parametrize("state", [State.OPEN, State.HALF_OPEN, State.CLOSED])
def test_late_results_of_an_earlier_era_change_nothing(state: State, result: str) -> None:
    breaker = Breaker(SPEC)
    late = breaker.start(0.0)
    feed(breaker, "x" * 10)
    if state is not State.OPEN:
        probe = breaker.start(5.0)
        if state is State.CLOSED:
            breaker.on_success(probe)
    before = (breaker.statistics(), breaker.wait(5.0))
    report(breaker, late, result, 5.0)
    assert (breaker.statistics(), breaker.wait(5.0)) == before


def report(breaker: Breaker, era: Era, result: str, now: float) -> None:
    if result == "success":
        breaker.on_success(era)
    elif result == "failure":
        breaker.on_failure(era, now)
    else:
        breaker.on_ignored(era)


class AnyOrder(RuleBasedStateMachine):
    """Calls that start when admitted and end in any order, with any result, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(BreakerSpec(window=4, minimum_calls=2, ratio=0.6, cool_down=5.0, longest_cool_down=30.0))
        self.now = 0.0
        self.running: list[tuple[Era, State]] = []
        self.cools_until = -inf
        self.failed_probes = 0

    @rule(elapsed=st.floats(0, 40))
    def pass_time(self, elapsed: float) -> None:
        self.now += elapsed

    @precondition(lambda self: self.breaker.admits(self.now))
    @rule()
    def start(self) -> None:
        era = self.breaker.start(self.now)
        self.running.append((era, self.breaker.state))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), result=st.sampled_from(["success", "failure", "failure", "ignored"]))
    def end(self, which: int, result: str) -> None:
        before, opened_before = self.breaker.state, self.breaker.statistics().opened
        era, started_in = self.running.pop(which % len(self.running))
        report(self.breaker, era, result, self.now)
        after = self.breaker.state
        if after is not before:
            assert started_in is before, "only a call of this very state may end it"
            assert (before, result, after) in {
                (State.CLOSED, "failure", State.OPEN),
                (State.HALF_OPEN, "success", State.CLOSED),
                (State.HALF_OPEN, "failure", State.OPEN),
            }
        if after is State.CLOSED:
            self.failed_probes = 0
        if self.breaker.statistics().opened > opened_before:
            self.failed_probes += before is State.HALF_OPEN
            self.cools_until = self.now + min(30.0, 5.0 * 2**self.failed_probes)

    @invariant()
    def admits_nothing_while_cooling_down(self) -> None:
        assert self.breaker.admits(self.now) == (self.now >= self.cools_until and not self.probes())

    @invariant()
    def at_most_one_probe(self) -> None:
        assert len(self.probes()) <= 1

    @invariant()
    def wait_agrees_with_admits(self) -> None:
        assert (self.breaker.wait(self.now) == 0) == self.breaker.admits(self.now)

    def probes(self) -> list[Era]:
        """Probes in flight, of the present half-open era."""
        if self.breaker.state is not State.HALF_OPEN:
            return []
        newest = max((era for era, _ in self.running), default=None)
        return [era for era, state in self.running if state is State.HALF_OPEN and era == newest]

    def teardown(self) -> None:
        """Whatever happened, once every call has ended a healthy institution is asked again after one cool-down."""
        for era, _ in self.running:
            self.breaker.on_ignored(era)
        self.now += self.breaker.wait(self.now)
        assert self.breaker.admits(self.now)
        self.breaker.on_success(self.breaker.start(self.now))
        assert self.breaker.state is State.CLOSED


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase


def test_twenty_percent_faults_in_any_order_within_five_calls_never_open_it() -> None:
    """Every arrangement of one fault per five calls, over two windows of it, in all pairs of places."""
    for first, second in itertools.product(range(5), repeat=2):
        blocks = ["".join("x" if i == place else "." for i in range(5)) for place in (first, second)]
        breaker = Breaker(SPEC)
        feed(breaker, "".join(blocks) * 10)
        assert breaker.state is State.CLOSED
