"""How weights are to travel in a job: from peers or straight from the source, and in chunks of what size."""

from __future__ import annotations

from typing import Final

from fedswarm.jobs.exchange_sections import ExchangeSection

# Below this much traffic in all, asking around costs more than the source's uplink does.
SWARM_FROM_BYTES: Final = 4 * 1024 * 1024


def spreads_by_peers(section: ExchangeSection, total_bytes: int, executors: int) -> bool:
    """Whether a model version goes peer to peer.

    ``auto`` says yes once more than one executor wants it and the source would upload ``SWARM_FROM_BYTES`` or more.
    """
    if section.broadcast != "auto":
        return section.broadcast == "swarm"
    return executors > 1 and total_bytes * executors >= SWARM_FROM_BYTES


def chosen_chunk_bytes(section: ExchangeSection) -> int | None:
    """The job's chunk size in bytes; None lets it follow the size of the weights."""
    return None if isinstance(section.chunk_kib, str) else section.chunk_kib * 1024
