from __future__ import annotations

import numpy as np

from fedswarm.jobs.schema import Job
from fedswarm.selection.contract import Moment
from fedswarm.selection.policies import make_selector
from fedswarm.selection.random_policy import RandomSelector

ONLINE = np.asarray([1, 2, 3, 4, 6, 9, 15], dtype=np.int64)


def at(draw: int) -> Moment:
    return Moment(0.0, draw, draw, ONLINE)


def test_chosen_clients_are_online_distinct_and_ascending() -> None:
    chosen = RandomSelector(1).select_participants(4, at(0))
    assert set(chosen) <= set(ONLINE)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) == 4


def test_fewer_online_than_wanted_are_all_taken() -> None:
    """A defect of the original took one client less than there were."""
    assert RandomSelector(1).select_participants(7, at(0)).tolist() == sorted(ONLINE.tolist())


def test_a_choice_depends_on_seed_and_round_alone() -> None:
    selector = RandomSelector(1)
    selector.select_participants(3, at(4))
    again = selector.select_participants(3, at(5))
    assert np.array_equal(again, RandomSelector(1).select_participants(3, at(5)))


def test_rounds_choose_differently() -> None:
    selector = RandomSelector(1)
    choices = {tuple(selector.select_participants(3, at(r)).tolist()) for r in range(20)}
    assert len(choices) > 5


def test_everybody_is_chosen_equally_often() -> None:
    selector = RandomSelector(2)
    counts = np.bincount(np.concatenate([selector.select_participants(2, at(r)) for r in range(2100)]))
    assert np.all(np.abs(counts[ONLINE] - 600) < 100)


def test_policies_are_found_by_name() -> None:
    assert make_selector(Job()).describe()["algo"] == "random"
