from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.choker import Candidate, Choker


def choker(slots=3, optimistic_rechokes=2, draws="me"):
    return Choker(slots, optimistic_rechokes, seed=1, draws=draws)


def candidates(**taken):
    return [Candidate(peer, bytes_, unchoked=False) for peer, bytes_ in taken.items()]


def test_all_are_answered_while_there_are_slots():
    assert choker().decide(candidates(a=0, b=0, c=0)) == {"a", "b", "c"}


def test_the_fastest_keep_their_slots_and_one_is_drawn():
    chosen = choker().decide(candidates(a=1, b=50, c=2, d=40, e=0))
    assert {"b", "d"} < chosen and len(chosen) == 3


def test_of_equals_those_who_are_answered_already_go_on():
    equals = [Candidate(peer, 0, unchoked=peer in "cd") for peer in "abcde"]
    assert {"c", "d"} < choker().decide(equals)


def test_the_drawn_one_stays_for_a_while_and_then_another_has_its_turn():
    peers = candidates(fast=9, faster=10, a=0, b=0, c=0)
    deciding = choker(optimistic_rechokes=3)
    drawn = [(deciding.decide(peers) - {"fast", "faster"}).pop() for _ in range(30)]
    turns = [drawn[at] for at in range(2, 30, 3)]
    assert all(first != second for first, second in pairwise(turns))
    assert set(drawn) == {"a", "b", "c"}


def test_two_peers_draw_differently():
    peers = candidates(**{f"p{number:02}": 0 for number in range(40)})
    draws = {frozenset(choker(draws=str(me)).decide(peers)) for me in range(8)}
    assert len(draws) > 1


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 100), max_size=12), st.integers(1, 6))
def test_slots_are_filled_and_never_exceeded(taken, slots):
    chosen = choker(slots=slots).decide(candidates(**taken))
    assert len(chosen) == min(slots, len(taken)) and chosen <= taken.keys()
