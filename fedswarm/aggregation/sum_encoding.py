"""Partial sums as they travel: dense, or without the weights that no update touched.

Sums are float64 words. When enough of them are zero (few clients on an executor, compressed updates), the words of the
others follow a bitmap of which they are, one bit a weight, padded to whole words:

::

    dense    P words
    sparse   ceil(P / 64) words of bitmap, weight i in bit i mod 8 of byte i // 8; then k words by ascending weight

The sparse form is used only when it is shorter, so the length tells which one it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedswarm.aggregation.grid import Sum
from fedswarm.errors import WireError


def encode_sum(total: Sum) -> Sum:
    """The words to send for a partial sum of shape ``(P,)``: itself, or the shorter sparse form."""
    present = total != 0
    bitmap_words = -(-total.size // 64)
    if bitmap_words + np.count_nonzero(present) >= total.size:
        return total
    bitmap = np.zeros(8 * bitmap_words, dtype=np.uint8)
    packed = np.packbits(present, bitorder="little")
    bitmap[: packed.size] = packed
    return np.concatenate([bitmap.view(np.float64), total[present]])


def decode_sum(words: NDArray[np.float64], size: int) -> Sum:
    """The partial sum of ``size`` weights in received words; raises :class:`WireError` for what no sender would send.

    Values may be any float64: a wrong sum by a dishonest executor cannot be told from a right one here.
    """
    if words.dtype != np.float64 or words.ndim != 1:
        raise WireError(f"a partial sum must be a flat float64 vector, not {words.dtype} of shape {words.shape}")
    if words.size == size:
        return words
    bitmap_words = -(-size // 64)
    if not bitmap_words <= words.size < size:
        raise WireError(f"{words.size} words do not encode a partial sum of {size} weights")
    bits = np.unpackbits(words[:bitmap_words].view(np.uint8), bitorder="little")
    present = np.flatnonzero(bits)
    if present.size != words.size - bitmap_words or (present.size and present[-1] >= size):
        raise WireError(
            f"a partial sum's bitmap marks {present.size} weights, {words.size - bitmap_words} values follow"
        )
    total = np.zeros(size, dtype=np.float64)
    total[present] = words[bitmap_words:]
    return total
