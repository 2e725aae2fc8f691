"""Who sums which chunks: each owner of a reduction gets a contiguous run of them in proportion to what its link bears.

``F`` is the size of a vector, ``N`` the number of contributors, ``f_i`` the fraction that owner ``i`` sums. Everybody
sends each chunk to its owner; the owner passes the sum on. The fractions below are the fluid optimum
(:mod:`fedswarm.swarm.bounds` has the times).

*To one collector.* A contributor sends ``F`` whatever it owns: the others' slices raw, its own as a sum. Owner ``i``
receives its slice from ``N - 1`` others, so within ``T`` it bears ``f_i <= T d_i / ((N - 1) F)``. The collector may own
a slice too: ``N f_c F`` raw and ``(1 - f_c) F`` of sums reach it, so ``f_c <= (T d_s / F - 1) / (N - 1)``. These add up
to one at ``T = N F / (d_s + sum d_i)``. When ``F / d_s`` or ``F / u_min`` is longer, contributors own as much as they
bear, and the collector the rest: it receives least, and each uplink divides alike among owners and collector.

*To everyone.* An owner receives its slice ``N - 1`` times and sends the sum as often: ``F (1 + (N - 2) f_i)`` each way.
So ``f_i <= (T b_i / F - 1) / (N - 2)`` with ``b_i = min(u_i, d_i)``. These add up to one at
``T = 2 (N - 1) F / sum b_i``. When ``F / b_min`` is longer, all are scaled down alike: the peer that is the bound owns
nothing.

Fractions become whole chunks by largest remainders. Nothing is drawn: equal input gives equal plans on every peer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.ownership import owners


@dataclass(frozen=True)
class Rates:
    """What a peer's link bears in bits a second; ``None`` where nobody has said."""

    up_bps: float | None = None
    down_bps: float | None = None


UNKNOWN_RATES = Rates()


@dataclass(frozen=True)
class ReductionPlan:
    """Which owner sums which chunks.

    ``owners`` are names in the order of their runs; owner ``i`` has chunks ``edges[i]`` up to but not including
    ``edges[i + 1]``, possibly none. ``key`` tells reductions apart, so that different ones have different backups.
    """

    owners: tuple[str, ...]
    edges: tuple[int, ...]
    key: bytes

    @property
    def chunks(self) -> int:
        """Chunks in all."""
        return self.edges[-1]

    @cached_property
    def _runs(self) -> dict[str, range]:
        return {owner: range(*run) for owner, run in zip(self.owners, pairwise(self.edges), strict=True)}

    def run(self, owner: str) -> range:
        """The chunks that ``owner`` sums; none for a stranger."""
        return self._runs.get(owner, range(0))

    def owner(self, chunk: int) -> str:
        """Who sums ``chunk``; raises :class:`IndexError` beyond the last one."""
        if not 0 <= chunk < self.chunks:
            raise IndexError(f"chunk {chunk} of a reduction of {self.chunks} chunks")
        return self.owners[int(np.searchsorted(self.edges, chunk, side="right")) - 1]

    def backups(self, alive: Collection[str]) -> dict[int, str]:
        """Who takes over each chunk whose owner is not ``alive``, by chunk.

        Rendezvous hashing over ``alive`` (at least one name): peers that see the same peers alive agree without a word,
        and when one more dies, only chunks of its own move.
        """
        lost = [chunk for owner in self.owners if owner not in alive for chunk in self.run(owner)]
        if not lost:
            return {}
        if not alive:
            raise ValueError(f"nobody is alive to take over {len(lost)} chunks")
        heirs = owners(alive, self.key, self.chunks)
        return {chunk: heirs[chunk] for chunk in lost}


def plan_reduce(
    contributors: Mapping[str, Rates], chunks: int, key: bytes, collector: tuple[str, Rates] | None = None
) -> ReductionPlan:
    """The plan that brings one sum of all contributors' vectors to a collector soonest.

    With ``collector`` (its name and rates, not one of the contributors) it owns a slice as well; without, contributors
    own everything, in proportion to their downlinks. Unknown rates count as the mean of the contributors' known ones.
    Raises :class:`ValueError` for no contributors or chunks, a rate that is not positive, or a collector that
    contributes.
    """
    names, up_bps, down_bps = _links(contributors, chunks)
    bearable = dict(zip(names, down_bps.tolist(), strict=True))
    if collector is not None:
        name, rates = collector
        if name in contributors:
            raise ValueError(f"{name!r} is both collector and contributor: give two names")
        collector_bps = float(down_bps.mean()) if rates.down_bps is None else _checked(name, rates.down_bps)
        seconds_a_bit = max(
            1 / collector_bps, 1 / float(up_bps.min()), len(names) / (collector_bps + float(down_bps.sum()))
        )
        borne_bps = (len(names) - 1) / seconds_a_bit
        bearable[name] = max(0.0, borne_bps - float(down_bps.sum()))
    return _plan(bearable, chunks, key)


def plan_all_reduce(peers: Mapping[str, Rates], chunks: int, key: bytes) -> ReductionPlan:
    """The plan that brings the sum of all peers' vectors to all of them soonest.

    Unknown rates count as the mean of the known ones. Raises :class:`ValueError` for no peers or chunks, or a rate that
    is not positive.
    """
    names, up_bps, down_bps = _links(peers, chunks)
    narrower_bps = np.minimum(up_bps, down_bps)
    seconds_a_bit = max(1 / narrower_bps.min(), 2 * (len(names) - 1) / narrower_bps.sum())
    spare = np.maximum(narrower_bps * seconds_a_bit - 1, 0.0)
    # Two peers move the same whoever owns what; alone, there is one owner.
    bearable = spare if len(names) > 2 else narrower_bps
    return _plan(dict(zip(names, bearable.tolist(), strict=True)), chunks, key)


def _links(peers: Mapping[str, Rates], chunks: int) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Names in order, uplinks and downlinks; what is unknown is the mean of what is known."""
    if not peers or chunks < 1:
        raise ValueError(f"a reduction of {chunks} chunks over {len(peers)} peers: both must be at least 1")
    names = sorted(peers)
    up_bps = _filled({name: peers[name].up_bps for name in names})
    return names, up_bps, _filled({name: peers[name].down_bps for name in names})


def _filled(rates: Mapping[str, float | None]) -> NDArray[np.float64]:
    known = {name: _checked(name, rate) for name, rate in rates.items() if rate is not None}
    mean = sum(known.values()) / len(known) if known else 1.0
    return np.array([known.get(name, mean) for name in rates])


def _checked(name: str, rate_bps: float) -> float:
    if not 0 < rate_bps < np.inf:
        raise ValueError(f"{name!r} has a link of {rate_bps} bit/s: give a positive rate, or None when it is unknown")
    return rate_bps


def _plan(bearable: Mapping[str, float], chunks: int, key: bytes) -> ReductionPlan:
    """Runs of chunks in the order of names, in proportion to ``bearable``."""
    owners = tuple(sorted(bearable))
    counts = largest_remainders(np.array([bearable[owner] for owner in owners]), chunks)
    return ReductionPlan(owners, (0, *np.cumsum(counts).tolist()), key)


def largest_remainders(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """``total`` dealt in whole numbers in proportion to ``weights``; each is off by less than one (Hamilton's method).

    The largest remainders round up; of equal ones, the first. Weights are at least 0 and not all 0.
    """
    quotas = weights / weights.sum() * total
    counts: NDArray[np.int64] = np.floor(quotas).astype(np.int64)
    rising = np.argsort(counts - quotas, kind="stable")[: total - int(counts.sum())]
    counts[rising] += 1
    return counts
