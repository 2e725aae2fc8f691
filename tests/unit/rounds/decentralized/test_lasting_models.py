"""Models that last: how long, and how many."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from fedswarm.rounds.lasting_models import MOST_LASTING, LastingModels

DEADLINE_S = 8.0  # with steps of 1/8 s every sum below is exact
STEPS = st.lists(st.integers(1, 300).map(lambda eighths: eighths / 8), min_size=1, max_size=120)


def lasting_from(steps: list[float]) -> list[tuple[float, frozenset[int]]]:
    """What lasts as each exchange begins, so many seconds after the one before."""
    models = LastingModels(DEADLINE_S)
    return [(at_s, models.begin(exchange, at_s)) for exchange, at_s in enumerate(accumulate(steps))]


@given(STEPS)
def test_whoever_hears_of_the_newest_that_lasts_can_fetch_it_for_two_deadlines(steps: list[float]) -> None:
    told = lasting_from(steps)
    for heard_s, lasting in told:
        if lasting:
            assert all(max(lasting) in later for at_s, later in told if heard_s <= at_s < heard_s + 2 * DEADLINE_S)


@given(STEPS)
def test_never_more_than_the_bound_are_kept(steps: list[float]) -> None:
    assert max(len(lasting) for _, lasting in lasting_from(steps)) <= MOST_LASTING


@given(STEPS)
def test_the_newest_that_lasts_is_at_most_half_a_deadline_old_as_an_exchange_begins(steps: list[float]) -> None:
    told = lasting_from(steps)
    for at_s, lasting in told[1:]:
        assert at_s - told[max(lasting)][0] < DEADLINE_S / 2


def test_where_exchanges_take_a_deadline_the_last_three_are_kept() -> None:
    assert [lasting for _, lasting in lasting_from([DEADLINE_S] * 6)][-1] == {3, 4, 5}


def test_the_initial_model_does_not_last() -> None:
    assert LastingModels(DEADLINE_S).begin(0, 0.0) == set()
