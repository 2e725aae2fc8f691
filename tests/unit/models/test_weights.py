import copy

import numpy as np
import pytest
import torch
from torch import nn

from fedswarm.errors import ModelError
from fedswarm.models.weights import FlatWeights, layout_of, read_weights


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.arange(3.0), persistent=False)
        self.register_buffer("scale", torch.tensor(2.0))


@pytest.fixture
def module():
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2), Constant())
    network[0].bias.requires_grad_(False)
    with torch.no_grad():
        for index, tensor in enumerate([*network.parameters(), *network.buffers()]):
            tensor.fill_(index)
    return network


def test_trainable_tensors_come_first_then_frozen_ones_then_float_buffers(module):
    names = [spec.name for spec in layout_of(module).tensors]
    assert names == [
        "0.weight",
        "1.weight",
        "1.bias",
        "2.weight",
        "2.bias",
        "0.bias",
        "1.running_mean",
        "1.running_var",
        "3.scale",
    ]
    assert layout_of(module).trainable_size == 6 + 3 + 3 + 6 + 2


def test_counters_and_constants_are_no_weights(module):
    names = {spec.name for spec in layout_of(module).tensors}
    assert not names & {"1.num_batches_tracked", "3.table"}


def test_the_vector_follows_the_layout(module):
    parts = layout_of(module).split(read_weights(module))
    for name, tensor in module.state_dict().items():
        if name in parts:
            np.testing.assert_array_equal(parts[name], tensor.numpy())


def test_flattening_changes_nothing_the_module_computes(module):
    inputs = torch.ones(4, 2)
    network = module[:3].eval()
    expected = network(inputs)
    before = read_weights(module)
    flat = FlatWeights(module)
    np.testing.assert_array_equal(flat.vector.numpy(), before)
    assert torch.equal(network(inputs), expected)


def test_vector_and_module_are_one(module):
    flat = FlatWeights(module)
    flat.vector.fill_(5)
    assert all((t == 5).all() for t in module.parameters())
    module[1].running_mean.fill_(6)
    assert (read_weights(module) == flat.vector.numpy()).all()


def test_the_vector_lies_where_every_process_has_it_in_the_same_alignment():
    assert [FlatWeights(nn.Linear(width, 3)).vector.data_ptr() % 64 for width in range(1, 20)] == [0] * 19


def test_batch_statistics_reach_the_vector(module):
    flat = FlatWeights(module)
    before = flat.vector.clone()
    module[:3].train()(torch.randn(8, 2))
    changed = {spec.name for spec, where in flat.layout.slices() if not torch.equal(before[where], flat.vector[where])}
    assert changed == {"1.running_mean", "1.running_var"}


def test_views_of_the_trainable_part_match_the_parameters(module):
    flat = FlatWeights(module)
    views = flat.views(flat.trainable)
    assert [v.data_ptr() for v in views] == [p.data_ptr() for p in flat.parameters]


def test_tied_parameters_are_one_weight_and_stay_tied():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    flat = FlatWeights(network)
    assert flat.layout.size == 4 + 2 + 2
    flat.vector.fill_(1)
    assert network[1].weight.data_ptr() == network[0].weight.data_ptr()


def test_flat_weights_of_a_copy_are_separate(module):
    first, second = FlatWeights(module), FlatWeights(copy.deepcopy(module))
    first.vector.fill_(3)
    assert not (second.vector == 3).all()


def test_weights_other_than_float32_are_refused():
    with pytest.raises(ModelError, match=r"'weight' is torch\.float64"):
        layout_of(nn.Linear(2, 2).double())
