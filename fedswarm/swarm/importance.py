"""How important each chunk of an update is, as its owner publishes it: one byte a chunk, 255 for the most important.

A score is a mean over the chunk's weights, so that it tells what a byte on the wire is worth and a short last chunk is
not at a disadvantage. Every method but the baselines looks at the *delta*, the trained weights minus those at the
round's start, or at what the loss says about the trained weights: what a receiver already has is of no use to it.

Bytes are ranks: monotone in the score, equal for equal scores, spread over the whole range. How large one score is next
to another is lost; pickers compare ranks anyway. On 11 million weights a method takes 25 to 65 ms of CPU time.
Gradients come from the training engine and cost more (:mod:`fedswarm.training.gradients`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import NumericRangeError
from fedswarm.models.layout import Vector

Scores = NDArray[np.float64]
Starts = NDArray[np.intp]

MOST_IMPORTANT: Final = 255


@dataclass(frozen=True)
class Evidence:
    """What an owner knows of its update; float32 vectors ``(P,)`` in the order of the layout.

    ``weights`` are the trained ones, ``delta`` how far training moved them, ``gradient`` that of the mean loss of a
    mini-batch and ``squared_gradient`` the mean over samples of squared gradients, both at ``weights``. What a method
    does not need may be absent. ``draws`` is a keyed generator for the method ``random``.
    """

    delta: Vector
    weights: Vector | None = None
    gradient: Vector | None = None
    squared_gradient: Vector | None = None
    draws: np.random.Generator | None = None


@dataclass(frozen=True)
class Method:
    """A way to score chunks: from evidence and each chunk's first weight, ``(C,)``, to scores ``(C,)``."""

    score: Callable[[Evidence, Starts], Scores]
    needs_gradient: bool = False
    needs_squared_gradient: bool = False


def chunk_importance(method: str, evidence: Evidence, chunk_weights: int) -> bytes:
    """The importance of each chunk of ``chunk_weights`` weights (the last may be short), for the manifest.

    Raises :class:`ValueError` for an unknown method or missing evidence, :class:`NumericRangeError` for a score that is
    not finite.
    """
    if method not in METHODS:
        raise ValueError(f"unknown importance method {method!r}: choose one of {', '.join(METHODS)}")
    scores = METHODS[method].score(evidence, np.arange(0, evidence.delta.size, chunk_weights))
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise NumericRangeError(
            f"chunk {bad[0]} has the {method} score {scores[bad[0]]}: training diverged; lower training.learning_rate"
        )
    return rank_bytes(scores)


def rank_bytes(scores: Scores) -> bytes:
    """Scores ``(C,)`` as one byte each: the best 255, the worst 0, evenly spaced by rank; 255 if all are equal."""
    distinct, ranks = np.unique(scores, return_inverse=True)
    if len(distinct) == 1:
        return bytes([MOST_IMPORTANT]) * len(scores)
    return bytes((ranks * MOST_IMPORTANT // (len(distinct) - 1)).astype(np.uint8))


def delta_magnitude(evidence: Evidence, starts: Starts) -> Scores:
    """``mean |delta|``: how far training moved a weight."""
    return _means(np.abs(evidence.delta), starts)


def delta_l2(evidence: Evidence, starts: Starts) -> Scores:
    """``||delta||_2 / sqrt(n)``: as the magnitude, but a few large moves count for more."""
    return np.sqrt(_means(np.square(evidence.delta, dtype=np.float64), starts))


def snip(evidence: Evidence, starts: Starts) -> Scores:
    """``mean |g w|``: how much the loss depends on the weights being there.

    N. Lee, T. Ajanthan and P. H. S. Torr, *SNIP: single-shot network pruning based on connection sensitivity*, ICLR
    2019, arXiv:1810.02340, equation 4, at the trained weights instead of the initial ones. Their normalisation over
    the model does not change ranks.
    """
    weights, gradient = _present("weights", evidence.weights), _present("gradient", evidence.gradient)
    return _means(np.abs(np.multiply(gradient, weights, dtype=np.float64)), starts)


def fisher(evidence: Evidence, starts: Starts) -> Scores:
    """Mean of the diagonal of the empirical Fisher information: ``mean over samples of (d log p(y|x) / dw)^2``.

    Empirical because ``y`` is the sample's label and not drawn from the model; F. Kunstner, L. Balles and P. Hennig,
    *Limitations of the empirical Fisher approximation*, NeurIPS 2019, arXiv:1905.12558, tell what it misses.
    """
    return _means(_present("squared_gradient", evidence.squared_gradient), starts)


def gradient_delta(evidence: Evidence, starts: Starts) -> Scores:
    """``mean |g delta|``: to first order, how the loss changes for a receiver that lacks the chunk.

    The criterion of P. Molchanov, S. Tyree, T. Karras, T. Aila and J. Kautz, *Pruning convolutional neural networks
    for resource efficient inference*, ICLR 2017, arXiv:1611.06440, equation 8, with falling back to the round's start
    in place of removal.
    """
    gradient = _present("gradient", evidence.gradient)
    return _means(np.abs(np.multiply(gradient, evidence.delta, dtype=np.float64)), starts)


def random_order(evidence: Evidence, starts: Starts) -> Scores:
    """A baseline: a random order of chunks."""
    if evidence.draws is None:
        raise ValueError("the method random needs Evidence.draws: give a keyed generator")
    return evidence.draws.permutation(len(starts)).astype(np.float64)


def sequential(evidence: Evidence, starts: Starts) -> Scores:
    """A baseline: the first chunk first."""
    return -starts.astype(np.float64)


METHODS: Final[Mapping[str, Method]] = {
    "delta_magnitude": Method(delta_magnitude),
    "delta_l2": Method(delta_l2),
    "snip": Method(snip, needs_gradient=True),
    "fisher": Method(fisher, needs_squared_gradient=True),
    "gradient_delta": Method(gradient_delta, needs_gradient=True),
    "random": Method(random_order),
    "sequential": Method(sequential),
}


def _means(values: NDArray[np.floating], starts: Starts) -> Scores:
    """Means in float64 over the runs that begin at ``starts``."""
    lengths = np.diff(starts, append=values.size)
    return np.asarray(np.add.reduceat(values, starts, dtype=np.float64) / lengths)


def _present(name: str, vector: Vector | None) -> Vector:
    if vector is None:
        raise ValueError(f"this importance method needs Evidence.{name}: the training engine computes it")
    return vector
