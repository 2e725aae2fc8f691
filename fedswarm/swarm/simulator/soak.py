"""Random swarms with random faults: whatever a seed draws, the invariants must hold."""

from __future__ import annotations

from functools import partial

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions, on_a_plane
from fedswarm.swarm.simulator.draws import Draws
from fedswarm.swarm.simulator.faults import draw_plan
from fedswarm.swarm.simulator.outcome import Outcome
from fedswarm.swarm.simulator.scenarios import SOURCE, Setting, all_to_all, broadcast
from fedswarm.swarm.simulator.tracker import RandomRegular

_FAULTS_WITHIN_S = 2.5
_CHUNK_BYTES = 16 * KIB


def soak(seed: int) -> Outcome:
    """A few peers exchange a few chunks while things go wrong, all as the seed has it.

    Raises :class:`~fedswarm.swarm.simulator.invariants.BreachError`, with its story, for a broken invariant.
    """
    draws = Draws(seed, "soak")
    rates = [_rates(draws) for _ in range(4 + draws.below(7))]
    setting = _setting(seed, draws, peers=len(rates))
    if draws() < 0.2:
        return all_to_all(rates, chunks=2 + draws.below(6), chunk_bytes=_CHUNK_BYTES, setting=setting)
    spreadings = list(Spreading) if setting.overlay is None else [Spreading.SEED, Spreading.ANSWER]
    return broadcast(
        _rates(draws),
        rates,
        chunks=12 + draws.below(30),
        chunk_bytes=_CHUNK_BYTES,
        spreading=spreadings[draws.below(len(spreadings))],
        setting=setting,
        deadline_s=draws.between(1.0, 8.0) if draws() < 0.2 else None,
    )


def _setting(seed: int, draws: Draws, peers: int) -> Setting:
    names = [SOURCE, *(f"p{number}" for number in range(peers))]
    losses = (0.0, 0.001, 0.01)
    return Setting(
        seed=seed,
        conditions=Conditions(
            latency=on_a_plane(seed, widest_s=draws.between(0.002, 0.1)),
            jitter_s=draws.between(0.0, 0.01),
            loss=losses[draws.below(len(losses))],
        ),
        overlay=partial(RandomRegular, 4, seed) if draws() < 0.4 else None,
        uplinks_known=draws() < 0.5,
        plan=draw_plan(seed, names, SOURCE, within_s=_FAULTS_WITHIN_S),
        checked=True,
        until_s=300.0,
    )


def _rates(draws: Draws) -> Rates:
    return Rates(draws.between(2e6, 50e6), draws.between(10e6, 80e6))
