"""Stochastic gradient descent on flat weights: what ``torch.optim.SGD`` computes, in few passes over memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fedswarm.models.weights import FlatWeights


class LocalSGD:
    """Momentum SGD with weight decay and FedProx's pull, for one model and many clients in turn.

    A step with gradient ``g`` at weights ``w`` is, with FedProx's ``mu`` (Li et al. 2020, equation 2; its gradient is
    ``+ mu (w - start)`` and passes through the momentum)::

        v = momentum v + g + weight_decay w + mu (w - start)
        w = w - learning_rate v
    """

    def __init__(self, weights: FlatWeights, momentum: float, weight_decay: float, proximal_mu: float) -> None:
        self._weights = weights.trainable
        self._velocity = torch.zeros_like(self._weights)
        self._parts = weights.views(self._velocity)
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._proximal_mu = proximal_mu

    def restart(self) -> None:
        """Forgets the previous client's momentum."""
        self._velocity.zero_()

    def step(self, gradients: Sequence[Tensor], learning_rate: float, start: Tensor) -> None:
        """One step along ``gradients`` (one for each trainable tensor); ``start`` is where the client began, flat."""
        for velocity, gradient in zip(self._parts, gradients, strict=True):
            torch.add(gradient, velocity, alpha=self._momentum, out=velocity)
        if self._weight_decay:
            self._velocity.add_(self._weights, alpha=self._weight_decay)
        if self._proximal_mu:
            self._velocity.add_(self._weights - start, alpha=self._proximal_mu)
        self._weights.add_(self._velocity, alpha=-learning_rate)
