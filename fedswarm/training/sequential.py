"""The engine that trains client by client on the CPU, with one resident model and one torch thread.

One model that stays in the processor's cache beats stacking clients for convolutional networks, and a second thread
slows small models down by an order of magnitude: more cores are for more executors.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from fedswarm.clock import Clock
from fedswarm.data.dataset import Dataset
from fedswarm.data.load import load_dataset
from fedswarm.data.partition import make_partition
from fedswarm.errors import ModelError
from fedswarm.jobs.schema import Job
from fedswarm.models.build import build_model, keyed_torch_randomness
from fedswarm.models.layout import Layout, Vector
from fedswarm.models.sparse_update import top_k, top_norm
from fedswarm.models.weights import FlatWeights
from fedswarm.randomness import generator, torch_seed
from fedswarm.training.adaptive_budget import AdaptiveBudget, Stop, Train
from fedswarm.training.evaluation import EvaluationBlocks
from fedswarm.training.gradients import loss_gradient, mean_squared_gradient
from fedswarm.training.local_sgd import LocalSGD
from fedswarm.training.local_work import LocalWork, Payload
from fedswarm.training.losses import moving_loss, utility
from fedswarm.training.steps import draw_batches, steps_per_epoch
from fedswarm.training.task import BlockResult, ClientTask, ClientUpdate, TimeBudget

log = logging.getLogger(__name__)

WARM_STEPS = 2
FISHER_SAMPLES = 100


class SequentialEngine:
    """Implements :class:`fedswarm.training.task.Engine` for one job.

    Sets this process's torch to one thread. Raises :class:`fedswarm.errors.DataError` or :class:`ModelError` when the
    job's data or model cannot be had.
    """

    def __init__(self, job: Job, dataset: Dataset | None = None, clock: Clock | None = None) -> None:
        """Loads what ``job`` names; a ``dataset`` already in memory may be given instead of the job's.

        With a ``clock``, tasks without a budget report how long they trained by it: the measured time of a real device.
        """
        torch.set_num_threads(1)
        self._clock = clock
        self._seed = job.seed
        self._section = job.training
        data = load_dataset(job.data) if dataset is None else dataset
        self._train = data.train
        labels = data.train.labels.numpy()
        self._partition = make_partition(labels, job.data, job.seed, data.users, data.sample_names)
        self._test = EvaluationBlocks(data.test, job.evaluation, job.seed)
        self._module = build_model(job.model, data.input_shape, data.classes, job.seed)
        self._weights = FlatWeights(self._module)
        if not self._weights.parameters:
            raise ModelError(f"model {job.model.name!r} has nothing to train: no parameter requires a gradient")
        self._start = self._weights.vector.clone()
        self._initial = self._start.numpy().copy()
        self._counters = [(b, b.clone()) for b in self._module.buffers() if not b.is_floating_point()]
        section = job.training
        self._sgd = LocalSGD(self._weights, section.momentum, section.weight_decay, section.proximal_mu)

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weights."""
        return self._weights.layout

    @property
    def test_blocks(self) -> int:
        """Blocks that the test set is cut into."""
        return len(self._test)

    def clients(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids (ascending) and training samples of all clients, both ``(C,)``."""
        return self._partition.client_ids, self._partition.sizes

    def initial_weights(self) -> Vector:
        """The job's model before any training."""
        return self._initial.copy()

    def load(self, version: Vector) -> None:
        """Makes ``version`` (copied) what clients start from; raises :class:`ModelError` when its length is wrong."""
        self.layout.check(version)
        np.copyto(self._start.numpy(), version)

    def train(self, task: ClientTask) -> ClientUpdate:
        """Trains one client from the loaded version; whatever goes wrong is in the answer's ``error``."""
        try:
            return self._train_client(task)
        except Exception as error:  # a model of the user's own may raise anything: it costs this client, not the run
            log.debug("client %d failed", task.client_id, exc_info=True)
            return ClientUpdate(task.client_id, success=False, error=f"{type(error).__name__}: {error}")

    def evaluate(self, blocks: Sequence[int]) -> list[BlockResult]:
        """Tests the loaded version on these blocks."""
        self._reset()
        self._module.eval()
        return [self._test.score(self._module, block) for block in blocks]

    def loss_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        """The gradient ``(P,)`` of a client's mean loss at ``weights`` on one keyed mini-batch.

        What it means and costs: :mod:`fedswarm.training.gradients`. Raises :class:`ModelError` when the length of
        ``weights`` is wrong and :class:`fedswarm.errors.DataError` for a stranger.
        """
        samples = self._importance_samples(client_id, round_index, self._section.batch_size)
        self._prepare_gradients(weights)
        return loss_gradient(self._module, self._weights, self._train, samples)

    def mean_squared_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        """The mean squared gradient ``(P,)`` of single samples at ``weights``, over up to 100 keyed ones of a client.

        Raises as :meth:`loss_gradient`.
        """
        samples = self._importance_samples(client_id, round_index, FISHER_SAMPLES)
        self._prepare_gradients(weights)
        return mean_squared_gradient(self._module, self._weights, self._train, samples)

    def warm(self) -> None:
        """Trains and tests a little, so that processes forked from this one find torch's lazy parts ready."""
        client_id = int(self._partition.client_ids[0])
        self.train(ClientTask(client_id, 0, WARM_STEPS, self._section.learning_rate))
        self.evaluate([0])

    def _importance_samples(self, client_id: int, round_index: int, most: int) -> NDArray[np.int64]:
        shard = self._partition.samples(client_id)
        draws = generator(self._seed, round_index, "importance", client_id)
        return draws.choice(shard, min(most, len(shard)), replace=False)

    def _prepare_gradients(self, weights: Vector) -> None:
        """The module at ``weights``, in evaluation mode; training and tests reset it themselves."""
        self.layout.check(weights)
        self._reset()
        np.copyto(self._weights.vector.numpy(), weights)
        self._module.eval()

    def _train_client(self, task: ClientTask) -> ClientUpdate:
        shard = self._partition.samples(task.client_id)
        if task.budget is None and task.steps < 1:
            return ClientUpdate(task.client_id, success=False, error=f"nothing to train: {task.steps} steps")
        self._reset()
        self._sgd.restart()
        self._module.train()
        batches = draw_batches(self._section, shard, None, self._seed, task.round_index, task.client_id)
        with keyed_torch_randomness(torch_seed(self._seed, task.round_index, "layers", task.client_id)):
            if task.budget is None:
                end, batch_losses = self._train_steps(task, batches)
            else:
                end, batch_losses = self._train_within(task.budget, task.learning_rate, batches, len(shard))
        return self._update(task.client_id, len(shard), end, batch_losses)

    def _train_steps(self, task: ClientTask, batches: Iterator[NDArray[np.int64]]) -> tuple[Stop, list[Tensor]]:
        """The fixed-step path: as much is sent as the task says, and time passes by the clock alone, if at all."""
        start_s = self._clock.now_s() if self._clock else 0.0
        batch_losses = self._descend(task.learning_rate, islice(batches, task.steps))
        compute_s = self._clock.now_s() - start_s if self._clock else 0.0
        return Stop(keep=1 - task.dropout_fraction, compute_s=compute_s), batch_losses

    def _train_within(
        self, budget: TimeBudget, learning_rate: float, batches: Iterator[NDArray[np.int64]], shard_samples: int
    ) -> tuple[Stop, list[Tensor]]:
        """The adaptive path: does what the budget's machine says."""
        section = self._section
        work = LocalWork.of(self.layout, section.batch_size, budget.device)
        epochs = section.adaptive.max_local_epochs
        most_steps = None if epochs is None else epochs * steps_per_epoch(section, shard_samples)
        machine = AdaptiveBudget(budget, work, section.adaptive, Payload.of(self.layout), most_steps)
        decisions = machine.decisions()
        batch_losses: list[Tensor] = []
        decision = next(decisions)
        while not isinstance(decision, Stop):
            if isinstance(decision, Train):
                batch_losses += self._descend(learning_rate, islice(batches, decision.steps))
                decision = next(decisions)
            else:
                change = self._weights.trainable - self._start[: self.layout.trainable_size]
                decision = decisions.send(top_norm(change.numpy(), decision.keep))
        return decision, batch_losses

    def _update(self, client_id: int, shard_samples: int, end: Stop, batch_losses: list[Tensor]) -> ClientUpdate:
        steps = len(batch_losses)
        update = ClientUpdate(
            client_id=client_id,
            success=False,
            error=end.error,
            steps=steps,
            compute_s=end.compute_s,
            upload_s=end.upload_s,
            steps_phase1=end.steps_phase1,
            steps_phase2=end.steps_phase2,
            dropout_fraction=1 - end.keep,
        )
        if end.error:
            return replace(update, went_away=True)
        change = self._weights.vector - self._start
        delta_norm = float(torch.linalg.vector_norm(change))
        losses = torch.cat(batch_losses).numpy().astype(np.float64)
        if not (math.isfinite(delta_norm) and np.isfinite(losses).all()):
            problem = f"training diverged: the update's norm is {delta_norm}; lower training.learning_rate"
            return replace(update, error=problem)
        sizes = np.array([len(batch) for batch in batch_losses])
        means = np.add.reduceat(losses, np.cumsum(sizes) - sizes) / sizes
        section, delta = self._section, change.numpy()
        return replace(
            update,
            success=True,
            delta=delta if end.keep == 1 else top_k(delta, end.keep, self.layout.trainable_size),
            moving_loss=moving_loss(means, steps_per_epoch(section, shard_samples), section.loss_decay),
            utility=utility(losses, shard_samples, steps * section.batch_size),
            delta_norm=delta_norm,
            trained_samples=len(losses),
        )

    def _descend(self, learning_rate: float, batches: Iterable[NDArray[np.int64]]) -> list[Tensor]:
        """One step on each batch; the per-sample losses of each. Nothing here waits for a number."""
        parameters = self._weights.parameters
        start = self._start[: self.layout.trainable_size]
        batch_losses: list[Tensor] = []
        for batch in batches:
            chosen = torch.from_numpy(batch)
            scores = self._module(self._train.inputs.index_select(0, chosen))
            losses = cross_entropy(scores, self._train.labels.index_select(0, chosen), reduction="none")
            # The gradient of the mean, without a node for the mean in the graph.
            shares = torch.full_like(losses, 1 / len(batch))
            gradients = torch.autograd.grad(losses, parameters, shares, allow_unused=True, materialize_grads=True)
            self._sgd.step(gradients, learning_rate, start)
            batch_losses.append(losses.detach())
        return batch_losses

    def _reset(self) -> None:
        """Nothing of the previous client stays: neither weights nor what layers count."""
        self._weights.vector.copy_(self._start)
        for counter, at_start in self._counters:
            counter.copy_(at_start)
