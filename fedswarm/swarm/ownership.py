"""Who fetches which chunk from the source, agreed without a word: highest-random-weight ("rendezvous") hashing.

Every peer scores every (peer, chunk) pair alike and the highest score owns the chunk (Thaler and Ravishankar, 1998).
When a peer leaves, only its chunks change owner; when views differ for a moment, a chunk is fetched twice and no more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def owned_by(peer: str, candidates: Collection[str], root: bytes, chunks: int) -> NDArray[np.bool_]:
    """Which of ``chunks`` chunks of the weights ``root`` belong to ``peer``, itself one of the candidates or not."""
    names = sorted({*candidates, peer})
    keys = [blake3(root + name.encode()).digest(length=8) for name in names]
    seeds = np.array([int.from_bytes(key) for key in keys], dtype=np.uint64)
    best = np.argmax(_scores(seeds, chunks), axis=0)
    return np.asarray(best == names.index(peer))


def _scores(seeds: NDArray[np.uint64], chunks: int) -> NDArray[np.uint64]:
    """``(peers, chunks)`` scores: the SplitMix64 stream of each seed (Steele, Lea and Flood, 2014)."""
    z = seeds[:, None] + np.arange(1, chunks + 1, dtype=np.uint64)[None, :] * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
