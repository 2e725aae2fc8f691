"""The links that broadcasts and reductions are measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fedswarm.swarm.bounds import Links
from network.network import MBPS, Rates

SEED: Final = "seed"
SCENARIOS: Final = ("homogeneous", "heterogeneous", "slow_seed")

_DOWN_MBPS: Final = 50
_SEED_UP_MBPS: Final = {"homogeneous": 50, "heterogeneous": 50, "slow_seed": 10}
_PEER_UP_MBPS: Final = {
    "homogeneous": (20,),
    "heterogeneous": (5, 10, 15, 20, 25, 30, 40, 50),
    "slow_seed": (50,),
}


def links(scenario: str, peers: int, speed: float = 1.0) -> dict[str, Rates]:
    """The rates of the seed and of ``peer-1`` to ``peer-N``; the peers' uplinks repeat where there are few.

    All are multiplied by ``speed``.
    """

    def rates(up_mbps: int) -> Rates:
        return Rates(round(speed * up_mbps * MBPS), round(speed * _DOWN_MBPS * MBPS))

    ups = _PEER_UP_MBPS[scenario]
    peers_rates = {f"peer-{number + 1}": rates(ups[number % len(ups)]) for number in range(peers)}
    return {SEED: rates(_SEED_UP_MBPS[scenario]), **peers_rates}


def peer_links(rates: Mapping[str, Rates]) -> Links:
    """The links of all hosts but the seed, as bounds take them."""
    peers = [rate for host, rate in rates.items() if host != SEED]
    return Links(tuple(peer.up_bps for peer in peers), tuple(peer.down_bps for peer in peers))
