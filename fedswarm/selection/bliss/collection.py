"""Where the rows that regressors learn from go, if a job collects them."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


class RowSink(Protocol):
    """Takes the rows of one fit; whoever runs the policy decides where they are kept."""

    def __call__(
        self,
        regressor: Literal["g", "h"],
        round_index: int,
        client_ids: NDArray[np.int64],
        features: NDArray[np.float32],
        targets: NDArray[np.float64],
    ) -> None:
        """``features`` ``(n, d)`` and ``targets`` ``(n,)``, NaN where the utility is unknown."""
        ...
