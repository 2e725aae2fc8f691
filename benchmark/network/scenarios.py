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


def links(scenario: str, peers: int) -> dict[str, Rates]:
    """The rates of the seed and of ``peer-1`` to ``peer-N``; the peers' uplinks repeat where there are few."""
    ups = _PEER_UP_MBPS[scenario]
    rates = {SEED: Rates(_SEED_UP_MBPS[scenario] * MBPS, _DOWN_MBPS * MBPS)}
    for number in range(peers):
        rates[f"peer-{number + 1}"] = Rates(ups[number % len(ups)] * MBPS, _DOWN_MBPS * MBPS)
    return rates


def peer_links(rates: Mapping[str, Rates]) -> Links:
    """The links of all hosts but the seed, as bounds take them."""
    peers = [rate for host, rate in rates.items() if host != SEED]
    return Links(tuple(peer.up_bps for peer in peers), tuple(peer.down_bps for peer in peers))
