"""Ready-made swarms of real peers that add up their vectors: for one collector, or for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fedswarm.swarm import slices
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.outcome import Outcome
from fedswarm.swarm.simulator.scenarios import Setting, Swarm, named
from fedswarm.swarm.simulator.summing import Member, Summation, summation
from fedswarm.swarm.simulator.world import Role

COLLECTOR = "collector"
PATIENCE_S = 60.0


def all_reduce(
    peers: Sequence[Rates],
    *,
    chunks: int,
    chunk_bytes: int,
    setting: Setting = Setting(),
    patience_s: float = PATIENCE_S,
) -> Outcome:
    """Each peer has a vector and gets the sum of all; it owns a slice in proportion to its link.

    ``completed_s`` and ``failures`` are those of sums, not of single fetches.
    """
    plan = slices.plan_all_reduce({name: _link(rates) for name, rates in named(peers)}, chunks, b"")
    names = [name for name, _ in named(peers)]
    task = summation(names, plan, chunk_bytes=chunk_bytes, seed=setting.seed, patience_s=patience_s)
    swarm = Swarm(setting)
    members: dict[str, Member] = {}
    swarm.add_all(named(peers), _role(swarm, task, members, gathers=True))
    return _outcome(swarm, members)


def reduce(
    collector: Rates,
    peers: Sequence[Rates],
    *,
    chunks: int,
    chunk_bytes: int,
    setting: Setting = Setting(),
    patience_s: float = PATIENCE_S,
) -> Outcome:
    """Each peer has a vector, and ``collector`` gets the sum of all; it owns a slice as well if that helps.

    A peer's time in ``completed_s`` is when it had added up its slice.
    """
    contributors = {name: _link(rates) for name, rates in named(peers)}
    plan = slices.plan_reduce(contributors, chunks, b"", (COLLECTOR, _link(collector)))
    task = summation(contributors, plan, chunk_bytes=chunk_bytes, seed=setting.seed, patience_s=patience_s)
    swarm = Swarm(setting)
    members: dict[str, Member] = {}
    swarm.add_all(named(peers), _role(swarm, task, members, gathers=False))
    swarm.add(COLLECTOR, collector, _role(swarm, task, members, gathers=True))
    return _outcome(swarm, members)


def _role(swarm: Swarm, task: Summation, members: dict[str, Member], *, gathers: bool) -> Role:
    """The role of taking part in a sum; ``members`` is told who does, by name."""
    vectors = (*task.contributions.values(), *task.slices.values())
    swarm.world.weights |= {weights.manifest.key: weights for weights in vectors}

    def begin(host: Host) -> None:
        members[host.name] = Member(swarm.world, host, task, gathers=gathers)
        members[host.name].begin()

    return begin


def _outcome(swarm: Swarm, members: dict[str, Member]) -> Outcome:
    outcome = swarm.run()
    ended_s = {
        name: member.ended_s
        for name, member in members.items()
        if member.ended_s is not None and member.failure is None and member.host.alive
    }
    failures = {name: member.failure for name, member in members.items() if member.failure is not None}
    return replace(outcome, completed_s=ended_s, took_s=ended_s, failures=failures)


def _link(rates: Rates) -> slices.Rates:
    return slices.Rates(rates.up_bps, rates.down_bps)
