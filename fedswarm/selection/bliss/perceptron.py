"""A multilayer perceptron of a few hundred units: ReLU, squared error, Adam (Kingma and Ba 2015, arXiv:1412.6980).

Sizes and steps default to those of the published system, which uses scikit-learn's ``MLPRegressor``. Here it is written
out in NumPy: no further package, the same numbers on any machine with the same BLAS, and a state of plain arrays.
Unlike there, features and targets are standardised first; their raw scales differ by four orders of magnitude.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.jobs.bliss_sections import PerceptronSection
from fedswarm.selection.bliss.standardized import Standardization

Matrix = NDArray[np.float64]

# As in scikit-learn: Adam's moments, and the L2 penalty on weights.
FIRST_MOMENT: Final = 0.9
SECOND_MOMENT: Final = 0.999
EPSILON: Final = 1e-8
L2_PENALTY: Final = 1e-4


class Perceptron:
    """Implements :class:`~fedswarm.selection.bliss.regressor.Regressor`."""

    def __init__(self, section: PerceptronSection) -> None:
        self._section = section
        self._features: Standardization | None = None
        self._mean, self._deviation = 0.0, 1.0
        self._layers: list[Matrix] = []  # (inputs + 1, outputs); the last row is the bias

    def fit(self, features: NDArray[np.float32], targets: NDArray[np.float64], random: np.random.Generator) -> None:
        """A fixed number of epochs in mini-batches; ``random`` draws the first weights and shuffles."""
        self._features = Standardization.of(features)
        self._mean = float(targets.mean())
        self._deviation = float(targets.std()) or 1.0
        inputs = _with_bias(self._features.apply(features))
        wanted = ((targets - self._mean) / self._deviation)[:, None]
        sizes = [features.shape[1], *self._section.layer_sizes, 1]
        self._layers = [_first_weights(fan_in, fan_out, random) for fan_in, fan_out in pairwise(sizes)]
        adam = _Adam(self._layers, self._section.learning_rate)
        batch = min(self._section.batch_size, len(inputs))
        for _ in range(self._section.epochs):
            order = random.permutation(len(inputs))
            for start in range(0, len(inputs), batch):
                chosen = order[start : start + batch]
                adam.step(self._gradients(inputs[chosen], wanted[chosen]))

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """A forward pass."""
        if self._features is None:
            return np.zeros(len(features))
        activations = self._forward(_with_bias(self._features.apply(features)))
        return activations[-1][:, 0] * self._deviation + self._mean

    def state_dict(self) -> dict[str, Any]:
        """Weights and scales."""
        if self._features is None:
            return {}
        layers = [layer.copy() for layer in self._layers]
        return {
            "scale": self._features.state_dict(),
            "mean": self._mean,
            "deviation": self._deviation,
            "layers": layers,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        if not state:
            self._features = None
            return
        self._features = Standardization.from_state(state["scale"])
        self._mean, self._deviation = float(state["mean"]), float(state["deviation"])
        self._layers = [np.array(layer, dtype=np.float64) for layer in state["layers"]]

    def _forward(self, inputs: Matrix) -> list[Matrix]:
        """The input of every layer, bias included, and the output last."""
        activations = [inputs]
        for layer in self._layers[:-1]:
            activations.append(_with_bias(np.maximum(activations[-1] @ layer, 0.0)))
        activations.append(activations[-1] @ self._layers[-1])
        return activations

    def _gradients(self, inputs: Matrix, wanted: Matrix) -> list[Matrix]:
        """Of half the mean squared error and the penalty, layer by layer."""
        *activations, output = self._forward(inputs)
        backward = (output - wanted) / len(inputs)
        gradients: list[Matrix] = []
        for layer, entered in zip(reversed(self._layers), reversed(activations), strict=True):
            gradient = entered.T @ backward
            gradient[:-1] += L2_PENALTY / len(inputs) * layer[:-1]
            gradients.append(gradient)
            backward = (backward @ layer[:-1].T) * (entered[:, :-1] > 0)
        return gradients[::-1]


class _Adam:
    """Adam's state for some weights, which it changes in place."""

    def __init__(self, weights: list[Matrix], learning_rate: float) -> None:
        self._weights = weights
        self._learning_rate = learning_rate
        self._first = [np.zeros_like(layer) for layer in weights]
        self._second = [np.zeros_like(layer) for layer in weights]
        self._steps = 0

    def step(self, gradients: list[Matrix]) -> None:
        self._steps += 1
        rate = self._learning_rate * np.sqrt(1 - SECOND_MOMENT**self._steps) / (1 - FIRST_MOMENT**self._steps)
        for weights, first, second, gradient in zip(self._weights, self._first, self._second, gradients, strict=True):
            first += (1 - FIRST_MOMENT) * (gradient - first)
            second += (1 - SECOND_MOMENT) * (gradient**2 - second)
            weights -= rate * first / (np.sqrt(second) + EPSILON)


def _first_weights(inputs: int, outputs: int, random: np.random.Generator) -> Matrix:
    """Uniform by fan-in and fan-out (Glorot and Bengio 2010), biases included as in scikit-learn."""
    bound = np.sqrt(6.0 / (inputs + outputs))
    return random.uniform(-bound, bound, (inputs + 1, outputs))


def _with_bias(rows: Matrix) -> Matrix:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
