import sys

import numpy as np
import pytest
import torch
from torch import nn

from fedswarm.errors import ModelError
from fedswarm.jobs.schema import ModelSection
from fedswarm.models.build import build_model, keyed_torch_randomness
from fedswarm.models.weights import read_weights


def half_precision(input_shape, classes, width=2):
    return nn.Sequential(nn.Linear(input_shape[0], width), nn.Linear(width, classes)).half()


def too_many_scores(input_shape, classes):
    return nn.Linear(input_shape[0], classes + 1)


def not_a_module(input_shape, classes):
    return "model"


def raises(input_shape, classes):
    raise RuntimeError("no licence")


class ManyOutputs(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs), inputs


def many_outputs(input_shape, classes):
    return ManyOutputs(input_shape[0], classes)


@pytest.fixture(autouse=True)
def own_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_models", sys.modules[__name__])


def build(name, seed=1, shape=(1, 8, 8), **options):
    return build_model(ModelSection(name=name, options=options), shape, 3, seed)


@pytest.mark.parametrize("name", ["lr", "mlp", "cnn", "resnet18"])
def test_the_seed_alone_decides_the_weights(name):
    first = read_weights(build(name))
    torch.rand(7)  # whatever the process drew before
    np.testing.assert_array_equal(first, read_weights(build(name)))
    assert (first != read_weights(build(name, seed=2))).any()


def test_building_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    build("cnn")
    assert torch.equal(before, torch.random.get_rng_state())


def test_keyed_randomness_repeats_itself_and_is_undone_even_by_an_error():
    before = torch.random.get_rng_state()
    draws = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), keyed_torch_randomness(5):
            draws.append(torch.rand(3))
            raise ZeroDivisionError
    assert torch.equal(*draws)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_model_of_the_users_own_gets_its_options_and_becomes_float32():
    module = build("own_models:half_precision", shape=(4,), width=5)
    assert [tuple(p.shape) for p in module.parameters()] == [(5, 4), (5,), (3, 5), (3,)]
    assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("resnet", {}, "did you mean 'resnet18'"),
        ("transformer", {}, "choose one of lr, mlp, cnn, resnet18"),
        ("mlp", {"hiden": 3}, "'mlp' with hiden=3"),
        ("own_models:too_many_scores", {}, r"gives \(2, 4\) for two samples, expected \(2, 3\)"),
        ("own_models:many_outputs", {}, "gives tuple"),
        ("own_models:not_a_module", {}, "returned a str"),
        ("own_models:raises", {}, "RuntimeError: no licence"),
        ("own_models:missing", {}, "no function 'missing'"),
    ],
)
def test_what_cannot_be_built_says_why(name, options, complaint):
    with pytest.raises(ModelError, match=complaint):
        build(name, shape=(4,), **options)


def test_a_model_that_cannot_take_the_samples_says_so():
    with pytest.raises(ModelError, match=r"does not take samples of shape \(4, 5\)"):
        build("own_models:half_precision", shape=(4, 5))


def test_a_zoo_model_that_does_not_fit_the_samples_is_named():
    with pytest.raises(ModelError, match=r"model 'cnn': .*choose lr or mlp"):
        build("cnn", shape=(4,))
