"""Normal draws keyed by identity, for a million identities at a time.

:func:`fedswarm.randomness.generator` makes a generator an identity, which takes tens of microseconds. Here the key of
``(seed, round, purpose)`` is made once and mixed with the identities by the finalizer of SplitMix64 (Steele, Lea and
Flood 2014, in Stafford's variant 13), two words an identity; Box and Muller's transform turns them into a normal draw.
Who asks, together with whom and in which order plays no part.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.randomness import key_digest

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

# Published noise of compute speed: log-normal, this sigma, mean 0.9, hence median 0.872.
COMPUTE_SIGMA: Final = 0.25
COMPUTE_MEAN: Final = 0.9

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def compute_noise(seed: int, round_index: int, client_ids: NDArray[np.int64]) -> Floats:
    """The factor on each client's compute speed in that round."""
    mu = math.log(COMPUTE_MEAN) - COMPUTE_SIGMA**2 / 2
    factors: Floats = np.exp(mu + COMPUTE_SIGMA * keyed_normals(seed, round_index, "compute-noise", client_ids))
    return factors


def keyed_normals(
    seed: int, round_index: int, purpose: str, identities: NDArray[np.int64], lanes: int | NDArray[np.int64] = 0
) -> Floats:
    """A standard normal draw for each identity and lane, arrays of one shape; at most 8.6 from 0."""
    uniform = keyed_uniforms(seed, round_index, purpose, identities, 2 * np.asarray(lanes))
    angle = keyed_uniforms(seed, round_index, purpose, identities, 2 * np.asarray(lanes) + 1)
    draws: Floats = np.sqrt(-2.0 * np.log(1.0 - uniform)) * np.cos(2.0 * math.pi * angle)
    return draws


def keyed_uniforms(
    seed: int, round_index: int, purpose: str, identities: NDArray[np.int64], lanes: int | NDArray[np.int64] = 0
) -> Floats:
    """A draw from ``[0, 1)`` for each identity and lane; lanes tell several draws of one identity apart."""
    first, second = np.frombuffer(key_digest(seed, round_index, purpose), dtype="<u8")
    words = _mixed(np.asarray(identities).astype(np.uint64) * _GOLDEN + first)
    words = _mixed((words ^ second) + np.asarray(lanes).astype(np.uint64) * _GOLDEN)
    uniforms: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms


def _mixed(words: Words) -> Words:
    """SplitMix64's finalizer: every bit of the input moves about half of the output's."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))
