"""What a peer of a job without an aggregator computes, thread and socket apart: trains, scores, averages, tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedswarm.aggregation.grid import Grid
from fedswarm.aggregation.partial import CompletionRule, PartialMean
from fedswarm.errors import RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Vector
from fedswarm.randomness import generator
from fedswarm.rounds.collected_updates import CollectedUpdates
from fedswarm.rounds.plan import learning_rate
from fedswarm.swarm.importance import METHODS, Evidence, chunk_importance
from fedswarm.training.steps import planned_steps
from fedswarm.training.task import BlockResult, ClientTask, GradientEngine


@dataclass(frozen=True)
class TrainedUpdate:
    """A peer's weights after training, float32 ``(P,)``, the importance of each of their chunks, the moving loss."""

    weights: Vector
    importance: bytes
    loss: float


class PeerCore:
    """The one client that a peer is. Not for use by two threads at a time.

    Args:
        engine: holds the client's shard.
        job: the job.
        peer: this one.
        client_id: who it is among the clients.
        samples: of every client by id: in total as many as can ever be averaged.
        chunk_weights: weights in a chunk.
    """

    def __init__(
        self, engine: GradientEngine, job: Job, peer: str, client_id: int, samples: dict[int, int], chunk_weights: int
    ) -> None:
        self.samples = samples[client_id]
        self._engine = engine
        self._job = job
        self._peer = peer
        self._client_id = client_id
        self._all_samples = samples
        self._chunk_weights = chunk_weights
        self._rule = CompletionRule(job.aggregation.missing, job.aggregation.missing_cap)

    @property
    def weight(self) -> int:
        """What this peer's update counts."""
        return self.weight_of(self.samples)

    def weight_of(self, samples: int) -> int:
        """What an update counts that was trained on so many samples."""
        return samples if self._job.aggregation.weighting == "samples" else 1

    def initial_weights(self) -> Vector:
        """The job's model before any training."""
        return self._engine.initial_weights()

    def train(self, round_index: int, model: Vector) -> TrainedUpdate:
        """Trains the client from ``model``; raises :class:`RunFailedError` if it fails."""
        self._engine.load(model)
        steps = planned_steps(self._job.training, self.samples)
        update = self._engine.train(
            ClientTask(self._client_id, round_index, steps, learning_rate(self._job, round_index))
        )
        if not update.success or not isinstance(update.delta, np.ndarray):
            raise RunFailedError(f"round {round_index}: {update.error or 'training brought no dense update'}")
        weights = model + update.delta
        return TrainedUpdate(weights, self._importance(round_index, weights, update.delta), update.moving_loss)

    def collect_updates(self, model: Vector, own: Vector) -> CollectedUpdates:
        """An empty mean of updates that were trained from about ``model``, but for one's ``own``."""
        largest = sum(self.weight_of(samples) for samples in self._all_samples.values())
        return self._collect(model, own, self.weight, largest)

    def collect_models(self, own: Vector) -> CollectedUpdates:
        """The same for models, each counting one.

        Sums begin at zero, which is the same everywhere: peers that average the same models get the same bits.
        """
        return self._collect(np.zeros_like(own), own, 1, len(self._all_samples))

    def mean_of_updates(self, collected: CollectedUpdates, total_weight: int) -> Vector:
        """The mean by the job's rule for what is missing."""
        return collected.result(self._rule, total_weight)

    def mean_of_models(self, collected: CollectedUpdates) -> Vector:
        """The plain mean of what is there."""
        return collected.result(CompletionRule("renormalise"), 1)

    def test(self, model: Vector) -> Sequence[BlockResult]:
        """Scores ``model`` on the whole test set."""
        self._engine.load(model)
        return self._engine.evaluate(range(self._engine.test_blocks))

    def _collect(self, base: Vector, own: Vector, weight: int, largest: int) -> CollectedUpdates:
        mean = PartialMean(base, self._chunk_weights, largest, Grid(self._job.aggregation.grid_bits))
        return CollectedUpdates(mean, self._peer, own, weight)

    def _importance(self, round_index: int, weights: Vector, delta: Vector) -> bytes:
        name = self._job.exchange.importance
        method, engine, client = METHODS[name], self._engine, self._client_id
        evidence = Evidence(
            delta=delta,
            weights=weights,
            gradient=engine.loss_gradient(client, round_index, weights) if method.needs_gradient else None,
            squared_gradient=(
                engine.mean_squared_gradient(client, round_index, weights) if method.needs_squared_gradient else None
            ),
            draws=generator(self._job.seed, round_index, "random importance", client),
        )
        return chunk_importance(name, evidence, self._chunk_weights)
