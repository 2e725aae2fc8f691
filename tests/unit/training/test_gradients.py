import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy
from torch.nn.utils import vector_to_parameters

from fedswarm.data.dataset import Dataset, Split
from fedswarm.data.partition import make_partition
from fedswarm.errors import DataError, ModelError
from fedswarm.jobs.schema import DataSection, EvaluationSection, Job, ModelSection, TrainingSection
from fedswarm.models.weights import FlatWeights
from fedswarm.training.gradients import loss_gradient, mean_squared_gradient
from fedswarm.training.sequential import FISHER_SAMPLES, SequentialEngine
from fedswarm.training.task import ClientTask

STEP = 1e-5


def split(count=300):
    draws = torch.Generator().manual_seed(11)
    labels = torch.arange(count) % 3
    return Split(torch.randn(count, 1, 4, 4, generator=draws) + labels[:, None, None, None], labels)


def network(*last):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), *last, nn.Linear(6, 3)).eval()
    draws = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3, generator=draws)
    return model


class Named(nn.Sequential):
    """Batch statistics, dropout and a frozen layer: what evaluation mode and zeros are for."""

    def __init__(self):
        super().__init__(
            nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 6), nn.Linear(6, 3)
        )
        self[4].requires_grad_(False)


def named(input_shape, classes):
    return Named()


@pytest.fixture(autouse=True)
def own_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_gradients", sys.modules[__name__])


def engine(batch_size=8, model="mlp"):
    job = Job(
        data=DataSection(clients=10),
        model=ModelSection(name=model, options={"hidden": 5} if model == "mlp" else {}),
        training=TrainingSection(local_steps=4, batch_size=batch_size),
        evaluation=EvaluationSection(batch_size=20),
    )
    made = SequentialEngine(job, Dataset("toy", split(), split(50), classes=3))
    made.load(made.initial_weights())
    return made


def finite_differences(module, data, samples):
    """Central differences of the mean loss in float64, weight by weight."""
    twin = copy.deepcopy(module).double()
    start = torch.cat([p.detach().reshape(-1) for p in twin.parameters()])
    inputs, labels = data.inputs[samples].double(), data.labels[samples]

    def loss_at(vector):
        vector_to_parameters(vector, twin.parameters())
        with torch.no_grad():
            return float(cross_entropy(twin(inputs), labels))

    moves = torch.eye(len(start), dtype=torch.float64) * STEP
    return np.array([(loss_at(start + move) - loss_at(start - move)) / (2 * STEP) for move in moves])


def test_the_gradient_of_the_mean_loss_agrees_with_finite_differences():
    data, module, samples = split(), network(), np.array([3, 50, 121, 7, 8])
    gradient = loss_gradient(module, FlatWeights(module), data, samples)
    assert gradient.dtype == np.float32
    assert gradient == pytest.approx(finite_differences(module, data, samples), abs=1e-6)


def test_the_mean_squared_gradient_agrees_with_finite_differences_of_each_sample():
    data, module, samples = split(), network(), np.array([3, 50, 121, 7, 8])
    squared = mean_squared_gradient(module, FlatWeights(module), data, samples)
    expected = np.mean([finite_differences(module, data, samples[i : i + 1]) ** 2 for i in range(5)], axis=0)
    assert squared == pytest.approx(expected, abs=1e-6)


def test_the_mean_squared_gradient_agrees_with_vectorised_gradients():
    data, module, samples = split(), network(nn.LayerNorm(6)), np.arange(40)
    weights = FlatWeights(module)
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(values, one_input, one_label):
        return cross_entropy(functional_call(module, values, (one_input[None],)), one_label[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, data.inputs[:40], data.labels[:40])
    expected = torch.cat([(each[spec.name] ** 2).mean(0).reshape(-1) for spec in weights.layout.tensors])
    assert np.allclose(mean_squared_gradient(module, weights, data, samples), expected.numpy(), rtol=1e-4, atol=1e-9)


def test_gradients_do_not_move_the_weights():
    data, module = split(), network()
    weights = FlatWeights(module)
    before = weights.vector.clone()
    loss_gradient(module, weights, data, np.arange(5))
    mean_squared_gradient(module, weights, data, np.arange(5))
    assert torch.equal(weights.vector, before)


def test_frozen_weights_and_buffers_have_no_gradient_and_samples_stay_apart():
    made = engine(model="own_gradients:named")
    weights = made.initial_weights()
    squared, gradient = made.mean_squared_gradient(3, 1, weights), made.loss_gradient(3, 1, weights)
    trainable = made.layout.trainable_size
    assert trainable < made.layout.size
    for vector in (squared, gradient):
        assert vector.shape == (made.layout.size,)
        assert np.count_nonzero(vector[:trainable]) > 0
        assert not vector[trainable:].any()


def test_the_engines_gradient_is_that_of_a_mini_batch_at_the_given_weights():
    made = engine(batch_size=1000)  # larger than the shard: all of it
    weights = made.initial_weights() + np.float32(0.01)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3))
    flat = FlatWeights(module)
    flat.vector.copy_(torch.from_numpy(weights))
    shard = make_partition(split().labels.numpy(), DataSection(clients=10), Job().seed).samples(3)
    assert np.allclose(made.loss_gradient(3, 1, weights), loss_gradient(module, flat, split(), shard), atol=1e-6)
    squared = mean_squared_gradient(module, flat, split(), shard)
    assert len(shard) <= FISHER_SAMPLES
    assert np.allclose(made.mean_squared_gradient(3, 1, weights), squared, atol=1e-6)


@pytest.mark.parametrize("method", ["loss_gradient", "mean_squared_gradient"])
def test_gradients_depend_on_the_key_alone_and_disturb_no_training(method):
    made = engine()
    weights = made.initial_weights()
    weights.setflags(write=False)
    task = ClientTask(4, 2, 4, 0.05)
    undisturbed = made.train(task).delta.tobytes()
    first = getattr(made, method)(3, 1, weights)
    assert made.train(task).delta.tobytes() == undisturbed
    assert np.array_equal(getattr(made, method)(3, 1, weights), first)
    assert not np.array_equal(getattr(made, method)(4, 1, weights), first)


def test_each_round_looks_at_other_samples():
    made = engine()
    weights = made.initial_weights()
    assert not np.array_equal(made.loss_gradient(3, 1, weights), made.loss_gradient(3, 2, weights))


@pytest.mark.parametrize("method", ["loss_gradient", "mean_squared_gradient"])
def test_weights_of_another_model_and_strangers_are_refused(method):
    made = engine()
    with pytest.raises(ModelError, match="does not fit a layout"):
        getattr(made, method)(3, 1, np.zeros(7, np.float32))
    with pytest.raises(DataError, match="no client 99"):
        getattr(made, method)(99, 1, made.initial_weights())
