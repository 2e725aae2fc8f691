"""A swarm: hosts that come and go on one network, a tracker that introduces them, and the weights they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from fedswarm.randomness import generator
from fedswarm.swarm.events import BecameFinal, FetchWanted, Forgotten, Leaving, Published, Spreading
from fedswarm.swarm.instructions import Completed, Expired, Failed
from fedswarm.swarm.manifest import Key, Manifest, build_manifest, growing_manifest
from fedswarm.swarm.messages import Address
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions
from fedswarm.swarm.simulator.host import Host, Life, Machine, Observer, Traffic
from fedswarm.swarm.simulator.network import Network
from fedswarm.swarm.simulator.timeline import Timeline
from fedswarm.swarm.simulator.tracker import Everyone, Overlay, Tracker

JOB = "simulated"

Role = Callable[[Host], object]
"""What a host does when it comes, and again whenever it comes back: publish, fetch, or nothing."""

MakeMachine = Callable[[Address, Rates], Machine]
"""A new state machine for who comes with which rates."""


Sink = Callable[[int, bytes], None]
"""Takes the index and the bytes of a verified chunk."""


class Application(Protocol):
    """What runs on one host, on top of its peer, for as long as the host lives."""

    host: Host

    def fault(self) -> str | None:
        """What is wrong with how it ended, as far as it is known when nothing more is to happen."""
        ...


@dataclass(frozen=True)
class Weights:
    """Somebody's weights: what they are made of, and their true bytes, also of those that are still to be made."""

    manifest: Manifest
    data: NDArray[Any]

    def chunk(self, index: int) -> bytes:
        """The true bytes of a chunk."""
        return bytes(self.data.data.cast("B")[self.manifest.range(index)])


def random_weights(publisher: str, chunks: int, chunk_bytes: int, *, seed: int, round_index: int = 0) -> Weights:
    """Weights of ``chunks`` chunks that compress to nothing, the last a little short."""
    count = chunks * chunk_bytes // 4 - 3
    data = generator(seed, round_index, f"weights of {publisher}").random(count, dtype=np.float32)
    manifest = build_manifest(
        data, job=JOB, round_index=round_index, source=publisher, schema_hash="00", chunk_bytes=chunk_bytes
    )
    return Weights(manifest, data)


def growing_weights(publisher: str, chunks: int, chunk_bytes: int, *, seed: int) -> Weights:
    """The same, to be published while they are made."""
    data = random_weights(publisher, chunks, chunk_bytes, seed=seed).data
    manifest = growing_manifest(
        len(data), "float32", job=JOB, round_index=0, source=publisher, schema_hash="00", chunk_bytes=chunk_bytes
    )
    return Weights(manifest, data)


@dataclass
class Fetch:
    """What became of one fetch of one host; it ends without ``ending`` when its host does, or gives it up.

    ``sink`` takes each chunk as it comes; ``then`` is called once it ended, unless the host did.
    """

    host: Host
    event: FetchWanted
    began_s: float
    sink: Sink | None = None
    then: Callable[[Fetch], None] | None = None
    given_up: bool = False
    ending: Completed | Expired | Failed | None = None
    ended_s: float | None = None

    @property
    def key(self) -> Key:
        """What is fetched."""
        return self.event.manifest.key

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.ending is None and not self.given_up and self.host.alive


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
        self.applications: list[Application] = []
        self.traffic: list[Traffic] = []
        """Of all hosts that ever came."""
        self._make = make
        self._observers = tuple(observers)
        self._sites: dict[str, tuple[Rates, Role, int]] = {}
        self._open: dict[tuple[Host, Key], Fetch] = {}
        self._busy_until_s = 0.0
        self._soon = 0
        self._until_thaw: dict[Host, list[tuple[Callable[..., object], tuple[Any, ...]]]] = {}

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
        host.on_accept, host.on_end = self._accepted, self._ended
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
            for action, arguments in self._until_thaw.pop(host, []):
                self.soon(host, action, *arguments)
            self.tracker.announce(host)

    def _bury(self, host: Host, life: Life) -> None:
        host.end(life)
        self._until_thaw.pop(host, None)
        for where in [where for where in self._open if where[0] is host]:
            del self._open[where]
        self._look()

    # ---- weights --------------------------------------------------------------------------------------------------

    def publish(self, host: Host, weights: Weights, spreading: Spreading, *, offer: bool = False) -> None:
        """A host holds these weights from now on, and says so."""
        self.weights[weights.manifest.key] = weights
        host.hold(weights.manifest, weights.data)
        host.tell(Published(weights.manifest, spreading, offer))

    def grow(self, host: Host, weights: Weights, spreading: Spreading) -> None:
        """A host announces weights that it is still making; :meth:`finish` makes them."""
        self.weights[weights.manifest.key] = weights
        host.chunks[weights.manifest.key] = {}
        host.tell(Published(weights.manifest, spreading, False))

    def finish(self, host: Host, key: Key, index: int, payload: bytes) -> None:
        """A chunk of growing weights is final."""
        host.chunks[key][index] = payload
        host.tell(BecameFinal(key, index, blake3(payload).digest()))

    def fetch(
        self, host: Host, event: FetchWanted, sink: Sink | None = None, then: Callable[[Fetch], None] | None = None
    ) -> Fetch:
        """A host wants these weights from now on."""
        fetch = Fetch(host, event, self.timeline.now_s, sink, then)
        self.fetches.append(fetch)
        self._open[host, fetch.key] = fetch
        host.tell(event)
        return fetch

    def give_up(self, fetch: Fetch) -> None:
        """A host does not want these weights any more, if it still does."""
        if self._open.get((fetch.host, fetch.key)) is fetch:
            del self._open[fetch.host, fetch.key]
            fetch.given_up, fetch.ended_s = True, self.timeline.now_s
            fetch.host.tell(Forgotten(fetch.key))
            self._tell_end(fetch)

    def _accepted(self, host: Host, key: Key, index: int, payload: bytes) -> None:
        fetch = self._open.get((host, key))
        if fetch is not None and fetch.sink is not None:
            fetch.sink(index, payload)

    def _ended(self, host: Host, ending: Completed | Expired | Failed) -> None:
        fetch = self._open.pop((host, ending.key), None)
        if fetch is not None:
            fetch.ending, fetch.ended_s = ending, self.timeline.now_s
            self._tell_end(fetch)

    def _tell_end(self, fetch: Fetch) -> None:
        if fetch.then is not None:
            self.soon(fetch.host, fetch.then, fetch)
        self._look()

    # ---- time -----------------------------------------------------------------------------------------------------

    def soon(self, host: Host, action: Callable[..., object], *arguments: Any) -> None:
        """What an application does once its host's machine is through with what happens now, unless the host ends."""
        self._soon += 1
        self.timeline.after(0.0, self._act, host, action, arguments)

    def _act(self, host: Host, action: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._soon -= 1
        if host.running:
            action(*arguments)
        elif host.alive:
            self._until_thaw.setdefault(host, []).append((action, arguments))
        self._look()

    def busy_until(self, when_s: float) -> None:
        """A run does not end before this instant: something is arranged for it."""
        self._busy_until_s = max(self._busy_until_s, when_s)

    def run(self, until_s: float) -> None:
        """Lets time pass until no fetch is open and nothing is arranged that may open one, at most ``until_s``."""
        self.timeline.at(self._busy_until_s, self._look)
        self.timeline.run(until_s)

    def _look(self) -> None:
        if not (self._open or self._soon or self._until_thaw) and self.timeline.now_s >= self._busy_until_s:
            self.timeline.stop()
