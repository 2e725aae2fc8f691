"""Oort's first testing selector (section 5.1): how many random clients represent all, without looking at their data.

With n of N clients drawn without replacement, the mean of a quantity whose values span ``span`` (samples a client, say)
stays within ``deviation`` of the mean over all with probability ``confidence`` when

    n >= (N + 1) / (1 - 2 N / ln(1 - confidence) * (deviation / span)^2)

which is Hoeffding's bound for large N, corrected for a finite population (Serfling 1974). The bound is one-sided, as in
the authors' code; that code takes a confidence and an over-commitment too, and ignores both.
"""

from __future__ import annotations

import math

import numpy as np

from fedswarm.errors import DataError
from fedswarm.randomness import generator
from fedswarm.selection.contract import ClientIds


def clients_for_deviation(deviation: float, span: float, clients: int, confidence: float = 0.95) -> int:
    """The least number of clients to draw out of ``clients``.

    Args:
        deviation: tolerated difference of the means, in the quantity's unit; above 0.
        span: largest minus smallest value that a client can have, in the same unit; above 0.
        clients: how many there are; at least 1.
        confidence: wanted probability, between 0 and 1.

    Raises :class:`DataError` for values outside these ranges.
    """
    sound = deviation > 0 and span > 0 and clients >= 1 and 0 < confidence < 1
    if not (sound and math.isfinite(deviation) and math.isfinite(span)):
        raise DataError(
            f"deviation {deviation:g} and span {span:g} must be above 0, clients {clients} at least 1,"
            f" confidence {confidence:g} between 0 and 1"
        )
    factor = 1 - 2 * clients / math.log(1 - confidence) * (deviation / span) ** 2
    return min(clients, max(1, math.ceil((clients + 1) / factor)))


def select_by_deviation(
    client_ids: ClientIds,
    deviation: float,
    span: float,
    seed: int,
    draw: int,
    confidence: float = 0.95,
    overcommitment: float = 1.1,
) -> ClientIds:
    """Draws ``overcommitment`` times that many of ``client_ids``, since some will not answer; ascending.

    The draw follows from ``(seed, draw)``. Raises :class:`DataError` as :func:`clients_for_deviation` does.
    """
    needed = clients_for_deviation(deviation, span, len(client_ids), confidence)
    count = min(len(client_ids), math.ceil(needed * overcommitment))
    return np.sort(generator(seed, draw, "testing clients").choice(client_ids, count, replace=False))
