from __future__ import annotations

import itertools

import numpy as np

from fedswarm.selection.weighted_draw import draw_weighted

WEIGHTS = np.asarray([4.0, 2.0, 1.0, 1.0])


def successive_pairs() -> dict[frozenset[int], float]:
    """Chance of each pair when two are drawn one after the other, each in proportion to what is left."""
    chances: dict[frozenset[int], float] = {}
    for first, second in itertools.permutations(range(4), 2):
        chance = WEIGHTS[first] / WEIGHTS.sum() * WEIGHTS[second] / (WEIGHTS.sum() - WEIGHTS[first])
        pair = frozenset((first, second))
        chances[pair] = chances.get(pair, 0.0) + chance
    return chances


def test_draws_follow_the_law_of_successive_draws() -> None:
    generator = np.random.default_rng(0)
    drawn = [frozenset(draw_weighted(generator, WEIGHTS, 2).tolist()) for _ in range(20_000)]
    for pair, chance in successive_pairs().items():
        assert abs(drawn.count(pair) / len(drawn) - chance) < 0.012


def test_weightless_entries_are_drawn_last() -> None:
    generator = np.random.default_rng(0)
    drawn = draw_weighted(generator, np.asarray([0.0, 1.0, 0.0, 2.0]), 3)
    assert {1, 3} < set(drawn.tolist())


def test_no_more_than_there_are() -> None:
    generator = np.random.default_rng(0)
    assert sorted(draw_weighted(generator, WEIGHTS, 9)) == [0, 1, 2, 3]
    assert len(draw_weighted(generator, WEIGHTS, 0)) == 0
    assert len(draw_weighted(generator, np.empty(0), 3)) == 0
