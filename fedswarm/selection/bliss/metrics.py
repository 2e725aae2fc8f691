"""A summary of what Bliss knows: the published ``getAllMetrics``, under its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.selection.client_table import ClientTable


def bliss_metrics(
    clients: ClientTable, round_index: int, seen: Mapping[int, float], unseen: Mapping[int, float]
) -> dict[str, Any]:
    """JSON values. ``round_index`` is the next selection's; the *last round* is the one before.

    The published summary looks for the next round where it means the last one, and so always finds nobody.
    """
    heard = clients["heard"] > 0
    success = heard & clients["success"]
    last = heard & (clients["round"] == round_index - 1)
    utility = clients["utility"]
    return {
        "round": round_index,
        "seen": int(np.count_nonzero(heard)),
        "seen_twice": int(np.count_nonzero(clients["heard"] > 1)),
        "unseen": int(np.count_nonzero(~heard)),
        **_spread("util", utility[heard]),
        **_spread("util_no_strag", utility[success]),
        "stragglers": int(np.count_nonzero(heard & ~success)),
        "utils_last_round": utility[last].tolist(),
        "succ_utils_last_round": utility[last & success].tolist(),
        "pred_seen": {str(client): value for client, value in seen.items()},
        "pred_unseen": {str(client): value for client, value in unseen.items()},
    }


def _spread(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    if len(values) == 0:
        return {f"{word}_{name}": 0.0 for word in ("avg", "min", "max")}
    return {f"avg_{name}": float(values.mean()), f"min_{name}": float(values.min()), f"max_{name}": float(values.max())}
