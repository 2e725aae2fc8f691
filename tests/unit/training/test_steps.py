from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.jobs.schema import TrainingSection
from fedswarm.training.steps import draw_batches, planned_steps, steps_per_epoch, trained_samples

BY_STEPS = TrainingSection(local_steps=7, batch_size=16)
BY_EPOCHS = TrainingSection(local_epochs=2, batch_size=16)
SECTIONS = st.builds(
    TrainingSection,
    local_steps=st.none() | st.integers(1, 9),
    batch_size=st.integers(1, 20),
) | st.builds(TrainingSection, local_epochs=st.integers(1, 3), batch_size=st.integers(1, 20))


def batches(section, samples, steps, seed=1, round_index=2, client_id=3):
    shard = np.arange(1000, 1000 + samples)
    return [b.tolist() for b in draw_batches(section, shard, steps, seed, round_index, client_id)]


@pytest.mark.parametrize(
    ("section", "samples", "steps"),
    [
        (BY_STEPS, 5, 7),
        (BY_STEPS, 5000, 7),
        (TrainingSection(), 50, 20),
        (BY_EPOCHS, 50, 8),
        (BY_EPOCHS, 48, 6),
        (BY_EPOCHS, 3, 2),
    ],
)
def test_planned_steps(section, samples, steps):
    assert planned_steps(section, samples) == steps


@pytest.mark.parametrize(
    ("section", "samples", "sizes"),
    [
        (BY_STEPS, 50, [16] * 7),
        (BY_STEPS, 16, [16] * 7),
        # A shard smaller than a batch: one short batch an epoch, where a loader that drops it would never end (D24).
        (BY_STEPS, 5, [5] * 7),
        (BY_EPOCHS, 50, [16, 16, 16, 2, 16, 16, 16, 2]),
        (BY_EPOCHS, 5, [5, 5]),
    ],
)
def test_batch_sizes(section, samples, sizes):
    assert [len(b) for b in batches(section, samples, planned_steps(section, samples))] == sizes


@given(section=SECTIONS, samples=st.integers(1, 60), steps=st.integers(0, 30))
def test_as_many_batches_and_samples_as_announced(section, samples, steps):
    drawn = batches(section, samples, steps)
    assert len(drawn) == steps
    assert sum(map(len, drawn)) == trained_samples(section, samples, steps)


@given(section=SECTIONS, samples=st.integers(1, 60))
def test_an_epoch_shows_no_sample_twice_and_only_the_shards(section, samples):
    epoch = steps_per_epoch(section, samples)
    seen = list(chain.from_iterable(batches(section, samples, epoch)))
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(1000, 1000 + samples))


@given(samples=st.integers(1, 60), batch_size=st.integers(1, 20))
def test_an_epoch_by_epochs_shows_every_sample(samples, batch_size):
    section = TrainingSection(local_epochs=1, batch_size=batch_size)
    seen = list(chain.from_iterable(batches(section, samples, planned_steps(section, samples))))
    assert sorted(seen) == list(range(1000, 1000 + samples))


def test_more_steps_only_add_batches():
    assert batches(BY_STEPS, 50, 9)[:4] == batches(BY_STEPS, 50, 4)


def test_each_epoch_has_its_own_order():
    first, second = np.array(batches(BY_EPOCHS, 16, 2))
    assert sorted(first) == sorted(second)
    assert (first != second).any()


def test_the_draw_depends_on_seed_round_and_client():
    keys = [(1, 2, 3), (9, 2, 3), (1, 9, 3), (1, 2, 9)]
    draws = {str(batches(BY_STEPS, 50, 2, *key)) for key in keys}
    assert len(draws) == len(keys)


def test_golden_draw():
    section = TrainingSection(local_epochs=1, batch_size=3)
    assert [b.tolist() for b in draw_batches(section, np.arange(5), 2, 233, 7, 42)] == [[2, 1, 0], [4, 3]]
