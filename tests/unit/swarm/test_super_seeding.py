from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.super_seeding import SHOWN_AHEAD, SuperSeeding


def test_two_neighbours_are_shown_different_chunks():
    seeding = SuperSeeding(list(range(100)), 0.0)
    first, second = seeding.join("a", 0.0), seeding.join("b", 0.0)
    assert len(first) == len(second) == SHOWN_AHEAD
    assert not set(first) & set(second)


def test_who_takes_a_chunk_is_shown_another():
    seeding = SuperSeeding(list(range(100)), 0.0)
    shown = seeding.join("a", 0.0)
    (fresh,) = seeding.take("a", shown[0], 1.0)
    assert fresh not in shown


def test_the_order_is_that_of_the_first_copies():
    seeding = SuperSeeding([5, 3, 1, 0, 2, 4], 0.0)
    assert seeding.join("a", 0.0)[:3] == [5, 3, 1]


def test_what_somebody_was_shown_and_left_without_is_shown_to_others():
    seeding = SuperSeeding(list(range(SHOWN_AHEAD + 2)), 0.0)
    seeding.join("a", 0.0)
    seeding.join("b", 0.0)
    for index in range(SHOWN_AHEAD, SHOWN_AHEAD + 2):
        seeding.take("b", index, 1.0)
    shown = seeding.leave("a")
    assert not seeding.over
    for index in shown.get("b", []):
        seeding.take("b", index, 2.0)
    for index in range(SHOWN_AHEAD + 2):
        seeding.take("b", index, 3.0)
    assert seeding.over


def test_it_ends_when_nobody_takes_anything_any_more():
    seeding = SuperSeeding(list(range(50)), 0.0)
    shown = seeding.join("a", 1.0)
    seeding.take("a", shown[0], 2.0)
    seeding.end_if_idle(3.0, 2.0)
    assert not seeding.over
    seeding.end_if_idle(4.5, 2.0)
    assert seeding.over


@given(st.integers(1, 60), st.integers(1, 5), st.randoms(use_true_random=False))
def test_every_chunk_goes_out_once_and_then_it_is_over(chunks, neighbours, draws):
    seeding = SuperSeeding(list(range(chunks)), 0.0)
    waiting = {name: seeding.join(name, 0.0) for name in map(str, range(neighbours))}
    taken = set()
    while not seeding.over:
        name = draws.choice([name for name, shown in waiting.items() if shown])
        index = waiting[name].pop(0)
        taken.add(index)
        waiting[name] += seeding.take(name, index, 1.0)
    assert taken == set(range(chunks))
