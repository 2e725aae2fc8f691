"""Peers come and go; the links that stand follow the topology."""

from __future__ import annotations

from functools import partial

import pytest

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import Event, FetchWanted, LinkUp, Spreading
from fedswarm.swarm.instructions import Completed, HangUp, Instruction
from fedswarm.swarm.peer import Peer
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.faults import Fault, Injection, draw_churn
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.scenarios import Setting, Swarm
from fedswarm.swarm.simulator.tracker import RandomRegular
from fedswarm.swarm.simulator.world import random_weights

RATES = Rates(20e6, 50e6)
PEERS = [f"p{number}" for number in range(20)]
CHURN_S, AWAY_S = 30.0, 4.0
LEASE_S, SETTLED_S, SOON_S = 10.0, 10.0, 0.2


class Witness:
    """Links that came to stand, and those that were ended as superfluous, each with its instant and its host."""

    def __init__(self, swarm: Swarm) -> None:
        self.up_s: list[float] = []
        self.parted: list[tuple[float, Host, str]] = []
        swarm.world._observers += (self,)

    def saw(self, host: Host, event: Event, instructions: list[Instruction], now_s: float) -> None:
        if isinstance(event, LinkUp):
            self.up_s.append(now_s)
        ended = [one for one in instructions if isinstance(one, HangUp) and "topology" in one.reason]
        self.parted += [(now_s, host, one.peer) for one in ended]


def churning(seed: int, *more: Injection, lasts_s: float = 0.0) -> Swarm:
    """A swarm of peers that come and go for a while; then it has time to settle."""
    plan = [*draw_churn(seed, PEERS, share_per_minute=2.0, within_s=CHURN_S, away_s=AWAY_S), *more]
    swarm = Swarm(Setting(seed=seed, overlay=partial(RandomRegular, 4, seed), plan=plan, checked=True))
    swarm.world.busy_until(CHURN_S + AWAY_S + LEASE_S + SETTLED_S + lasts_s)
    return swarm


def alive(swarm: Swarm) -> list[Host]:
    return [host for host in swarm.world.hosts.values() if host.running]


def links(host: Host) -> set[str]:
    assert isinstance(host.machine, Peer)
    return set(host.machine.neighbours)


def superfluous(swarm: Swarm) -> dict[str, set[str]]:
    """Links of each peer beyond those of its topology, or that are missing."""
    overlay = swarm.world.tracker._overlay
    found = {host.name: links(host) ^ (overlay.neighbours(host.name) or set()) for host in alive(swarm)}
    return {name: others for name, others in found.items() if others}


@pytest.mark.parametrize("seed", range(4))
def test_some_seconds_after_the_last_change_links_are_those_of_the_topology(seed: int) -> None:
    swarm = churning(seed)
    swarm.add_all([(name, RATES) for name in PEERS], lambda host: None)
    swarm.run()
    assert len(alive(swarm)) > 15
    assert superfluous(swarm) == {}


def test_once_links_are_those_of_the_topology_none_comes_or_goes() -> None:
    swarm = churning(1, lasts_s=60.0)
    witness = Witness(swarm)
    swarm.add_all([(name, RATES) for name in PEERS], lambda host: None)
    swarm.run()
    settled_s = CHURN_S + AWAY_S + LEASE_S + SETTLED_S
    assert witness.parted
    assert max([*witness.up_s, *(now_s for now_s, _, _ in witness.parted)]) < settled_s


def test_when_the_tracker_is_dead_no_link_is_ended() -> None:
    dead_s = CHURN_S / 2
    swarm = churning(2, Injection(dead_s, Fault.TRACKER_DEATH, ()))
    witness = Witness(swarm)
    swarm.add_all([(name, RATES) for name in PEERS], lambda host: None)
    swarm.run()
    assert witness.parted
    assert max(now_s for now_s, _, _ in witness.parted) < dead_s + SOON_S


@pytest.mark.parametrize("seed", range(2))
def test_links_that_are_ended_cut_no_transfer_off(seed: int) -> None:
    """Everybody fetches directly from a publisher that the topology links with few, and changes all the time."""
    swarm = churning(seed)
    witness = Witness(swarm)
    weights = random_weights("source", 100, 16 * KIB, seed=seed)
    event = FetchWanted(weights.manifest, "source:1", swarm=False)
    swarm.add("source", RATES, swarm.publisher(weights, Spreading.ANSWER))
    swarm.add_all([(name, RATES) for name in PEERS], lambda host: swarm.world.fetch(host, event))
    swarm.run()
    fetches = [fetch for fetch in swarm.world.fetches if fetch.host.alive]
    assert all(isinstance(fetch.ending, Completed) for fetch in fetches)
    for now_s, host, peer in witness.parted:
        here = [fetch for fetch in swarm.world.fetches if fetch.host is host and peer == "source"]
        assert all(fetch.ended_s is not None and fetch.ended_s < now_s for fetch in here)
