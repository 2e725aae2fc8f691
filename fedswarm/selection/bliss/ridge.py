"""Linear regression with an L2 penalty on standardised features (Hoerl and Kennard, Technometrics 12(1), 1970).

The published choice is ordinary least squares, which has no unique answer here: one-hot features add up to a constant
and many are never 1. A little ridge picks one, and all but leaves the rest as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.selection.bliss.standardized import Standardization


class Ridge:
    """Implements :class:`~fedswarm.selection.bliss.regressor.Regressor`.

    Args:
        ridge: penalty on a squared coefficient, in units of a row's squared error.
    """

    def __init__(self, ridge: float) -> None:
        self._ridge = ridge
        self._scale: Standardization | None = None
        self._coefficients: NDArray[np.float64] = np.zeros(0)
        self._mean = 0.0

    def fit(self, features: NDArray[np.float32], targets: NDArray[np.float64], random: np.random.Generator) -> None:
        """Solves the normal equations; draws nothing."""
        self._scale = Standardization.of(features)
        rows = self._scale.apply(features)
        self._mean = float(targets.mean())
        gram = rows.T @ rows
        gram[np.diag_indices_from(gram)] += self._ridge * len(rows)
        self._coefficients = np.linalg.solve(gram, rows.T @ (targets - self._mean)).astype(np.float64)

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The linear form."""
        if self._scale is None:
            return np.zeros(len(features))
        predicted: NDArray[np.float64] = self._scale.apply(features) @ self._coefficients + self._mean
        return predicted

    def state_dict(self) -> dict[str, Any]:
        """Coefficients and scales."""
        if self._scale is None:
            return {}
        return {"coefficients": self._coefficients.copy(), "mean": self._mean, "scale": self._scale.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        if not state:
            self._scale = None
            return
        self._scale = Standardization.from_state(state["scale"])
        self._coefficients = np.array(state["coefficients"], dtype=np.float64)
        self._mean = float(state["mean"])
