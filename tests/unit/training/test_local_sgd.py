import copy

import pytest
import torch
from torch import nn

from fedswarm.models.build import keyed_torch_randomness
from fedswarm.models.weights import FlatWeights
from fedswarm.training.local_sgd import LocalSGD


def small_module():
    with keyed_torch_randomness(3):
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def some_gradients(module, steps):
    draws = torch.Generator().manual_seed(5)
    return [[torch.randn(p.shape, generator=draws) for p in module.parameters()] for _ in range(steps)]


def run_torch(module, gradients, **settings):
    optimizer = torch.optim.SGD(module.parameters(), 0.1, **settings)
    for step in gradients:
        for parameter, gradient in zip(module.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def run_ours(module, gradients, momentum=0.0, weight_decay=0.0, proximal_mu=0.0):
    weights = FlatWeights(module)
    sgd, start = LocalSGD(weights, momentum, weight_decay, proximal_mu), weights.vector.clone()
    for step in gradients:
        sgd.step(step, 0.1, start)
    return weights.vector


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_equals_torchs_sgd(momentum, weight_decay):
    module = small_module()
    gradients = some_gradients(module, 6)
    expected = run_torch(copy.deepcopy(module), gradients, momentum=momentum, weight_decay=weight_decay)
    ours = run_ours(module, gradients, momentum, weight_decay)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_restart_forgets_the_momentum():
    module = small_module()
    weights = FlatWeights(module)
    sgd, start = LocalSGD(weights, 0.9, 0.0, 0.0), weights.vector.clone()
    first, second = some_gradients(module, 2)
    sgd.step(second, 0.1, start)
    alone = weights.vector.clone()
    weights.vector.copy_(start)
    sgd.restart()
    sgd.step(first, 0.1, start)
    weights.vector.copy_(start)
    sgd.restart()
    sgd.step(second, 0.1, start)
    assert torch.equal(weights.vector, alone)


def test_the_proximal_term_pulls_back_to_the_start():
    module = small_module()
    gradients = some_gradients(module, 5)
    start = torch.cat([p.detach().flatten() for p in module.parameters()])
    free = run_ours(copy.deepcopy(module), gradients)
    pulled = run_ours(module, gradients, proximal_mu=0.5)
    assert torch.linalg.vector_norm(pulled - start) < torch.linalg.vector_norm(free - start)


def test_the_proximal_term_equals_that_of_the_written_out_loss():
    module = small_module()
    reference, gradients = copy.deepcopy(module), some_gradients(module, 4)
    start = [p.detach().clone() for p in reference.parameters()]
    optimizer = torch.optim.SGD(reference.parameters(), 0.1, momentum=0.9)
    for step in gradients:
        optimizer.zero_grad()
        pairs = list(zip(reference.parameters(), step, start, strict=True))
        loss = sum((p * g).sum() + 0.25 / 2 * ((p - s) ** 2).sum() for p, g, s in pairs)
        loss.backward()
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in reference.parameters()])
    torch.testing.assert_close(run_ours(module, gradients, 0.9, 0.0, 0.25), expected, rtol=1e-5, atol=1e-6)


def test_frozen_weights_stay():
    module = small_module()
    module[0].weight.requires_grad_(False)
    frozen = module[0].weight.clone()
    run_ours(module, [[torch.ones(p.shape) for p in module.parameters() if p.requires_grad]], weight_decay=0.1)
    assert torch.equal(module[0].weight, frozen)
