"""How weights are to travel in a job: from peers or straight from the source, and in chunks of what size."""

from __future__ import annotations

from typing import Final, Literal

from fedswarm.jobs.exchange_sections import ExchangeSection
from fedswarm.swarm.chunks import chunk_bytes_for

# Below this much traffic in all, asking around costs more than the source's uplink does.
SWARM_FROM_BYTES: Final = 4 * 1024 * 1024
REDUCE_FROM_BYTES: Final = 64 * 1024 * 1024
SUM_WEIGHT_BYTES: Final = 8
SLOW_MBPS: Final = 100.0

Way = Literal["swarm", "direct"]
"""What ``auto`` comes to, in the words of a job."""


def way(by_peers: bool) -> Way:
    """The word for it."""
    return "swarm" if by_peers else "direct"


def spreads_by_peers(section: ExchangeSection, total_bytes: int, executors: int) -> bool:
    """Whether a model version goes peer to peer.

    ``auto`` says yes once more than one executor wants it and the source would upload ``SWARM_FROM_BYTES`` or more.
    """
    if section.broadcast != "auto":
        return section.broadcast == "swarm"
    return executors > 1 and total_bytes * executors >= SWARM_FROM_BYTES


def reduces_by_peers(section: ExchangeSection, weights: int, executors: int) -> bool:
    """Whether executors add up their sums among themselves before the aggregator fetches the result.

    ``auto`` says yes from three executors on, if that saves the aggregator ``REDUCE_FROM_BYTES`` or more: with two,
    what it saves there the executors pay.
    """
    if section.reduce != "auto":
        return section.reduce == "swarm" and executors > 1
    return executors > 2 and weights * SUM_WEIGHT_BYTES * (executors - 1) >= REDUCE_FROM_BYTES


def chosen_chunk_bytes(section: ExchangeSection, total_bytes: int) -> int:
    """The chunk size, in bytes, of weights of ``total_bytes``: the job's, or one that fits their size and the links."""
    if not isinstance(section.chunk_kib, str):
        return section.chunk_kib * 1024
    shaping = section.shaping
    is_slow = shaping.link != "none" or (shaping.up_mbps is not None and shaping.up_mbps <= SLOW_MBPS)
    return chunk_bytes_for(total_bytes, slow_links=is_slow)
