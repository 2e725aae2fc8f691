from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.agenda import Agenda, Intention

TEA, CAKE = Intention("tea"), Intention("cake", "ann")


def test_an_empty_agenda_asks_for_nothing():
    assert Agenda().wake_s is None
    assert Agenda().take(1e9) == []


def test_what_is_due_comes_in_order_and_once():
    agenda = Agenda()
    agenda.put(2.0, CAKE)
    agenda.put(1.0, TEA)
    assert agenda.wake_s == 1.0
    assert agenda.take(2.0) == [TEA, CAKE]
    assert agenda.take(2.0) == []


def test_a_later_wish_replaces_an_earlier_one():
    agenda = Agenda()
    agenda.put(1.0, TEA)
    agenda.put(3.0, TEA)
    assert agenda.take(2.0) == []
    assert agenda.wake_s == 3.0


def test_an_earlier_instant_can_be_kept():
    agenda = Agenda()
    agenda.put(1.0, TEA)
    agenda.put_unless_earlier(3.0, TEA)
    assert agenda.wake_s == 1.0
    agenda.put_unless_earlier(0.5, TEA)
    assert agenda.wake_s == 0.5


def test_the_same_thing_for_two_is_two_things():
    agenda = Agenda()
    agenda.put(1.0, Intention("cake", "ann"))
    agenda.put(2.0, Intention("cake", "bob"))
    agenda.cancel(Intention("cake", "ann"))
    assert agenda.take(5.0) == [Intention("cake", "bob")]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), max_size=40), st.integers(0, 20))
def test_an_agenda_is_a_sorted_table(entries, now_s):
    agenda, table = Agenda(), {}
    for instant_s, who in entries:
        agenda.put(float(instant_s), Intention("call", who))
        table[Intention("call", who)] = float(instant_s)
    assert agenda.wake_s == min(table.values(), default=None)
    due = agenda.take(float(now_s))
    assert [table[intention] for intention in due] == sorted(t for t in table.values() if t <= now_s)
    assert agenda.wake_s == min((t for t in table.values() if t > now_s), default=None)
