"""What is asked of a training engine and what it answers. No torch: shells and tests speak these words too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.world import ClientTime
from fedswarm.models.layout import Layout, Vector
from fedswarm.models.sparse_update import Update


@dataclass(frozen=True)
class TimeBudget:
    """Virtual time in which a client is to train and send: ``budget_s`` seconds of its device, from ``start_s`` on.

    The download comes before: ``start_s`` is when it has ended, ``budget_s`` what it has left of the round's budget.
    """

    start_s: float
    budget_s: float
    device: ClientTime


@dataclass(frozen=True)
class ClientTask:
    """One client's training in one round: ``steps`` mini-batches or, with a ``budget``, as many as that allows.

    Without a budget, ``dropout_fraction`` of the trainable weights' changes, the smallest ones, are left out.
    """

    client_id: int
    round_index: int
    steps: int
    learning_rate: float
    budget: TimeBudget | None = None
    dropout_fraction: float = 0.0


@dataclass(frozen=True)
class ClientUpdate:
    """What a client brings back.

    ``delta`` is the trained minus the loaded weights, over the whole layout, float32, and sparse if part of it is not
    to be sent; it is absent when ``success`` is false, and ``error`` then says why. ``delta_norm`` is the Euclidean
    norm of the whole change, ``trained_samples`` counts samples as often as they were seen.

    With a budget, ``compute_s`` and ``upload_s`` are simulated seconds, those so far if the client failed; a measuring
    engine fills in ``compute_s`` by its clock. Otherwise they are 0: whoever planned the task knows them.
    ``dropout_fraction`` is the share of trainable weights that is not sent. ``went_away`` tells a failure of the device
    (it went offline, or its time was too short) from a fault of the training.
    """

    client_id: int
    success: bool
    error: str = ""
    delta: Update | None = None
    moving_loss: float = 0.0
    utility: float = 0.0
    delta_norm: float = 0.0
    steps: int = 0
    trained_samples: int = 0
    compute_s: float = 0.0
    upload_s: float = 0.0
    steps_phase1: int = 0
    steps_phase2: int = 0
    dropout_fraction: float = 0.0
    went_away: bool = False


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


class GradientEngine(Engine, Protocol):
    """An engine that also tells gradients, by which the importance of weights is judged."""

    def loss_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        """The gradient ``(P,)`` of a client's mean loss at ``weights`` on one keyed mini-batch."""
        ...

    def mean_squared_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        """The mean squared gradient ``(P,)`` of single samples of a client at ``weights``."""
        ...
