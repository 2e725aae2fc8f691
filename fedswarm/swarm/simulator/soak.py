"""Random swarms with random faults: whatever a seed draws, the invariants must hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions, on_a_plane
from fedswarm.swarm.simulator.draws import Draws
from fedswarm.swarm.simulator.faults import EVERYWHERE, Fault, draw_plan
from fedswarm.swarm.simulator.outcome import Outcome
from fedswarm.swarm.simulator.reductions import COLLECTOR, all_reduce, reduce
from fedswarm.swarm.simulator.scenarios import SOURCE, Setting, all_to_all, broadcast, growing_broadcast
from fedswarm.swarm.simulator.tracker import RandomRegular

_FAULTS_WITHIN_S = 2.5
_GROWING_FAULTS_WITHIN_S = 1.2
_GROWING_FAULTS = (*Fault, Fault.FALSE_FINALS, Fault.FALSE_FINALS)
_CHUNK_BYTES = 16 * KIB


def soak(seed: int) -> Outcome:
    """A few peers exchange a few chunks while things go wrong, all as the seed has it.

    Raises :class:`~fedswarm.swarm.simulator.invariants.BreachError`, with its story, for a broken invariant.
    """
    return _soak_growing(seed) if seed % 3 == 0 else _soak_whole(seed)


def _soak_whole(seed: int) -> Outcome:
    """Weights that are there from the beginning."""
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


def _soak_growing(seed: int) -> Outcome:
    """Weights that are made meanwhile: sums, and what one host makes."""
    draws = Draws(seed, "soak of growing weights")
    rates = [_rates(draws) for _ in range(3 + draws.below(4))]
    kind = draws()
    sizes = {"chunks": len(rates) + draws.below(12), "chunk_bytes": _CHUNK_BYTES}
    patience_s = 60.0 if draws() < 0.7 else draws.between(0.5, 5.0)
    publisher = "p0" if kind < 0.5 else COLLECTOR if kind < 0.75 else SOURCE
    setting = _setting(seed, draws, len(rates), publisher, _GROWING_FAULTS, _GROWING_FAULTS_WITHIN_S)
    if publisher == "p0":
        return all_reduce(rates, setting=setting, patience_s=patience_s, **sizes)
    if publisher == COLLECTOR:
        return reduce(_rates(draws), rates, setting=setting, patience_s=patience_s, **sizes)
    return growing_broadcast(
        _rates(draws),
        rates,
        chunk_every_s=draws.between(0.0, 0.1),
        setting=setting,
        deadline_s=draws.between(0.5, 4.0) if draws() < 0.2 else None,
        **sizes,
    )


def _setting(
    seed: int,
    draws: Draws,
    peers: int,
    publisher: str = SOURCE,
    faults: Sequence[Fault] = EVERYWHERE,
    within_s: float = _FAULTS_WITHIN_S,
) -> Setting:
    names = [*dict.fromkeys((publisher, *(f"p{number}" for number in range(peers))))]
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
        plan=draw_plan(seed, names, publisher, within_s=within_s, faults=faults),
        checked=True,
        until_s=300.0,
    )


def _rates(draws: Draws) -> Rates:
    return Rates(draws.between(2e6, 50e6), draws.between(10e6, 80e6))
