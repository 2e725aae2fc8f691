"""How many mini-batches a client trains, and which samples are in them. No torch: planners ask too.

A job gives ``local_steps`` or ``local_epochs``, and they differ in what happens at a shard's end:

- steps: mini-batches are full. What is left of an epoch is dropped and the next epoch drawn; a shard smaller than a
  batch is one short batch (a loader that drops it would wait for ever: D24);
- epochs: every sample is seen once an epoch, the last batch may be short.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fedswarm.jobs.schema import DEFAULT_STEPS, TrainingSection
from fedswarm.randomness import generator

Integers = NDArray[np.int64]


def planned_steps(section: TrainingSection, samples: int) -> int:
    """Mini-batches that a client with ``samples`` samples is to train; 20 when the job does not say."""
    if section.local_epochs is not None:
        return section.local_epochs * steps_per_epoch(section, samples)
    return section.local_steps or DEFAULT_STEPS


def steps_per_epoch(section: TrainingSection, samples: int) -> int:
    """Mini-batches in one pass over ``samples`` samples (at least one sample)."""
    if section.local_epochs is not None:
        return -(-samples // section.batch_size)
    return max(1, samples // section.batch_size)


def trained_samples(section: TrainingSection, samples: int, steps: int) -> int:
    """Samples in the first ``steps`` mini-batches, counted as often as they are seen."""
    epochs, rest = divmod(steps, steps_per_epoch(section, samples))
    # A rest is less than an epoch, so it has no short last batch.
    return epochs * _epoch_samples(section, samples) + rest * section.batch_size


def draw_batches(
    section: TrainingSection, shard: Integers, steps: int | None, seed: int, round_index: int, client_id: int
) -> Iterator[Integers]:
    """The first ``steps`` mini-batches of a client in a round, or all of them, without end.

    They are parts of ``shard``, shuffled anew each epoch. They depend on the arguments alone, so whoever trains the
    client draws the same ones, and more steps only add batches at the end.
    """
    draws = generator(seed, round_index, "batches", client_id)
    return islice(_shuffled_batches(section, shard, draws), steps)


def _shuffled_batches(section: TrainingSection, shard: Integers, draws: np.random.Generator) -> Iterator[Integers]:
    seen = _epoch_samples(section, len(shard))
    while True:
        order = draws.permutation(shard)[:seen]
        yield from (order[start : start + section.batch_size] for start in range(0, seen, section.batch_size))


def _epoch_samples(section: TrainingSection, samples: int) -> int:
    if section.local_epochs is not None or samples < section.batch_size:
        return samples
    return samples - samples % section.batch_size
