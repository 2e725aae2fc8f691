"""What is asked of a training engine and what it answers. No torch: shells and tests speak these words too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedswarm.models.layout import Layout, Vector


@dataclass(frozen=True)
class ClientTask:
    """One client's training in one round: ``steps`` mini-batches."""

    client_id: int
    round_index: int
    steps: int
    learning_rate: float


@dataclass(frozen=True)
class ClientUpdate:
    """What a client brings back.

    ``delta`` is the trained minus the loaded weights, over the whole layout, float32; it is absent and the numbers are
    zero when ``success`` is false, and ``error`` then says why. ``delta_norm`` is its Euclidean norm,
    ``trained_samples`` counts samples as often as they were seen.
    """

    client_id: int
    success: bool
    error: str = ""
    delta: Vector | None = None
    moving_loss: float = 0.0
    utility: float = 0.0
    delta_norm: float = 0.0
    steps: int = 0
    trained_samples: int = 0


@dataclass(frozen=True)
class BlockResult:
    """A model's score on one block of the test set: right answers among the best one and five, and summed loss."""

    block: int
    samples: int
    top1: int
    top5: int
    loss_sum: float


class Engine(Protocol):
    """Trains clients from, and tests, the model version last loaded.

    Results depend on the job, the version and the task alone: not on what the engine did before, nor on its process.
    """

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weights."""
        ...

    @property
    def test_blocks(self) -> int:
        """Blocks that the test set is cut into; they are numbered from 0."""
        ...

    def clients(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids (ascending) and training samples of all clients, both ``(C,)``."""
        ...

    def initial_weights(self) -> Vector:
        """The job's model before any training."""
        ...

    def load(self, version: Vector) -> None:
        """Makes ``version`` (copied) what :meth:`train` starts from and :meth:`evaluate` tests."""
        ...

    def train(self, task: ClientTask) -> ClientUpdate:
        """Trains one client; a client that fails is an answer, not an exception."""
        ...

    def evaluate(self, blocks: Sequence[int]) -> list[BlockResult]:
        """Tests the loaded version on these blocks."""
        ...
