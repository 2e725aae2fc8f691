import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.training.losses import moving_loss, utility

# Squares of losses as small as 1e-162 would lose their last bits, or all.
LOSSES = st.lists(st.floats(1e-100, 100) | st.just(0.0), min_size=1, max_size=20).map(np.array)


def test_golden_utility():
    # Losses 1, 2, 3, 2 over the round, shard of 100, 30 samples asked for.
    assert utility(np.array([1.0, 2.0, 3.0, 2.0]), 100, 30) == pytest.approx(63.639610, abs=1e-6)


def test_a_shard_smaller_than_what_is_asked_for_bounds_the_utility():
    assert utility(np.array([2.0, 2.0]), 10, 30) == pytest.approx(20)


@given(losses=LOSSES, shard=st.integers(1, 50), nominal=st.integers(1, 50))
def test_utility_lies_between_that_of_the_mean_and_the_largest_loss(losses, shard, nominal):
    held = min(shard, nominal)
    value = utility(losses, shard, nominal)
    assert losses.mean() * held <= value * (1 + 1e-9) + 1e-9
    assert value <= losses.max() * held * (1 + 1e-9)


def test_golden_moving_loss():
    # 4; .8 x 4 + .2 x 2 = 3.6; .8 x 3.6 + .2 x 1 = 3.08
    assert moving_loss(np.array([4.0, 2.0, 1.0]), 3, 0.2) == pytest.approx(3.08)


def test_only_the_first_epoch_moves_it():
    assert moving_loss(np.array([4.0, 2.0, 99.0]), 2, 0.2) == pytest.approx(3.6)


@given(losses=LOSSES, decay=st.floats(0, 1))
def test_it_stays_within_the_losses(losses, decay):
    assert losses.min() - 1e-9 <= moving_loss(losses, len(losses), decay) <= losses.max() + 1e-9
