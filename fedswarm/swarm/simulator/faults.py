"""What goes wrong, when, and with whom: kinds of faults, schedules drawn from a seed, one place that injects them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf, log

from fedswarm.swarm.simulator.deceit import FalseFinals, FalseHaves, Flood, Mute, WrongBytes
from fedswarm.swarm.simulator.draws import Draws
from fedswarm.swarm.simulator.host import Deceit, Host
from fedswarm.swarm.simulator.world import World


class Fault(Enum):
    """A kind of trouble; all but those marked last for a while and are over then."""

    CRASH = "crash"
    """The process dies; links are reset. It comes back with the same name and nothing else."""
    POWER_LOSS = "power loss"
    """As a crash, but only silence tells."""
    LEAVE = "leave"
    """It says goodbye, and comes back later."""
    FREEZE = "freeze"
    """The process stands still, its kernel does not."""
    PARTITION = "partition"
    """These hosts cannot reach the others, nor the others them."""
    SLOW = "slow"
    """The line has a tenth of its rates."""
    LINK_RESET = "link reset"
    """All links are reset, once."""
    STREAM_RESET = "stream reset"
    """All outgoing data streams are reset, once; links stand."""
    CORRUPTION = "corruption"
    """One in ten chunks is sent with a wrong bit."""
    WRONG_BYTES = "wrong bytes"
    """All chunks are sent with a wrong bit; for good."""
    FALSE_HAVES = "false haves"
    """It claims to hold everything; for good."""
    FALSE_HAVES_MUTE = "false haves, mute"
    """As before, and requests that it cannot answer are not denied either; for good."""
    MUTE = "mute"
    """It never sends a chunk; for good."""
    FALSE_FINALS = "false finals"
    """It names wrong digests of weights that grow, to each peer others; for good."""
    FLOOD = "flood"
    """It sends chunks unasked."""
    TRACKER_DEATH = "tracker death"
    """Nobody is introduced any more; for good."""


_SLOWNESS = 0.1

DECEITS = frozenset(
    {
        Fault.CORRUPTION,
        Fault.WRONG_BYTES,
        Fault.FALSE_HAVES,
        Fault.FALSE_HAVES_MUTE,
        Fault.MUTE,
        Fault.FALSE_FINALS,
        Fault.FLOOD,
    }
)
"""Faults whose host deserves to be banned."""

EVERYWHERE = tuple(fault for fault in Fault if fault is not Fault.FALSE_FINALS)
"""Faults that mean something whatever is exchanged; the others need weights that grow."""


@dataclass(frozen=True)
class Injection:
    """One fault: when it sets in, whom it hits, and how long it lasts."""

    at_s: float
    fault: Fault
    hosts: tuple[str, ...]
    lasts_s: float = inf

    def __str__(self) -> str:
        whom = ", ".join(self.hosts) or "nobody in particular"
        return f"{self.fault.value} of {whom} for {self.lasts_s:.3f} s"


class Injector:
    """Injects faults into a world; ``culprits`` are hosts that sent something wrong, by name."""

    def __init__(self, world: World, told: Callable[[str, Injection], None] = lambda name, injection: None) -> None:
        self.culprits: set[str] = set()
        self._world = world
        self._told = told
        self._draws = Draws(world.seed, "faults")

    def arrange(self, plan: Sequence[Injection]) -> None:
        """Injects all of a plan, each at its time; the world runs until the last is over."""
        for injection in plan:
            self._world.timeline.at(injection.at_s, self.inject, injection)
            self._world.busy_until(injection.at_s + (injection.lasts_s if injection.lasts_s < inf else 0.0))

    def inject(self, injection: Injection) -> None:
        """Lets it happen now; hosts that are not there are spared."""
        if injection.fault is Fault.TRACKER_DEATH:
            self._world.tracker.die()
        if injection.fault is Fault.PARTITION:
            self._world.network.partition(frozenset(injection.hosts))
            self._later(injection, self._world.network.heal)
        for name in injection.hosts:
            host = self._world.hosts.get(name)
            if host is not None and host.alive:
                self._told(name, injection)
                self._hit(host, injection)

    def _hit(self, host: Host, injection: Injection) -> None:
        world = self._world
        match injection.fault:
            case Fault.CRASH | Fault.POWER_LOSS:
                world.crash(host.name, silently=injection.fault is Fault.POWER_LOSS)
                self._later(injection, world.come, host.name)
            case Fault.LEAVE:
                world.leave(host.name)
                self._later(injection, world.come, host.name)
            case Fault.FREEZE:
                world.freeze(host.name)
                self._later(injection, world.thaw, host.name)
            case Fault.SLOW:
                host.access.change(_SLOWNESS)
                self._later(injection, host.access.change, 1 / _SLOWNESS)
            case Fault.LINK_RESET:
                for end in list(host.ends.values()):
                    world.network.reset_link(end, "connection reset")
            case Fault.STREAM_RESET:
                for end in [end for end in host.ends.values() if end.up]:
                    world.network.reset_stream(end, "stream reset")
            case _ if injection.fault in DECEITS:
                self._deceive(host, injection)

    def _deceive(self, host: Host, injection: Injection) -> None:
        self.culprits.add(host.name)
        weights = list(self._world.weights.values())
        chunks = {one.manifest.key: one.manifest.chunks for one in weights}
        deceits: dict[Fault, Callable[[], Deceit]] = {
            Fault.CORRUPTION: lambda: WrongBytes(self._draws, 0.1),
            Fault.WRONG_BYTES: lambda: WrongBytes(self._draws, 1.0),
            Fault.FALSE_HAVES: lambda: FalseHaves(chunks.__getitem__, mute=False),
            Fault.FALSE_HAVES_MUTE: lambda: FalseHaves(chunks.__getitem__, mute=True),
            Fault.MUTE: Mute,
            Fault.FALSE_FINALS: lambda: FalseFinals(
                self._draws, {one.manifest.key: one.manifest.chunks for one in weights if one.manifest.grows}
            ),
            Fault.FLOOD: lambda: Flood(
                self._world.network, self._world.timeline, self._draws, weights[0].manifest, injection.lasts_s
            ),
        }
        host.deceit = deceits[injection.fault]()
        if isinstance(host.deceit, Flood):
            host.deceit.start(host)
        self._later(injection, setattr, host, "deceit", None)

    def _later(self, injection: Injection, action: Callable[..., object], *arguments: object) -> None:
        if injection.lasts_s < inf:
            self._world.timeline.after(injection.lasts_s, action, *arguments)


def draw_plan(
    seed: int,
    hosts: Sequence[str],
    publisher: str,
    *,
    within_s: float,
    most: int = 6,
    faults: Sequence[Fault] = EVERYWHERE,
) -> list[Injection]:
    """A few faults in the first ``within_s`` seconds. At most a third of the hosts are hit; the publisher seldom.

    Every other fault that can last for good does.
    """
    draws = Draws(seed, "fault plan")
    others = [name for name in hosts if name != publisher]
    victims = [others.pop(draws.below(len(others))) for _ in range(max(1, len(hosts) // 3))]
    if draws() < 0.3:
        victims.append(publisher)
    plan = []
    for _ in range(1 + draws.below(most)):
        fault = faults[draws.below(len(faults))]
        count = 0 if fault is Fault.TRACKER_DEATH else 1 + draws.below(len(victims)) if fault is Fault.PARTITION else 1
        hit = tuple(sorted({victims[draws.below(len(victims))] for _ in range(count)}))
        for_good = fault not in _PASSING and draws() < 0.5
        plan.append(Injection(draws() * within_s, fault, hit, inf if for_good else draws.between(0.05, within_s * 2)))
    return sorted(plan, key=lambda injection: injection.at_s)


_PASSING = frozenset({Fault.FREEZE, Fault.PARTITION, Fault.SLOW, Fault.FLOOD, Fault.CORRUPTION})


def draw_churn(
    seed: int, hosts: Sequence[str], *, share_per_minute: float, within_s: float, away_s: float
) -> list[Injection]:
    """Hosts that go and come back ``away_s`` later, as a Poisson process: half of them crash, half say goodbye.

    Killing as a Poisson process is dask's ``chaos.py``.
    """
    draws = Draws(seed, "churn")
    every_s = 60.0 / (share_per_minute * len(hosts))
    plan, now_s = [], 0.0
    while (now_s := now_s - every_s * log(1 - draws())) < within_s:
        fault = Fault.CRASH if draws() < 0.5 else Fault.LEAVE
        plan.append(Injection(now_s, fault, (hosts[draws.below(len(hosts))],), away_s))
    return plan
