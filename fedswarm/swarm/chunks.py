"""How large a chunk is."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MIN_CHUNK_BYTES: Final = 16 * KIB
MAX_CHUNK_BYTES: Final = 4 * MIB

# A chunk is what a peer verifies and passes on. Small ones multiply sooner, large ones cost fewer messages; several
# hundred a model keep the last hop's delay below a percent, and below 256 KiB the cost of a message dominates. On links
# of some 20 Mb/s it is the time of a chunk that counts: what an owner sends to seven others takes it 0.18 s at
# 64 KiB, and a broadcast ends late by about two of these.
_CHUNKS_AIMED_AT: Final = 375
_SMALLEST_CHOICE: Final = 256 * KIB
_CHUNKS_AIMED_AT_ON_SLOW_LINKS: Final = 750
_SMALLEST_ON_SLOW_LINKS: Final = 32 * KIB
_LARGEST_CHOICE: Final = 1 * MIB


def chunk_bytes_for(total_bytes: int, *, slow_links: bool = False) -> int:
    """Bytes in a chunk of weights of ``total_bytes``: the power of two in 256 KiB..1 MiB nearest to 375 chunks.

    With ``slow_links`` (below about 100 Mb/s) nearest to 750 chunks, which may be as small as 32 KiB.
    """
    choice = _SMALLEST_ON_SLOW_LINKS if slow_links else _SMALLEST_CHOICE
    chunks = _CHUNKS_AIMED_AT_ON_SLOW_LINKS if slow_links else _CHUNKS_AIMED_AT
    while choice < _LARGEST_CHOICE and total_bytes > chunks * choice * 4 // 3:
        choice *= 2
    return choice
