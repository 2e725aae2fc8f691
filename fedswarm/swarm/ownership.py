"""Who is in charge of which chunk, agreed without a word: highest-random-weight ("rendezvous") hashing.

Every peer scores every (peer, chunk) pair alike and the highest score owns the chunk (Thaler and Ravishankar, "Using
name-based mappings to increase hit rates", 1998). When a peer leaves, only its chunks change owner.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def owners(candidates: Collection[str], key: bytes, chunks: int) -> list[str]:
    """The owner of each of ``chunks`` chunks, one of the ``candidates`` (at least one), whatever order they are in.

    ``key`` names what the chunks are of: under another one they are dealt differently.
    """
    names = sorted(set(candidates))
    digests = [blake3(key + name.encode()).digest(length=8) for name in names]
    seeds = np.array([int.from_bytes(digest) for digest in digests], dtype=np.uint64)
    return [names[best] for best in np.argmax(_scores(seeds, chunks), axis=0)]


def _scores(seeds: NDArray[np.uint64], chunks: int) -> NDArray[np.uint64]:
    """``(peers, chunks)`` scores: the SplitMix64 stream of each seed (Steele, Lea and Flood, 2014)."""
    z = seeds[:, None] + np.arange(1, chunks + 1, dtype=np.uint64)[None, :] * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
