"""Gradient-boosted trees by XGBoost (Chen and Guestrin 2016, arXiv:1603.02754), the published choice.

The package comes with the extra ``bliss`` (distribution ``xgboost-cpu``) and is imported when it is needed. Trees are
grown in one thread, so they do not depend on the machine. Their state is XGBoost's own binary JSON, not a pickle.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import DependencyError
from fedswarm.jobs.bliss_sections import BoostedTreesSection

STATE_FORMAT: Final = "ubj"


class BoostedTrees:
    """Implements :class:`~fedswarm.selection.bliss.regressor.Regressor`."""

    def __init__(self, section: BoostedTreesSection) -> None:
        self._section = section
        self._xgboost = _package()
        self._booster: Any = None

    def fit(self, features: NDArray[np.float32], targets: NDArray[np.float64], random: np.random.Generator) -> None:
        """Grows all trees anew; ``random`` seeds which rows and columns each of them sees."""
        section = self._section
        settings = {
            "objective": "reg:squarederror",
            "learning_rate": section.learning_rate,
            "max_depth": section.max_depth,
            "subsample": section.subsample,
            "colsample_bytree": section.colsample_bytree,
            "nthread": 1,
            "seed": int(random.integers(2**31)),
            "verbosity": 0,
        }
        rows = self._xgboost.DMatrix(features, label=targets, nthread=1)
        self._booster = self._xgboost.train(settings, rows, num_boost_round=section.n_estimators)

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of the trees."""
        if self._booster is None or len(features) == 0:
            return np.zeros(len(features))
        predicted: NDArray[np.float64] = self._booster.inplace_predict(features).astype(np.float64)
        return predicted

    def state_dict(self) -> dict[str, Any]:
        """The trees, uint8."""
        if self._booster is None:
            return {}
        return {"trees": np.frombuffer(bytes(self._booster.save_raw(STATE_FORMAT)), dtype=np.uint8).copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._booster = None
        if state:
            trees = bytearray(np.asarray(state["trees"], dtype=np.uint8).tobytes())
            self._booster = self._xgboost.Booster({"nthread": 1}, model_file=trees)


def _package() -> ModuleType:
    try:
        import xgboost
    except ImportError as error:
        raise DependencyError(
            f"selection.bliss needs XGBoost, which cannot be imported ({error}): pip install 'fedswarm[bliss]',"
            " or choose model: linreg or mlp for selection.bliss.g and selection.bliss.h"
        ) from error
    module: ModuleType = xgboost
    return module
