"""What a regressor of Bliss expects of a client: the utility of its next participation.

Failures are learnt apart by default: one model of the utility, of participations whose utility is known, and one of the
chance to count, of all; the expectation is their product. In the published system a failure is a utility of 0 among the
others, so a client that is slow looks like one that has nothing to teach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.jobs.bliss_sections import RegressorSection
from fedswarm.selection.bliss.regressor import Regressor, make_regressor

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Lesson:
    """Participations to learn from: features ``(n, d)``, utility (NaN where unknown) and success ``(n,)``."""

    features: Matrix
    utility: Vector
    success: NDArray[np.bool_]


class Outlook:
    """Fitted from scratch before every selection."""

    def __init__(self, section: RegressorSection, *, failures_apart: bool) -> None:
        self._utility: Regressor = make_regressor(section)
        self._success: Regressor | None = make_regressor(section) if failures_apart else None
        self.fitted = False
        self._certain: float | None = None

    def fit(self, lesson: Lesson, random: np.random.Generator) -> None:
        """Learns a lesson; one without any utility above 0 teaches nothing and leaves all as it was."""
        known = ~np.isnan(lesson.utility)
        if not np.any(np.abs(lesson.utility[known]) > 1e-12):
            return
        self._utility.fit(lesson.features[known], lesson.utility[known], random)
        if self._success is not None:
            # One outcome alone is no question for a regressor: it is the answer.
            self._certain = float(lesson.success[0]) if len(set(lesson.success.tolist())) == 1 else None
            if self._certain is None:
                self._success.fit(lesson.features, lesson.success.astype(np.float64), random)
        self.fitted = True

    def predict(self, features: Matrix) -> Vector:
        """Expected utility of each row, ``(n,)``; zeros before the first fit."""
        expected = self._utility.predict(features)
        if self._success is None or not self.fitted:
            return expected
        chance = self._success.predict(features) if self._certain is None else np.full(len(features), self._certain)
        product: Vector = np.maximum(expected, 0.0) * np.clip(chance, 0.0, 1.0)
        return product

    def state_dict(self) -> dict[str, Any]:
        """Both models."""
        success = {} if self._success is None else self._success.state_dict()
        return {
            "fitted": self.fitted,
            "certain": self._certain,
            "utility": self._utility.state_dict(),
            "success": success,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self.fitted, self._certain = bool(state["fitted"]), state["certain"]
        self._utility.load_state_dict(state["utility"])
        if self._success is not None:
            self._success.load_state_dict(state["success"])
