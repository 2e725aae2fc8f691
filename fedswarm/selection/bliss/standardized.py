"""Features on a common scale: mean 0 and deviation 1 over the rows that were learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Standardization:
    """Mean and deviation of each feature, float64 ``(d,)``; the deviation of a constant counts as 1."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Self:
        """That of these rows, ``(n, d)``."""
        deviation = features.std(axis=0, dtype=np.float64)
        return cls(features.mean(axis=0, dtype=np.float64), np.where(deviation > 1e-6, deviation, 1.0))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The rows on the common scale."""
        scaled: NDArray[np.float64] = (features - self.mean) / self.deviation
        return scaled

    def state_dict(self) -> dict[str, Any]:
        """Both arrays."""
        return {"mean": self.mean.copy(), "deviation": self.deviation.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """From what :meth:`state_dict` gave."""
        return cls(np.array(state["mean"], dtype=np.float64), np.array(state["deviation"], dtype=np.float64))
