import pytest
import torch

from fedswarm.errors import ModelError
from fedswarm.models import zoo


def weights_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "input_shape", "classes", "weights"),
    [
        ("lr", (1, 28, 28), 10, 7_850),
        ("mlp", (1, 28, 28), 10, 199_210),
        # Reddi et al. 2021, table 4: 1,206,590 with the 62 classes of FEMNIST.
        ("cnn", (1, 28, 28), 62, 1_206_590),
        # As ResNet-18 for CIFAR-10 is counted everywhere.
        ("resnet18", (3, 32, 32), 10, 11_173_962),
    ],
)
def test_sizes_are_the_published_ones(name, input_shape, classes, weights):
    assert weights_of(zoo.BUILDERS[name](input_shape=input_shape, classes=classes)) == weights


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 96, 80)])
def test_resnet_takes_small_and_large_images(shape):
    with torch.inference_mode():
        assert zoo.residual_18(shape, 7)(torch.zeros(1, *shape)).shape == (1, 7)


@pytest.mark.parametrize("name", zoo.BUILDERS)
def test_a_samples_scores_do_not_depend_on_the_rest_of_the_batch(name):
    module = zoo.BUILDERS[name](input_shape=(1, 12, 12), classes=3)
    batch = torch.linspace(-1, 1, 2 * 144).reshape(2, 1, 12, 12)
    with torch.inference_mode():
        torch.testing.assert_close(module(batch)[:1], module(batch[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
@pytest.mark.parametrize("shape", [(20,), (1, 4, 28)])
def test_convolutions_refuse_what_is_no_image(name, shape):
    with pytest.raises(ModelError, match="choose lr or mlp"):
        zoo.BUILDERS[name](input_shape=shape, classes=2)


def test_options_change_the_size():
    assert weights_of(zoo.perceptron((4,), 2, hidden=3)) == 4 * 3 + 3 + 3 * 3 + 3 + 3 * 2 + 2
