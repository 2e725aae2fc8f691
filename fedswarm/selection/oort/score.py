"""How much a client that was tried before is worth (Algorithm 1, "Exploitation #1"; equation 1; section 4.4).

::

    score_i = ( normalised min(U_i, clip) + sqrt(0.1 ln R / L_i) ) * (T / t_i)^alpha   [last factor if t_i > T]

U is the client's last statistical utility, R the present round, L the round in which the client last took part, t how
long it took and T the preferred duration; rounds count from 1. The second term grows while a client is left alone
(temporal uncertainty), the factor is the global system utility.

Deviations. The paper adds the temporal term to the bare utility; its authors' code maps utilities to 0..1 first, so
that 0.1 means something, and so do we. That code maps by the largest utility even when the clip caps it, so a single
outlier flattens everybody else, which the clip is there to prevent; ``paper`` maps by the clip, ``reference`` by the
largest.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from fedswarm.selection.contract import Floats, Integers

UNCERTAINTY: Final = 0.1
# The least useful client keeps a small score.
FLOOR_SHARE: Final = 0.999
SMALLEST_RANGE: Final = 1e-4


def normalised(utilities: Floats, clip_bound: float, *, by_largest: bool) -> Floats:
    """Utilities clipped at a quantile and mapped to 0..1; the smallest one lands just above 0.

    ``clip_bound`` is the quantile, as the element at ``floor(n clip_bound)`` of the sorted utilities. ``by_largest``
    divides by the range up to the largest utility, otherwise by the range up to the clip.
    """
    if not len(utilities):
        return utilities
    place = min(int(len(utilities) * clip_bound), len(utilities) - 1)
    clip = float(np.partition(utilities, place)[place])
    floor = float(utilities.min()) * FLOOR_SHARE
    ceiling = float(utilities.max()) if by_largest else clip
    scaled = np.minimum(utilities, clip)
    scaled -= floor
    scaled /= max(ceiling - floor, SMALLEST_RANGE)
    return scaled


def uncertainty(round_number: int, last_rounds: Integers) -> Floats:
    """``sqrt(0.1 ln R / L)`` for ``last_rounds`` of at least 1; rounds count from 1."""
    reach = UNCERTAINTY * math.log(max(round_number, 1))
    term: Floats = np.sqrt(reach / np.maximum(last_rounds, 1))
    return term


def slowness_penalty(durations_s: Floats, preferred_s: float, exponent: float) -> Floats:
    """``(T / t)^alpha`` where t > T and 1 elsewhere, unknown (NaN) durations included; never above 1."""
    if exponent <= 0 or not np.isfinite(preferred_s):
        return np.ones(len(durations_s))
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty: Floats = preferred_s / durations_s
    np.fmin(penalty, 1.0, out=penalty)  # of NaN and 1, fmin takes 1
    penalty **= exponent
    return penalty
