"""The yardstick: the same clients and batches in a plain PyTorch loop, as a reader of the papers would write it.

One process, one thread, one model, ``torch.optim.SGD``; no cluster, no reports, no verification. As a script it
compares the sequential engine with it, interleaved, by CPU time:

    python benchmark/bare_loop.py lr cnn
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedswarm.data.dataset import Split
from fedswarm.data.load import load_dataset
from fedswarm.data.partition import Partition, make_partition
from fedswarm.jobs.schema import DataSection, Job, ModelSection, TrainingSection
from fedswarm.models.build import build_model
from fedswarm.training.sequential import SequentialEngine
from fedswarm.training.steps import draw_batches, planned_steps
from fedswarm.training.task import ClientTask

State = dict[str, Tensor]


@dataclass(frozen=True)
class BareFederation:
    """What the loop needs of a job."""

    job: Job
    train: Split
    partition: Partition
    module: nn.Module


def prepare(job: Job) -> BareFederation:
    """Loads the job's data and model, and gives torch one thread."""
    torch.set_num_threads(1)
    data = load_dataset(job.data)
    partition = make_partition(data.train.labels.numpy(), job.data, job.seed, data.users, data.sample_names)
    return BareFederation(job, data.train, partition, build_model(job.model, data.input_shape, data.classes, job.seed))


def bare_round(
    federation: BareFederation, start: State, client_ids: Sequence[int], round_index: int, learning_rate: float
) -> State:
    """Trains the clients one by one from ``start``; the mean of their weights, by samples."""
    total = sum(len(federation.partition.samples(client_id)) for client_id in client_ids)
    mean = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    for client_id in client_ids:
        trained = _train_client(federation, start, client_id, round_index, learning_rate)
        share = len(federation.partition.samples(client_id)) / total
        for name, tensor in trained.items():
            mean[name].add_(tensor, alpha=share)
    return mean


def _train_client(
    federation: BareFederation, start: State, client_id: int, round_index: int, learning_rate: float
) -> State:
    section, module = federation.job.training, federation.module
    shard = federation.partition.samples(client_id)
    module.load_state_dict(start)
    module.train()
    optimizer = torch.optim.SGD(
        module.parameters(), learning_rate, momentum=section.momentum, weight_decay=section.weight_decay
    )
    steps = planned_steps(section, len(shard))
    for batch in draw_batches(section, shard, steps, federation.job.seed, round_index, client_id):
        chosen = torch.from_numpy(batch)
        optimizer.zero_grad()
        loss = cross_entropy(module(federation.train.inputs[chosen]), federation.train.labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return module.state_dict()


def benchmark_job(model: str) -> Job:
    """About 50 samples a client, batches of 16, one epoch."""
    return Job(
        model=ModelSection(name=model),
        data=DataSection(clients=200),
        training=TrainingSection(local_epochs=1, batch_size=16),
    )


def compare(model: str, repetitions: int, clients: int = 20) -> tuple[float, float, float]:
    """Milliseconds of CPU time a client of the loop and of the engine, and the median ratio engine / loop."""
    job = benchmark_job(model)
    federation, engine = prepare(job), SequentialEngine(job)
    start = {name: tensor.clone() for name, tensor in federation.module.state_dict().items()}
    client_ids = engine.clients()[0][:clients].tolist()
    sizes = engine.clients()[1]
    tasks = [ClientTask(c, 1, planned_steps(job.training, int(sizes[c])), 0.05) for c in client_ids]

    def run_loop() -> None:
        bare_round(federation, start, client_ids, 1, 0.05)

    def run_engine() -> None:
        engine.load(engine.initial_weights())
        for task in tasks:
            engine.train(task)

    run_loop()
    run_engine()
    pairs = [(_cpu_s(run_loop), _cpu_s(run_engine)) for _ in range(repetitions)]
    loop_ms, engine_ms = (1000 * median(column) / clients for column in zip(*pairs, strict=True))
    return loop_ms, engine_ms, median(engine_s / loop_s for loop_s, engine_s in pairs)


def _cpu_s(work: Callable[[], None]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    for name in sys.argv[1:] or ["lr", "cnn"]:
        loop_ms, engine_ms, ratio = compare(name, repetitions=50 if name in ("lr", "mlp") else 5)
        print(f"{name}: loop {loop_ms:.2f} ms a client, engine {engine_ms:.2f} ms, ratio {ratio:.2f}")
