"""The mean of what arrived by the deadline, chunk by chunk.

With ``S_c`` the sources whose chunk ``c`` arrived, ``n_i`` their sample counts and ``W_c`` the sum of those, the new
weights are::

    new_c = base_c + lambda_c * sum_{i in S_c} n_i (w_i,c - base_c) / W_c

``base`` is the model at the round's start, one's own update is a source like any other, and a chunk that nobody sent
keeps the base. ``lambda_c`` is the choice of :class:`CompletionRule`. When everything arrived, it is 1 under every rule
and this is federated averaging. (FLTorrent averages coverage over whole tensors, which amplifies chunks that arrived
in full and fills gaps with the receiver's own trained weights; here each chunk stands for itself.)

**Sums do not depend on the order of arrival**, as in :mod:`fedswarm.aggregation.grid`, though nobody knows beforehand
whose chunks will arrive. Instead of the share ``n_i / W_c`` each addend gets ``n_i / D``, where ``D`` is a power of two
not below the sample count of everyone who might contribute. Those shares are exact and add up to at most one, so the
grid's argument holds unchanged: rounded once, addends stay below ``2**(51 - bits)``, and so do sums. At the end the
exact sum is multiplied by ``D / W_c``. What remains is the rounding of the addends, in a mean of ``k`` of them at most
``(k / 2) 2**-bits D / W_c``: with 40 bits, ten sources and a tenth of all samples there, 9e-11 at worst, where float32
resolves 6e-8 at weights near one. A generous ``D`` costs its excess, one bit for each doubling.

Sample counts are what the sources claim: who lets strangers in must bound them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from fedswarm.aggregation.grid import Grid
from fedswarm.errors import NumericRangeError
from fedswarm.models.layout import Vector

Samples = NDArray[np.int64]

DEFAULT_CAP: Final = 2.5


@dataclass(frozen=True)
class CompletionRule:
    """How far to go when only ``W_c`` of ``W`` samples stand behind a chunk's mean: a choice of bias against variance.

    - ``renormalise``: ``lambda = 1``, all the way. Unbiased, but few updates speak for all.
    - ``shrink``: ``lambda = W_c / W``, as if the missing had changed nothing. Small variance, biased towards standing
      still.
    - ``capped``: ``lambda = min(1, cap W_c / W)``, all the way while at least ``1 / cap`` of the samples arrived.

    Raises :class:`ValueError` for a ``cap`` below 1.
    """

    kind: Literal["renormalise", "shrink", "capped"] = "renormalise"
    cap: float = DEFAULT_CAP

    def __post_init__(self) -> None:
        if not self.cap >= 1:
            raise ValueError(f"a cap of {self.cap} would shrink complete chunks: give at least 1")

    def damping(self, arrived: Samples, total: int) -> NDArray[np.float64]:
        """``lambda`` of each chunk, of which ``arrived`` ``(C,)`` out of ``total`` samples are there."""
        if self.kind == "renormalise":
            return np.ones(len(arrived))
        share = arrived / total
        return share if self.kind == "shrink" else np.minimum(1.0, self.cap * share)


@dataclass(frozen=True)
class Coverage:
    """What had arrived: samples behind each chunk ``(C,)``, and how many chunks of each source."""

    arrived_samples: Samples
    chunks_of: Mapping[str, int]

    @property
    def complete_sources(self) -> tuple[str, ...]:
        """Sources of which every chunk arrived, in the order of names."""
        return tuple(sorted(name for name, chunks in self.chunks_of.items() if chunks == len(self.arrived_samples)))

    @property
    def missing_chunks(self) -> int:
        """Chunks that nobody sent."""
        return int(np.count_nonzero(self.arrived_samples == 0))

    def share(self, total_samples: int) -> float:
        """Part of all chunks of ``total_samples`` samples that arrived, by samples: 1 when everything did."""
        return float(self.arrived_samples.mean()) / total_samples


@dataclass(slots=True)
class _Source:
    samples: int
    arrived: NDArray[np.bool_]


@dataclass
class PartialMean:
    """Sums chunks as they arrive, in any order, and keeps none of them: eight bytes a weight for any number of sources.

    ``base`` is the float32 model ``(P,)`` at the round's start, not copied: nobody may write to it. To average updates
    instead of weights, give zeros. ``chunk_weights`` is how many weights a chunk has; only the last may be short.
    ``largest_total`` is at least the sample count of everyone who might contribute.
    """

    base: Vector
    chunk_weights: int
    largest_total: int
    grid: Grid = field(default_factory=Grid)

    def __post_init__(self) -> None:
        if self.chunk_weights < 1 or self.largest_total < 1:
            raise ValueError(
                f"chunks of {self.chunk_weights} weights, {self.largest_total} samples: at least 1 of each"
            )
        self._denominator = 1 << (self.largest_total - 1).bit_length()
        self._sum = np.zeros(self.base.size, dtype=np.float64)
        self._arrived = np.zeros(-(-self.base.size // self.chunk_weights), dtype=np.int64)
        self._sources: dict[str, _Source] = {}

    @property
    def chunks(self) -> int:
        """How many chunks the model has."""
        return len(self._arrived)

    @property
    def coverage(self) -> Coverage:
        """What has arrived so far."""
        return Coverage(self._arrived.copy(), {name: int(s.arrived.sum()) for name, s in self._sources.items()})

    def range(self, chunk: int) -> slice:
        """The weights that ``chunk`` covers; raises :class:`IndexError` when there is no such chunk."""
        if not 0 <= chunk < self.chunks:
            raise IndexError(f"chunk {chunk} of a model of {self.chunks} chunks")
        start = chunk * self.chunk_weights
        return slice(start, min(start + self.chunk_weights, self.base.size))

    def add(self, source: str, chunk: int, weights: Vector, samples: int) -> bool:
        """Adds the weights of one chunk of ``source``, which trained on ``samples`` samples.

        A chunk that was added before is ignored, and the answer is False. Raises :class:`NumericRangeError` for weights
        further from the base than sums allow or samples beyond ``largest_total``, :class:`ValueError` for a wrong
        length or a sample count other than the source's first; then nothing of it is added.
        """
        where = self.range(chunk)
        state = self._state_of(source, samples)
        if state.arrived[chunk]:
            return False
        base = self.base[where]
        if weights.shape != base.shape:
            raise ValueError(f"chunk {chunk} of {source!r} has shape {weights.shape}, expected {base.shape}")
        with np.errstate(over="ignore", invalid="ignore"):  # a hostile source's infinities fail the check below
            delta = np.subtract(weights, base, dtype=np.float32)
        self.grid.check(delta)
        together = int(self._arrived[chunk]) + samples
        if together > self.largest_total:
            raise NumericRangeError(
                f"{source!r} brings chunk {chunk} to {together} samples, but largest_total is {self.largest_total}: "
                "it must cover everyone who might contribute"
            )
        self.grid.add_weighted(self._sum[where], delta, samples / self._denominator)
        self._arrived[chunk] += samples
        state.arrived[chunk] = True
        self._sources[source] = state
        return True

    def add_whole(self, source: str, weights: Vector, samples: int) -> None:
        """Adds every chunk of ``source``: one's own update, or one that came whole. Raises as :meth:`add`."""
        if weights.shape != self.base.shape:
            raise ValueError(f"weights of {source!r} have shape {weights.shape}, expected {self.base.shape}")
        for chunk in range(self.chunks):
            self.add(source, chunk, weights[self.range(chunk)], samples)

    def result(self, rule: CompletionRule, total_samples: int) -> Vector:
        """The new weights ``(P,)``, float32, when ``total_samples`` samples were to contribute. May be asked again.

        Raises :class:`ValueError` when more than ``total_samples`` are there.
        """
        most = int(self._arrived.max())
        if total_samples < max(most, 1):
            raise ValueError(f"{most} samples contributed, more than the total of {total_samples}")
        scale = rule.damping(self._arrived, total_samples) * (self._denominator / np.maximum(self._arrived, 1))
        moved = np.empty_like(self.base)
        for chunk in range(self.chunks):
            where = self.range(chunk)
            moved[where] = self.base[where] + self._sum[where] * scale[chunk]
        return moved

    def _state_of(self, source: str, samples: int) -> _Source:
        if samples < 1:
            raise ValueError(f"{source!r} trained on {samples} samples: a contribution has at least 1")
        state = self._sources.get(source) or _Source(samples, np.zeros(self.chunks, dtype=np.bool_))
        if samples != state.samples:
            raise ValueError(f"{source!r} trained on {samples} samples, but said {state.samples} before")
        return state
