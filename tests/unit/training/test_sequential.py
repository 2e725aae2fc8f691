import hashlib
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fedswarm.data.dataset import Dataset, Split
from fedswarm.errors import ModelError
from fedswarm.jobs.schema import DataSection, EvaluationSection, Job, ModelSection, TrainingSection
from fedswarm.training.sequential import SequentialEngine
from fedswarm.training.steps import draw_batches
from fedswarm.training.task import ClientTask


def dataset(samples=200):
    draws = torch.Generator().manual_seed(11)

    def split(count):
        labels = torch.arange(count) % 3
        return Split(torch.randn(count, 1, 6, 6, generator=draws) + labels[:, None, None, None], labels)

    return Dataset("toy", split(samples), split(50), classes=3)


def job(model="mlp", options=None, **training):
    return Job(
        data=DataSection(clients=10),
        model=ModelSection(name=model, options=options or {}),
        training=TrainingSection(**{"local_steps": 4, "batch_size": 8} | training),
        evaluation=EvaluationSection(batch_size=20),
    )


def loaded(the_job):
    engine = SequentialEngine(the_job, dataset())
    engine.load(engine.initial_weights())
    return engine


def task(client_id=3, round_index=1, steps=4, learning_rate=0.05):
    return ClientTask(client_id, round_index, steps, learning_rate)


class Stateful(nn.Module):
    """All that may linger from client to client: batch statistics, a counter they depend on, and dropout."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.norm = nn.BatchNorm1d(inputs, momentum=None)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(inputs, classes)

    def forward(self, inputs):
        return self.last(self.drop(self.norm(inputs.flatten(1))))


def stateful(input_shape, classes):
    return Stateful(36, classes)


class Fragile(nn.Linear):
    def forward(self, inputs):
        if self.training:
            raise RuntimeError("out of luck")
        return super().forward(inputs.flatten(1))


def fragile(input_shape, classes):
    return Fragile(36, classes)


def frozen(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, classes)).requires_grad_(False)


@pytest.fixture(autouse=True)
def own_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_networks", sys.modules[__name__])


def same(first, second):
    return first.delta.tobytes() == second.delta.tobytes() and (
        (first.moving_loss, first.utility, first.delta_norm) == (second.moving_loss, second.utility, second.delta_norm)
    )


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.01}, {"momentum": 0.0}, {"local_epochs": 1}])
def test_a_client_ends_where_a_plain_torch_loop_ends(settings):
    if "local_epochs" in settings:
        settings["local_steps"] = None
    the_job, data = job(**settings), dataset()
    engine = loaded(the_job)
    update = engine.train(task(steps=3))
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(36, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 3)
    )
    tensors = engine.layout.split(engine.initial_weights())
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    section = the_job.training
    optimizer = torch.optim.SGD(module.parameters(), 0.05, section.momentum, weight_decay=section.weight_decay)
    shard = engine._partition.samples(3)
    for batch in draw_batches(section, shard, 3, the_job.seed, 1, 3):
        optimizer.zero_grad()
        cross_entropy(module(data.train.inputs[batch]), data.train.labels[batch]).backward()
        optimizer.step()
    trained = engine.layout.join({name: tensor.numpy() for name, tensor in module.state_dict().items()})
    np.testing.assert_allclose(update.delta, trained - engine.initial_weights(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", ["mlp", "cnn", "own_networks:stateful"])
def test_what_was_trained_before_does_not_matter(model):
    engine = SequentialEngine(job(model), dataset())
    engine.load(engine.initial_weights())
    first = engine.train(task(client_id=5, steps=2))
    engine.train(task(client_id=3, steps=2))
    engine.evaluate([0])
    engine.warm()
    torch.rand(3)
    assert first.success
    assert same(engine.train(task(client_id=5, steps=2)), first)


def test_rounds_and_clients_differ():
    engine = loaded(job())
    updates = [engine.train(task(*key)) for key in ((3, 1), (3, 2), (4, 1))]
    assert not any(same(a, b) for i, a in enumerate(updates) for b in updates[:i])


def test_training_leaves_the_global_generator_alone():
    engine = loaded(job("own_networks:stateful"))
    before = torch.random.get_rng_state()
    assert engine.train(task()).success
    assert torch.equal(before, torch.random.get_rng_state())


PROCESS = """
import hashlib
import math
from fedswarm.jobs.schema import Job, ModelSection, TrainingSection
from fedswarm.training.sequential import SequentialEngine
from fedswarm.training.task import ClientTask
engine = SequentialEngine(Job(model=ModelSection(name="cnn"), training=TrainingSection(local_steps=2)))
engine.load(engine.initial_weights())
update = engine.train(ClientTask(7, 1, 2, 0.05))
print(hashlib.sha256(update.delta).hexdigest(), update.utility.hex(), engine.evaluate([3])[0].loss_sum.hex())
"""


def test_another_process_gets_the_same_bits():
    engine = SequentialEngine(Job(model=ModelSection(name="cnn"), training=TrainingSection(local_steps=2)))
    engine.load(engine.initial_weights())
    engine.train(task(client_id=1))
    update = engine.train(task(client_id=7, steps=2))
    ours = [hashlib.sha256(update.delta).hexdigest(), update.utility.hex(), engine.evaluate([3])[0].loss_sum.hex()]
    theirs = subprocess.run([sys.executable, "-c", PROCESS], check=True, capture_output=True, text=True).stdout
    assert theirs.split() == ours


def test_the_update_reports_what_was_done():
    update = loaded(job(local_steps=None, local_epochs=1)).train(task(steps=3))
    assert (update.client_id, update.success, update.error) == (3, True, "")
    assert (update.steps, update.trained_samples) == (3, 20)
    assert update.delta_norm == pytest.approx(float(np.linalg.norm(update.delta)), rel=1e-5)
    assert update.delta.dtype == np.float32
    assert 0 < update.moving_loss < 10
    # Twenty samples a shard: the utility is their root mean square loss times twenty.
    assert 0 < update.utility < 20 * 10


def test_moving_loss_and_utility_of_one_step_are_those_of_its_batch():
    the_job, data = job("lr"), dataset()
    engine = loaded(the_job)
    update = engine.train(task(steps=1))
    (batch,) = draw_batches(the_job.training, engine._partition.samples(3), 1, the_job.seed, 1, 3)
    weights = engine.layout.split(engine.initial_weights())
    scores = data.train.inputs[batch].flatten(1) @ torch.from_numpy(weights["1.weight"]).T + torch.from_numpy(
        weights["1.bias"]
    )
    losses = cross_entropy(scores, data.train.labels[batch], reduction="none").numpy().astype(np.float64)
    assert update.moving_loss == pytest.approx(losses.mean(), rel=1e-5)
    assert update.utility == pytest.approx(np.sqrt((losses**2).mean()) * 8, rel=1e-5)


def test_updates_outlive_the_next_client():
    engine = loaded(job())
    update = engine.train(task(client_id=1))
    kept = update.delta.copy()
    engine.train(task(client_id=2))
    np.testing.assert_array_equal(update.delta, kept)


def test_float_buffers_are_part_of_the_update():
    engine = loaded(job("own_networks:stateful"))
    parts = engine.layout.split(engine.train(task()).delta)
    assert (parts["norm.running_mean"] != 0).any()


def test_a_loaded_version_is_copied_and_is_what_clients_start_from():
    engine = loaded(job("lr"))
    version = engine.initial_weights()
    version.flags.writeable = False
    reference = engine.train(task())
    moved = version + 1
    engine.load(moved)
    moved[:] = 0
    assert not same(engine.train(task()), reference)
    engine.load(version)
    assert same(engine.train(task()), reference)


def test_a_version_of_another_model_is_refused():
    with pytest.raises(ModelError, match="does not fit"):
        loaded(job()).load(np.zeros(3, dtype=np.float32))


def test_a_model_that_raises_fails_its_client_only():
    update = loaded(job("own_networks:fragile")).train(task())
    assert (update.success, update.delta, update.error) == (False, None, "RuntimeError: out of luck")


def test_a_diverging_client_fails_and_the_next_one_is_untouched():
    engine = loaded(job())
    expected = engine.train(task(client_id=4))
    update = engine.train(task(steps=40, learning_rate=1e30))
    assert not update.success
    assert "lower training.learning_rate" in update.error
    assert update.delta is None
    assert same(engine.train(task(client_id=4)), expected)


@pytest.mark.parametrize(("wrong", "error"), [({"client_id": 99}, "no client 99"), ({"steps": 0}, "0 steps")])
def test_an_impossible_task_is_a_failed_client(wrong, error):
    update = loaded(job()).train(task(**wrong))
    assert not update.success
    assert error in update.error


def test_evaluation_tests_the_loaded_version_not_the_last_client():
    engine = loaded(job("own_networks:stateful"))
    before = engine.evaluate(range(engine.test_blocks))
    engine.train(task())
    assert engine.evaluate(range(engine.test_blocks)) == before
    assert [result.samples for result in before] == [20, 20, 10]


def test_training_helps():
    engine = loaded(job("lr"))
    weights = engine.initial_weights()
    before = sum(r.loss_sum for r in engine.evaluate(range(engine.test_blocks)))
    engine.load(weights + engine.train(task(steps=20, learning_rate=0.005)).delta)
    assert sum(r.loss_sum for r in engine.evaluate(range(engine.test_blocks))) < before


def test_the_proximal_term_keeps_clients_near():
    far, near = (loaded(job(proximal_mu=mu)).train(task(steps=10)).delta_norm for mu in (0.0, 1.0))
    assert near < far


def test_clients_are_those_of_the_partition():
    ids, sizes = loaded(job()).clients()
    assert ids.tolist() == list(range(10))
    assert sizes.tolist() == [20] * 10


def test_initial_weights_follow_the_seed_and_are_a_copy():
    engine = loaded(job())
    engine.initial_weights()[:] = 0
    np.testing.assert_array_equal(engine.initial_weights(), loaded(job()).initial_weights())


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(ModelError, match="nothing to train"):
        loaded(job("own_networks:frozen"))


def test_dropout_sends_the_largest_changes_and_no_more():
    engine = loaded(job())
    whole = engine.train(task()).delta
    part = engine.train(replace(task(), dropout_fraction=0.6))
    size = engine.layout.trainable_size
    assert len(part.delta.values) == math.floor(0.4 * size)
    assert np.array_equal(part.delta.values, whole[part.delta.indices])
    left_out = np.delete(np.abs(whole), part.delta.indices)
    assert left_out.max() <= np.abs(part.delta.values).min()
    assert part.dropout_fraction == pytest.approx(0.6)


def test_without_dropout_the_whole_update_is_sent():
    assert loaded(job()).train(task()).delta.shape == (loaded(job()).layout.size,)
