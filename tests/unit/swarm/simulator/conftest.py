from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from fedswarm.swarm.events import Event, FrameArrived, Tick
from fedswarm.swarm.instructions import Acknowledge, Instruction
from fedswarm.swarm.messages import Address, Verdict
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions, same_everywhere
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.network import Network
from fedswarm.swarm.simulator.timeline import Timeline

LATENCY_S = 0.05


class Puppet:
    """A machine that says nothing by itself, remembers what it is told, and acknowledges frames."""

    def __init__(self, timeline: Timeline) -> None:
        self.told: list[tuple[float, Event]] = []
        self.welcoming = True
        self.wake_s: float | None = None
        self.stubborn = False
        self.answers: list[Instruction] = []
        self._timeline = timeline

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        assert now_s == self._timeline.now_s
        self.told.append((now_s, event))
        if isinstance(event, Tick) and not self.stubborn:
            self.wake_s = None
        answers, self.answers = self.answers, []
        if isinstance(event, FrameArrived):
            return [Acknowledge(event.peer, event.key, event.index, Verdict.UNWANTED)]
        return answers

    def welcomes(self, peer: str) -> bool:
        return self.welcoming

    def times(self, kind: type) -> list[float]:
        return [now_s for now_s, event in self.told if isinstance(event, kind)]

    def events(self, kind: type) -> list[Event]:
        return [event for _, event in self.told if isinstance(event, kind)]


class Stage:
    """Puppets on a network; ``order`` makes one carry out an instruction."""

    def __init__(self, conditions: Conditions | None = None) -> None:
        self.timeline = Timeline()
        self.conditions = conditions or Conditions(latency=same_everywhere(LATENCY_S))
        self.network = Network(self.timeline, self.conditions, seed=1)

    def add(self, name: str, up_bps: float = 8e6, down_bps: float = 8e6) -> Host:
        machine = Puppet(self.timeline)
        address = Address(name, f"{name}:1")
        host = Host(address, machine, self.network, self.timeline, job="toy", rates=Rates(up_bps, down_bps))
        self.network.hosts[name] = host
        return host

    def link(self, *names: str) -> None:
        for one, other in pairwise(names):
            self.network.dial(self.network.hosts[one], other)
        self.run(1.0)

    def order(self, host: Host, *instructions: Instruction) -> None:
        for instruction in instructions:
            host.obey(instruction, None, 0)  # type: ignore[arg-type]
        host.post_all()

    def run(self, seconds: float) -> None:
        self.timeline.run(self.timeline.now_s + seconds)


@pytest.fixture
def stage() -> Callable[..., Stage]:
    return Stage


@pytest.fixture
def puppet() -> type[Puppet]:
    return Puppet
