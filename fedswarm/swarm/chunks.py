"""How large a chunk is."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MIN_CHUNK_BYTES: Final = 16 * KIB
MAX_CHUNK_BYTES: Final = 4 * MIB

# A chunk is what a peer verifies and passes on. Small ones multiply sooner, large ones cost fewer messages; several
# hundred a model keep the last hop's delay below a percent, and below 256 KiB the cost of a message dominates.
_CHUNKS_AIMED_AT: Final = 375
_SMALLEST_CHOICE: Final = 256 * KIB
_SMALLEST_ON_SLOW_LINKS: Final = 64 * KIB  # on links of some 20 Mb/s the time of a chunk counts, not its cost
_LARGEST_CHOICE: Final = 1 * MIB


def chunk_bytes_for(total_bytes: int, *, slow_links: bool = False) -> int:
    """Bytes in a chunk of weights of ``total_bytes``: the power of two in 256 KiB..1 MiB nearest to 375 chunks.

    With ``slow_links`` (below about 100 Mb/s) a chunk may be as small as 64 KiB.
    """
    choice = _SMALLEST_ON_SLOW_LINKS if slow_links else _SMALLEST_CHOICE
    while choice < _LARGEST_CHOICE and total_bytes > _CHUNKS_AIMED_AT * choice * 4 // 3:
        choice *= 2
    return choice
