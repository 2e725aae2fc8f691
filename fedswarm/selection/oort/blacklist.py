"""Who has had its turn (section 4.4): clients chosen too often are left out, so that no outlier dominates the training.

Deviation: with few clients everybody is chosen that often sooner or later, so no more than a share of all are left out,
the most often chosen first; the authors' code has the same cap (and fails on it, having a fraction of a client). And
nobody is left out when fewer clients than needed would remain online: a round with worn clients beats none.
"""

from __future__ import annotations

import numpy as np

from fedswarm.selection.client_table import Rows
from fedswarm.selection.contract import Integers


def blacklisted(times_chosen: Integers, most: int, largest_share: float) -> Rows:
    """Rows chosen more than ``most`` times (-1: no limit), at most ``floor(share n)`` of the n rows there are."""
    if most < 0 or not len(times_chosen) or times_chosen.max() <= most:
        return np.empty(0, dtype=np.int64)
    worn = np.flatnonzero(times_chosen > most)
    limit = int(largest_share * len(times_chosen))
    if len(worn) <= limit:
        return worn
    return worn[np.argpartition(-times_chosen[worn], limit)[:limit]]
