"""Three hosts under the eyes of the invariants, whose machines do nothing: tests play what is seen of them."""

from __future__ import annotations

from fedswarm.swarm.events import Event
from fedswarm.swarm.instructions import Instruction
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.invariants import Invariants
from fedswarm.swarm.simulator.story import Story
from fedswarm.swarm.simulator.world import Weights, World


class Silent:
    wake_s = None

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        return []

    def welcomes(self, peer: str) -> bool:
        return True


class WatchedHosts:
    """Hosts a, b and c, and what is seen of them."""

    def __init__(self, weights: Weights, limits: Limits) -> None:
        self.invariants = Invariants(limits, Story())
        self.world = World(lambda address, rates: Silent(), observers=[self.invariants])
        self.culprits: set[str] = set()
        self.invariants.watch(self.world, self.culprits)
        self.world.weights[weights.manifest.key] = weights
        for name in "abc":
            self.world.add(name, Rates(8e6, 8e6), lambda host: None)
        self.world.busy_until(1.0)
        self.world.run(1.0)

    def link(self, one: str, other: str) -> None:
        hosts = self.world.hosts
        self.world.network.dial(hosts[one], other)
        self.wait(1.0)
        assert hosts[one].ends[other].up

    def see(self, name: str, event: Event, *instructions: Instruction) -> None:
        self.invariants.saw(self.world.hosts[name], event, list(instructions), self.world.timeline.now_s)

    def wait(self, seconds: float) -> None:
        self.world.timeline.run(self.world.timeline.now_s + seconds)
