"""Regressors behind one face: ``fit`` from scratch, ``predict``, and a state without pickles."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedswarm.jobs.bliss_sections import RegressorSection
from fedswarm.selection.bliss.boosted_trees import BoostedTrees
from fedswarm.selection.bliss.perceptron import Perceptron
from fedswarm.selection.bliss.ridge import Ridge

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]


class Regressor(Protocol):
    """From features to a number."""

    def fit(self, features: Matrix, targets: Vector, random: np.random.Generator) -> None:
        """Forgets what it knew and learns these rows, at least one: ``features`` ``(n, d)``, ``targets`` ``(n,)``."""
        ...

    def predict(self, features: Matrix) -> Vector:
        """A number a row; zeros before the first fit."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Arrays by name; empty before the first fit."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        ...


def make_regressor(section: RegressorSection) -> Regressor:
    """The regressor that ``selection.bliss.g.model`` or ``.h.model`` names.

    Raises :class:`~fedswarm.errors.DependencyError` if its package is not installed.
    """
    match section.model:
        case "linreg":
            return Ridge(section.linreg.ridge)
        case "mlp":
            return Perceptron(section.mlp)
        case "xgboost":
            return BoostedTrees(section.xgboost)
