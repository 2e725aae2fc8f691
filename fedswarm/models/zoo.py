"""The networks that a job can name. None of them draws random numbers while it trains or keeps running statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from torch import Tensor, nn

from fedswarm.errors import ModelError

SMALL_IMAGE: Final = 64


def logistic_regression(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Multinomial logistic regression on the flattened input."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), classes))


def perceptron(input_shape: tuple[int, ...], classes: int, hidden: int = 200) -> nn.Module:
    """Two hidden layers of 200: the "2NN" of McMahan et al. 2017 (199,210 weights on 28 x 28 inputs)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(input_shape), hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def convolutional(input_shape: tuple[int, ...], classes: int, hidden: int = 128) -> nn.Module:
    """The FEMNIST network of Reddi et al. 2021 (Adaptive federated optimization, table 4), without its dropout.

    Two 3 x 3 convolutions (32 and 64 channels), a 2 x 2 maximum, one hidden layer: 1.2 million weights on 28 x 28.
    """
    channels, height, width = _image(input_shape, smallest=6)
    features = 64 * ((height - 4) // 2) * ((width - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al. 2016, figure 2), with group instead of batch norm."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.GroupNorm(groups, outputs)
            )
        self.last = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        return self.last(self.body(inputs) + self.shortcut(inputs))  # type: ignore[no-any-return]


def residual_18(input_shape: tuple[int, ...], classes: int, groups: int = 32) -> nn.Module:
    """ResNet-18 (He et al. 2016) with group normalisation (Wu and He 2018): 11.2 million weights.

    Batch statistics of small, skewed shards harm federated averaging (Hsieh et al. 2020), hence group norm. Images up
    to 64 pixels enter through one 3 x 3 convolution, as for CIFAR; larger ones through the 7 x 7 stem with pooling.
    """
    channels, height, width = _image(input_shape, smallest=8)
    stem: list[nn.Module] = [nn.Conv2d(channels, 64, 3, padding=1, bias=False), nn.GroupNorm(groups, 64), nn.ReLU()]
    if min(height, width) > SMALL_IMAGE:
        stem[0] = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        stem.append(nn.MaxPool2d(3, stride=2, padding=1))
    blocks: list[nn.Module] = []
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [ResidualBlock(inputs, outputs, stride, groups), ResidualBlock(outputs, outputs, 1, groups)]
        inputs = outputs
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def _image(input_shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
        raise ModelError(
            f"this model takes images (channels, height, width) of at least {smallest} x {smallest} pixels, "
            f"not samples of shape {input_shape}: choose lr or mlp"
        )
    return input_shape[0], input_shape[1], input_shape[2]


BUILDERS: Final[dict[str, Callable[..., nn.Module]]] = {
    "lr": logistic_regression,
    "mlp": perceptron,
    "cnn": convolutional,
    "resnet18": residual_18,
}
