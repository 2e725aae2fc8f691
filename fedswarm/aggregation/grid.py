"""Weighted sums of updates that come out bit for bit the same in any order, grouping or retry.

Floating-point addition rounds, so ``(a + b) + c`` and ``a + (b + c)`` differ. Here every addend is first rounded, once,
to a multiple of the quantum ``q = 2**-bits``. Multiples of ``q`` below ``2**52 q`` are float64 values *exactly*, and so
are their sums as long as they stay below that bound: nothing is rounded any more, hence nothing depends on order.

With the default 40 bits the quantum is 9.1e-13, far below the resolution of a float32 update of ordinary size, and the
bound is 4096. Shares of a round add up to one, so a sum never exceeds its largest update: it suffices that each update
stays within :attr:`Grid.largest_update`. One that does not fails its client, loudly.

The rounding itself is one addition and one subtraction: float64 values in ``[2**(52-bits), 2**(53-bits))`` are spaced
by exactly ``q``, so adding ``1.5 * 2**(52-bits)`` drops everything finer (to the nearest multiple, ties to even) and
subtracting it again restores the value. This holds for ``|x| < 2**(51-bits)``, the bound on an update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import NumericRangeError
from fedswarm.models.sparse_update import SparseUpdate, Update

Sum = NDArray[np.float64]

# Weights handled at a time: three float64 blocks of this size stay in a core's second-level cache.
BLOCK: Final = 16_384


@dataclass(frozen=True)
class Grid:
    """The common grid of multiples of ``2**-bits`` on which sums are exact."""

    bits: int = 40

    @property
    def quantum(self) -> float:
        """Spacing of the grid."""
        return 2.0**-self.bits

    @property
    def largest_update(self) -> float:
        """Updates must stay strictly below this magnitude in every coordinate."""
        return 2.0 ** (51 - self.bits)

    @property
    def _rounding_offset(self) -> float:
        return 1.5 * 2.0 ** (52 - self.bits)

    def check(self, delta: Update, norm: float | None = None) -> None:
        """Raises :class:`NumericRangeError` unless every coordinate is finite and in range.

        ``norm`` is the update's L2 norm if the caller has it: when that is in range, so is every coordinate.
        """
        if norm is not None and norm < self.largest_update:
            return
        values = delta.values if isinstance(delta, SparseUpdate) else delta
        largest = float(np.max(np.abs(values), initial=0.0))
        if not largest < self.largest_update:  # also catches NaN
            raise NumericRangeError(
                f"an update has a coordinate of magnitude {largest:g}; sums are exact below {self.largest_update:g} "
                "(is the learning rate too high? aggregation.grid_bits trades range for resolution)"
            )

    def add_weighted(self, total: Sum, delta: Update, share: float) -> None:
        """``total += round(share * delta)`` in place; ``delta`` must have passed :meth:`check`, ``0 <= share <= 1``.

        ``total`` is float64 and ``delta`` float32, both of shape ``(P,)``. A sparse update touches only the weights it
        has, to the same effect.
        """
        size = delta.size  # of the whole vector, for either kind
        if total.shape != (size,):
            raise ValueError(f"a sum of shape {total.shape} cannot take an update of {size} weights")
        values = delta.values if isinstance(delta, SparseUpdate) else delta
        offset = self._rounding_offset
        scratch = np.empty(min(BLOCK, values.size), dtype=np.float64)
        for start in range(0, values.size, BLOCK):
            block = values[start : start + BLOCK]
            addend = scratch[: block.size]
            np.multiply(block, share, out=addend, dtype=np.float64)
            addend += offset
            addend -= offset
            if isinstance(delta, SparseUpdate):
                total[delta.indices[start : start + BLOCK]] += addend
            else:
                total[start : start + BLOCK] += addend


def shares(samples: dict[int, int], weighting: str) -> dict[int, float]:
    """Each client's share in the mean: its trained samples over everybody's (FedAvg), or the same for all.

    Args:
        samples: trained samples of each client that counts.
        weighting: ``"samples"`` or ``"uniform"``.
    """
    if weighting == "uniform":
        return {client: 1.0 / len(samples) for client in sorted(samples)}
    total = sum(samples.values())
    return {client: samples[client] / total for client in sorted(samples)}
