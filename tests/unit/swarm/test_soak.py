from __future__ import annotations

import pytest

from fedswarm.swarm.simulator.invariants import BreachError
from fedswarm.swarm.simulator.soak import soak

SEEDS = 600
BLOCK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_fault_breaks_an_invariant(first: int) -> None:
    for seed in range(first, first + BLOCK):
        try:
            soak(seed)
        except BreachError as breach:
            replay = f'python -c "from fedswarm.swarm.simulator.soak import soak; soak({seed})"'
            pytest.fail(f"seed {seed}, again with {replay}:\n{breach}", pytrace=False)


def test_the_same_seed_has_the_same_outcome() -> None:
    assert soak(7) == soak(7)
