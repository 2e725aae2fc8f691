"""The least time in which weights can travel, to print next to every measurement.

The fluid model: data are infinitely divisible, links are full duplex and have no latency, and only a peer's own up- and
downlink limit it. Sizes are bytes, rates bits a second, times seconds. Each formula is a maximum over links that must
carry something; which one it is tells what to improve.

Rates that are not finite and positive, and counts below one, raise :class:`ValueError`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Links:
    """The up- and downlinks of ``N`` peers, in bits a second, in one order."""

    up_bps: tuple[float, ...]
    down_bps: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.up_bps or len(self.up_bps) != len(self.down_bps):
            raise ValueError(f"{len(self.up_bps)} uplinks and {len(self.down_bps)} downlinks: give both of each peer")
        _check_rates(*self.up_bps, *self.down_bps)

    @classmethod
    def alike(cls, peers: int, up_bps: float, down_bps: float) -> Links:
        """``peers`` peers with equal links."""
        return cls((up_bps,) * peers, (down_bps,) * peers)

    @property
    def peers(self) -> int:
        """How many peers there are."""
        return len(self.up_bps)

    @cached_property
    def narrower_bps(self) -> tuple[float, ...]:
        """The narrower direction of each peer: what a peer that sends as much as it receives can sustain."""
        return tuple(map(min, self.up_bps, self.down_bps))


def client_server_broadcast_s(size_bytes: float, seed_up_bps: float, links: Links) -> float:
    """Everybody fetches everything from the seed: ``max(N F / u_s, F / d_min)``."""
    _check_rates(seed_up_bps)
    bits = 8 * size_bytes
    return max(links.peers * bits / seed_up_bps, bits / min(links.down_bps))


def broadcast_s(size_bytes: float, seed_up_bps: float, links: Links) -> float:
    """One model to all peers, which pass it on: ``max(F / u_s, F / d_min, N F / (u_s + sum u_i))``.

    R. Kumar and K. W. Ross, *Peer-assisted file distribution: the minimum distribution time*, HOTWEB 2006, theorem 1;
    it can be attained. Several seeds count as one with the sum of their uplinks.
    """
    _check_rates(seed_up_bps)
    bits = 8 * size_bytes
    together = links.peers * bits / (seed_up_bps + math.fsum(links.up_bps))
    return max(bits / seed_up_bps, bits / min(links.down_bps), together)


def discrete_broadcast_s(size_bytes: float, up_bps: float, peers: int, chunks: int) -> float:
    """A broadcast in whole chunks where all uplinks, the seed's too, are equal: ``(F / u) (1 + floor(log2 N) / M)``.

    J. Mundinger, R. Weber and G. Weiss, *Optimal scheduling of peer-to-peer file dissemination*, Journal of Scheduling
    11 (2008), arXiv:cs/0606110, theorem 1, for downlinks that do not bind. With ``M >= 20 log2 N`` chunks, cutting
    costs less than 5 %.
    """
    _check_rates(up_bps)
    _check_counts(peers, chunks)
    return 8 * size_bytes / up_bps * (1 + math.floor(math.log2(peers)) / chunks)


def gather_s(size_bytes: float, collector_down_bps: float, links: Links) -> float:
    """All updates, unsummed, to one collector: ``max(N F / d_s, F / u_min)``. Peers cannot help."""
    _check_rates(collector_down_bps)
    bits = 8 * size_bytes
    return max(links.peers * bits / collector_down_bps, bits / min(links.up_bps))


def reduce_s(size_bytes: float, collector_down_bps: float, links: Links) -> float:
    """The sum of all updates to one collector: ``max(F / d_s, F / u_min, N F / (d_s + sum d_i))``.

    The broadcast bound with time reversed: what was copied is added, and up and down change places.
    """
    mirrored = Links(links.down_bps, links.up_bps)
    return broadcast_s(size_bytes, collector_down_bps, mirrored)


def all_reduce_lower_bound_s(size_bytes: float, links: Links) -> float:
    """No way to give everyone the sum of all updates is faster than this.

    ``max(F / u_min, F / d_min, 2 (N - 1) F / sum u_i, 2 (N - 1) F / sum d_i)``: each peer must send and receive at
    least one vector's worth, and each weight needs ``N - 1`` transmissions to be summed and as many to be spread.
    """
    bits = 8 * size_bytes if links.peers > 1 else 0.0
    passes = 2 * (links.peers - 1) * bits
    slowest = bits / min(*links.up_bps, *links.down_bps)
    return max(slowest, passes / math.fsum(links.up_bps), passes / math.fsum(links.down_bps))


def all_reduce_s(size_bytes: float, links: Links) -> float:
    """Reduce-scatter and all-gather with slices by bandwidth: ``max(F / b_min, 2 (N - 1) F / sum b_i)``.

    ``b_i`` is the narrower direction of peer ``i``. The owner of a fraction ``f_i`` moves ``F (1 + (N - 2) f_i)`` each
    way, so ``T`` suffices if fractions ``f_i <= (T b_i / F - 1) / (N - 2)``, clipped to 0..1, can add up to one
    (:mod:`fedswarm.swarm.slices` has them). The clips never bind at the smallest such ``T``: below zero would mean
    ``T < F / b_min``, which is excluded anyway, and an owner at its upper clip owns everything. Equals the lower bound
    when links are symmetric. The shape for equal links is that of P. Patarasuk and X. Yuan, *Bandwidth optimal
    all-reduce algorithms for clusters of workstations*, JPDC 69 (2009).
    """
    bits = 8 * size_bytes if links.peers > 1 else 0.0
    rates = links.narrower_bps
    return max(bits / min(rates), 2 * (links.peers - 1) * bits / math.fsum(rates))


def all_to_all_s(size_bytes: float, links: Links) -> float:
    """Everybody gets everybody's whole update, as FLTorrent exchanges them.

    ``max((N - 1) F / d_min, F / u_min, N (N - 1) F / sum u_i, N (N - 1) F / sum d_i)``: with equal links ``N / 2``
    times an all-reduce. The price of letting each peer see single updates.
    """
    bits = 8 * size_bytes if links.peers > 1 else 0.0
    received = (links.peers - 1) * bits
    together = links.peers * received / min(math.fsum(links.up_bps), math.fsum(links.down_bps))
    return max(received / min(links.down_bps), bits / min(links.up_bps), together)


def gossip_steps(spectral_gap: float, tolerance: float) -> int:
    """Steps of averaging with neighbours after which disagreement is at most ``tolerance`` of what it was.

    Each step shrinks the distance to the mean by ``1 - spectral_gap`` at least (S. Boyd, A. Ghosh, B. Prabhakar and
    D. Shah, *Randomized gossip algorithms*, IEEE Trans. Information Theory 52 (2006); here for a fixed mixing matrix,
    see :mod:`fedswarm.swarm.topology_statistics`). Each costs a peer its whole vector to each neighbour. Raises
    :class:`ValueError` unless ``0 < spectral_gap <= 1`` and ``0 < tolerance < 1``.
    """
    if not (0 < spectral_gap <= 1 and 0 < tolerance < 1):
        raise ValueError(f"spectral gap {spectral_gap} must lie in (0, 1], tolerance {tolerance} in (0, 1)")
    if spectral_gap == 1:
        return 1
    return math.ceil(math.log(tolerance) / math.log1p(-spectral_gap))


def _check_rates(*rates_bps: float) -> None:
    bad = [rate for rate in rates_bps if not 0 < rate < math.inf]
    if bad:
        raise ValueError(f"a link of {bad[0]} bit/s: rates must be finite and positive")


def _check_counts(*counts: int) -> None:
    if min(counts) < 1:
        raise ValueError(f"counts {counts} must be at least 1")
