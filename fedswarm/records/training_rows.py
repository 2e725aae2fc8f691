"""Rows that a learning policy's regressors saw, as CSV: ``round, client_id, f0 ... f<d-1>, target_utility``.

The columns are those that the family's tools for choosing hyper-parameters read. ``round`` counts selections from 0; a
utility that nobody knows, of a failure, is left empty.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import RunFailedError


class TrainingRows:
    """Appends to ``<prefix>_<regressor>.csv`` in ``folder``, which is made when the first rows come.

    Raises :class:`RunFailedError` if a file cannot be written.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix

    def __call__(
        self,
        regressor: str,
        round_index: int,
        client_ids: NDArray[np.int64],
        features: NDArray[np.float32],
        targets: NDArray[np.float64],
    ) -> None:
        """Adds a row for each client: ``features`` ``(n, d)``, ``targets`` ``(n,)``, NaN where unknown."""
        path = self._folder / f"{self._prefix}_{regressor}.csv"
        known = [repr(target) if target == target else "" for target in targets.tolist()]
        lines = [
            f"{round_index},{client},{','.join(map(str, row))},{target}\n"
            for client, row, target in zip(client_ids.tolist(), features, known, strict=True)
        ]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="ascii") as file:
                if file.tell() == 0:
                    names = ",".join(f"f{number}" for number in range(features.shape[1]))
                    file.write(f"round,client_id,{names},target_utility\n")
                file.writelines(lines)
        except OSError as error:
            raise RunFailedError(f"{path} cannot be written ({error.strerror}): check the disk") from error
