"""A swarm: hosts that come and go on one network, a tracker that introduces them, and the weights they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.randomness import generator
from fedswarm.swarm.events import FetchWanted, Leaving, Published, Spreading
from fedswarm.swarm.instructions import Completed, Expired, Failed
from fedswarm.swarm.manifest import Key, Manifest, build_manifest
from fedswarm.swarm.messages import Address
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions
from fedswarm.swarm.simulator.host import Host, Life, Machine, Observer, Traffic
from fedswarm.swarm.simulator.network import Network
from fedswarm.swarm.simulator.timeline import Timeline
from fedswarm.swarm.simulator.tracker import Everyone, Overlay, Tracker

JOB = "simulated"

Role = Callable[[Host], None]
"""What a host does when it comes, and again whenever it comes back: publish, fetch, or nothing."""

MakeMachine = Callable[[Address, Rates], Machine]
"""A new state machine for who comes with which rates."""


@dataclass(frozen=True)
class Weights:
    """Somebody's weights: what they are made of, and their true bytes."""

    manifest: Manifest
    data: NDArray[Any]


def random_weights(publisher: str, chunks: int, chunk_bytes: int, *, seed: int, round_index: int = 0) -> Weights:
    """Weights of ``chunks`` chunks that compress to nothing, the last a little short."""
    count = chunks * chunk_bytes // 4 - 3
    data = generator(seed, round_index, f"weights of {publisher}").random(count, dtype=np.float32)
    manifest = build_manifest(
        data, job=JOB, round_index=round_index, source=publisher, schema_hash="00", chunk_bytes=chunk_bytes
    )
    return Weights(manifest, data)


@dataclass
class Fetch:
    """What became of one fetch of one host; it ends without ``ending`` when its host does."""

    host: Host
    event: FetchWanted
    began_s: float
    ending: Completed | Expired | Failed | None = None
    ended_s: float | None = None

    @property
    def key(self) -> Key:
        """What is fetched."""
        return self.event.manifest.key

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.ending is None and self.host.alive


class World:
    """The whole of a simulation.

    Args:
        make: makes state machines.
        seed: of everything drawn.
        conditions: of the network.
        overlay: who is introduced to whom; everybody to everybody when absent.
        observers: see all that happens at all hosts.
        lease_s: after how long the tracker misses a host.
    """

    def __init__(
        self,
        make: MakeMachine,
        *,
        seed: int = 0,
        conditions: Conditions = Conditions(),
        overlay: Overlay | None = None,
        observers: Iterable[Observer] = (),
        lease_s: float = 10.0,
    ) -> None:
        self.seed = seed
        self.timeline = Timeline()
        self.network = Network(self.timeline, conditions, seed)
        self.tracker = Tracker(self.timeline, overlay or Everyone(), lease_s=lease_s)
        self.weights: dict[Key, Weights] = {}
        self.fetches: list[Fetch] = []
        self.traffic: list[Traffic] = []
        """Of all hosts that ever came."""
        self._make = make
        self._observers = tuple(observers)
        self._sites: dict[str, tuple[Rates, Role, int]] = {}
        self._open: dict[tuple[Host, Key], Fetch] = {}
        self._busy_until_s = 0.0

    # ---- coming and going -----------------------------------------------------------------------------------------

    @property
    def hosts(self) -> dict[str, Host]:
        """Those that exist now, and what is left of those that ended, by name."""
        return self.network.hosts

    def add(self, name: str, rates: Rates, role: Role, *, at_s: float = 0.0, uplink_bps: int = 0) -> None:
        """Arranges for a host to come; ``uplink_bps`` is what it says of its uplink, 0 when it does not know."""
        self._sites[name] = (rates, role, uplink_bps)
        self.busy_until(at_s)
        self.timeline.at(at_s, self.come, name)

    def come(self, name: str) -> None:
        """A host starts with nothing; also again, with the name of one that ended. One that is there stays."""
        if name in self.hosts and self.hosts[name].alive:
            return
        rates, role, uplink_bps = self._sites[name]
        address = Address(name, f"{name}:1")
        host = Host(
            address,
            self._make(address, rates),
            self.network,
            self.timeline,
            job=JOB,
            rates=rates,
            uplink_bps=uplink_bps,
            observers=self._observers,
        )
        host.on_end = self._ended
        self.network.hosts[name] = host
        self.traffic.append(host.traffic)
        role(host)
        self.tracker.announce(host)

    def leave(self, name: str) -> None:
        """A host says goodbye to everybody and ends."""
        host = self.hosts[name]
        if host.running:
            host.tell(Leaving("it was asked to"))
            self._bury(host, Life.ENDED)
            self.tracker.depart(host)

    def crash(self, name: str, *, silently: bool = False) -> None:
        """A host's process dies, or ``silently``: its machine loses power."""
        host = self.hosts[name]
        if host.alive:
            self._bury(host, Life.DARK if silently else Life.ENDED)
            self.tracker.lose(host)

    def freeze(self, name: str) -> None:
        """A host's process stands still; the tracker misses it after a while."""
        host = self.hosts[name]
        if host.running:
            host.freeze()
            self.tracker.lose(host)

    def thaw(self, name: str) -> None:
        """It goes on, and says that it is here."""
        host = self.hosts[name]
        if host.alive:
            host.thaw()
            self.tracker.announce(host)

    def _bury(self, host: Host, life: Life) -> None:
        host.end(life)
        for where in [where for where in self._open if where[0] is host]:
            del self._open[where]
        self._look()

    # ---- weights --------------------------------------------------------------------------------------------------

    def publish(self, host: Host, weights: Weights, spreading: Spreading, *, offer: bool = False) -> None:
        """A host holds these weights from now on, and says so."""
        self.weights[weights.manifest.key] = weights
        host.hold(weights.manifest, weights.data)
        host.tell(Published(weights.manifest, spreading, offer))

    def fetch(self, host: Host, event: FetchWanted) -> None:
        """A host wants these weights from now on."""
        fetch = Fetch(host, event, self.timeline.now_s)
        self.fetches.append(fetch)
        self._open[host, fetch.key] = fetch
        host.tell(event)

    def _ended(self, host: Host, ending: Completed | Expired | Failed) -> None:
        fetch = self._open.pop((host, ending.key), None)
        if fetch is not None:
            fetch.ending, fetch.ended_s = ending, self.timeline.now_s
            self._look()

    # ---- time -----------------------------------------------------------------------------------------------------

    def busy_until(self, when_s: float) -> None:
        """A run does not end before this instant: something is arranged for it."""
        self._busy_until_s = max(self._busy_until_s, when_s)

    def run(self, until_s: float) -> None:
        """Lets time pass until no fetch is open and nothing is arranged that may open one, at most ``until_s``."""
        self.timeline.at(self._busy_until_s, self._look)
        self.timeline.run(until_s)

    def _look(self) -> None:
        if not self._open and self.timeline.now_s >= self._busy_until_s:
            self.timeline.stop()
