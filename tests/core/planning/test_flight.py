"""Single flight: the rules of core/flight.py as cases, and as a state machine that tries everything."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, consumes, invariant, multiple, rule

from broker.core.planning.flight import FlightTable
from broker.core.planning.parcel import Parcel
from broker.model import Priority
from tests.fakes import Recorder, key, parcel


def keys(*numbers: int) -> list[bytes]:
    return [key(number) for number in numbers]


def rows(parcels: Sequence[Parcel]) -> list[tuple[Recorder, list[int]]]:
    """Waiter and rows of each parcel."""
    return [(one.waiter, list(one.rows)) for one in parcels if isinstance(one.waiter, Recorder)]


def test_the_first_asker_leads() -> None:
    table = FlightTable()
    first = parcel(Recorder(), [1, 2])
    assert table.join(first) is first, "all fresh: no copy"
    assert len(table) == 2


def test_later_askers_follow_and_ask_only_for_the_rest() -> None:
    table = FlightTable()
    follower = Recorder()
    table.join(parcel(Recorder(), [1, 2]))
    fresh = table.join(parcel(follower, [2, 3]))
    assert fresh is not None
    assert rows([fresh]) == [(follower, [3])]
    assert table.join(parcel(Recorder(), [1, 3])) is None
    assert len(table) == 3


def test_settling_names_every_follower_once() -> None:
    table = FlightTable()
    table.join(parcel(Recorder(), [1, 2]))
    one, other = parcel(Recorder(), [2]), parcel(Recorder(), [1, 2])
    table.join(one)
    table.join(other)
    assert table.settle(keys(1, 2)) == [(0, [(other, 0)]), (1, [(one, 0), (other, 1)])]
    assert len(table) == 0
    assert table.settle(keys(1, 2)) == []


def test_after_settling_the_next_asker_leads_again() -> None:
    table = FlightTable()
    table.join(parcel(Recorder(), [1]))
    table.settle(keys(1))
    again = parcel(Recorder(), [1])
    assert table.join(again) is again


def test_releasing_what_nobody_follows_ends_it() -> None:
    table = FlightTable()
    table.join(parcel(Recorder(), [1, 2]))
    assert table.release(keys(1, 2)) == []
    assert len(table) == 0


def test_a_follower_of_a_released_flight_becomes_its_leader() -> None:
    table = FlightTable()
    first, second = Recorder(), Recorder()
    table.join(parcel(Recorder(), [1, 2, 3]))
    table.join(parcel(first, [1, 2]))
    table.join(parcel(second, [2]))
    again = table.release(keys(1, 2, 3))
    assert sorted(row for _, numbers in rows(again) for row in numbers) == [1, 2]
    assert {id(waiter) for waiter, _ in rows(again)} == {id(first)}
    assert len(table) == 2, "in flight again; the third key is free"
    ((_, followers),) = table.settle(keys(2))
    assert [follower[0].waiter for follower in followers] == [second], "who followed the old leader follows the new one"


def test_followers_who_left_are_not_asked_for() -> None:
    table = FlightTable()
    gone, here = Recorder(), Recorder()
    table.join(parcel(Recorder(), [1]))
    table.join(parcel(gone, [1]))
    table.join(parcel(here, [1]))
    gone.open = False
    assert rows(table.release(keys(1))) == [(here, [1])]


def test_what_one_follower_waits_for_again_is_one_parcel() -> None:
    table = FlightTable()
    table.join(parcel(Recorder(), range(500)))
    table.join(parcel(Recorder(), range(500)))
    assert len(table.release(keys(*range(500)))) == 1, "five hundred parcels of one would be cut and joined one by one"


def test_a_parcel_is_wanted_by_its_own_request_or_by_a_follower() -> None:
    table = FlightTable()
    leader, follower = Recorder(), Recorder()
    asked = parcel(leader, [1, 2])
    table.join(asked)
    assert table.wanted(asked)
    leader.open = False
    assert not table.wanted(asked)
    table.join(parcel(follower, [2]))
    assert table.wanted(asked)
    follower.open = False
    assert not table.wanted(asked)


def test_who_does_not_accept_the_answer_in_flight_leads_the_next_flight() -> None:
    table = FlightTable()
    first, second, third = Recorder(), Recorder(), Recorder()
    table.join(parcel(Recorder(), [1, 2]))
    assert table.join(parcel(first, [1, 2]), set(keys(1))) is None
    ((index, ((_, row),)),) = table.settle(keys(1, 2))
    assert (index, row) == (1, 1), "only the other one was accepted"
    assert table.take_succeeded() == keys(1)
    assert table.take_succeeded() == []
    table.join(parcel(second, [1]))
    assert rows(table.release(keys(1))) == [(second, [1])], "joined before it was asked anew"
    ((_, followers),) = table.settle(keys(1))
    assert [follower.waiter for follower, _ in followers] == [first]
    assert table.take_succeeded() == []
    assert len(table) == 0
    assert table.join(parcel(third, [1])) is not None


def test_successors_do_not_want_the_call_that_is_too_early() -> None:
    table = FlightTable()
    asked = parcel(Recorder(), [1])
    successor = Recorder()
    table.join(asked)
    table.join(parcel(successor, [1]), set(keys(1)))
    asked.waiter.open = False  # type: ignore[misc]
    assert not table.wanted(asked)
    assert rows(table.release(keys(1))) == [(successor, [1])]


class Flights(RuleBasedStateMachine):
    """Requests come and go, calls succeed and are given up, in any order.

    The machine plays the lane: it holds parcels that must be asked, delivers to their waiters, and passes answers on to
    followers. At any moment every open waiter must be owed exactly what it asked for and did not get.
    """

    asked: Bundle[Parcel] = Bundle("asked")

    def __init__(self) -> None:
        super().__init__()
        self.table = FlightTable()
        self.waiters: list[Recorder] = []
        self.wants: dict[Recorder, set[int]] = {}
        self.got: dict[Recorder, list[int]] = {}
        self.out: list[Parcel] = []
        self.refused: dict[Recorder, list[Parcel]] = {}

    def answer(self, waiter: object, row: int, call: Parcel) -> None:
        assert isinstance(waiter, Recorder)
        assert not any(call is refused for refused in self.refused[waiter]), "answered by a call that was too early"
        self.got[waiter].append(row)

    @rule(target=asked, numbers=st.lists(st.integers(0, 4), min_size=1, unique=True), accepts=st.booleans())
    def ask(self, numbers: list[int], accepts: bool) -> Parcel | MultipleResults[Parcel]:
        """Calls that are out were sent too early for whoever does not accept."""
        waiter = Recorder()
        self.wants[waiter], self.got[waiter] = set(numbers), []
        self.refused[waiter] = [] if accepts else list(self.out)
        fresh = self.table.join(parcel(waiter, numbers), {one for call in self.refused[waiter] for one in call.keys})
        if fresh is None:
            return multiple()
        self.out.append(fresh)
        return fresh

    @rule(target=asked, call=consumes(asked))
    def settle(self, call: Parcel) -> MultipleResults[Parcel]:
        self.out.remove(call)
        for row in call.rows:
            self.answer(call.waiter, row, call)
        for _, followers in self.table.settle(call.keys):
            for follower, index in followers:
                self.answer(follower.waiter, follower.rows[index], call)
        again = self.table.release(self.table.take_succeeded())
        self.out += again
        return multiple(*again)

    @rule(target=asked, call=consumes(asked))
    def give_up(self, call: Parcel) -> MultipleResults[Parcel]:
        """Its request has left: the lane gives the call up, and asks for followers anew."""
        assert isinstance(call.waiter, Recorder)
        call.waiter.open = False
        self.out.remove(call)
        again = self.table.release(call.keys)
        self.out += again
        return multiple(*again)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        staying = [waiter for waiter in self.wants if waiter.open]
        if staying:
            data.draw(st.sampled_from(staying)).open = False

    @invariant()
    def nobody_is_answered_twice_or_unasked(self) -> None:
        for waiter, got in self.got.items():
            assert len(got) == len(set(got))
            assert set(got) <= self.wants[waiter]

    @invariant()
    def every_key_in_flight_is_in_exactly_one_call(self) -> None:
        in_flight = [one for call in self.out for one in call.keys]
        assert len(in_flight) == len(set(in_flight)) == len(self.table)

    @invariant()
    def every_waiter_waits_for_something_in_flight(self) -> None:
        in_flight = {row for call in self.out for row in call.rows}
        for waiter, wanted in self.wants.items():
            if waiter.open:
                assert wanted - set(self.got[waiter]) <= in_flight
                assert all(self.table.wanted(call) for call in self.out if call.waiter is waiter)

    def teardown(self) -> None:
        """In the end every call settles; then everybody who stayed has everything."""
        while self.out:
            self.settle(self.out[0])
        assert len(self.table) == 0
        for waiter, wanted in self.wants.items():
            if waiter.open:
                assert set(self.got[waiter]) == wanted


TestFlights = Flights.TestCase


def test_keys_that_somebody_follows_at_a_screen_are_urgent() -> None:
    table, gone = FlightTable(), Recorder(open=True)
    table.join(parcel(Recorder(), [1, 2, 3, 4], priority=Priority.BULK))
    keys = [key(number) for number in (1, 2, 3, 4)]
    assert table.urgent(keys) == []
    table.join(parcel(Recorder(), [1], priority=Priority.BULK))
    table.join(parcel(Recorder(), [2], priority=Priority.INTERACTIVE))
    table.join(parcel(gone, [3], priority=Priority.INTERACTIVE))
    gone.open = False
    assert table.urgent(keys) == [key(2)]
