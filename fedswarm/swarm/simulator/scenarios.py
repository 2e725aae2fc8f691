"""Ready-made swarms of real peers: one to many, also while it is being made, many to many, and somebody who is late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fedswarm.swarm.events import FetchWanted, Spreading
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.messages import Address
from fedswarm.swarm.peer import Peer
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions
from fedswarm.swarm.simulator.faults import Injection, Injector
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.invariants import Invariants
from fedswarm.swarm.simulator.outcome import Outcome, outcome_of
from fedswarm.swarm.simulator.story import Story
from fedswarm.swarm.simulator.tracker import Overlay
from fedswarm.swarm.simulator.world import JOB, Role, Weights, World, growing_weights, random_weights
from fedswarm.swarm.uplink import KnownUplink

SOURCE = "source"


@dataclass(frozen=True)
class Setting:
    """What scenarios have in common.

    Attributes:
        seed: of everything drawn.
        conditions: of the network.
        overlay: makes the overlay that the tracker introduces along; everybody is linked with everybody when absent.
        limits: of all peers.
        uplinks_known: whether peers know their uplinks, or have to measure them.
        plan: faults to be injected.
        checked: whether all invariants are checked all the time (about three times slower).
        until_s: when the scenario is broken off.
        come_within_s: hosts come one after another within this time.
    """

    seed: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    overlay: Callable[[], Overlay] | None = None
    limits: Limits = field(default_factory=Limits)
    uplinks_known: bool = True
    plan: Sequence[Injection] = ()
    checked: bool = False
    until_s: float = 600.0
    come_within_s: float = 0.05


class Swarm:
    """A world of real peers in a setting. If checked, running it raises :class:`BreachError` with its story."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.story = Story()
        self._invariants = Invariants(setting.limits, self.story) if setting.checked else None
        self.world = World(
            self._peer,
            seed=setting.seed,
            conditions=setting.conditions,
            overlay=setting.overlay() if setting.overlay else None,
            observers=[self._invariants] if self._invariants else [],
        )
        self._injector = Injector(self.world, self._remark)
        self._injector.arrange(setting.plan)
        if self._invariants:
            self._invariants.watch(self.world, self._injector.culprits)

    def _peer(self, address: Address, rates: Rates) -> Peer:
        uplink = KnownUplink(int(rates.up_bps)) if self.setting.uplinks_known else None
        return Peer(address, JOB, seed=self.setting.seed, limits=self.setting.limits, uplink=uplink)

    def _remark(self, name: str, injection: Injection) -> None:
        self.story.tell(name, f"*** {injection}", self.world.timeline.now_s)

    def add(self, name: str, rates: Rates, role: Role, at_s: float = 0.0) -> None:
        """Arranges for a host to come."""
        known_bps = int(rates.up_bps) if self.setting.uplinks_known else 0
        self.world.add(name, rates, role, at_s=at_s, uplink_bps=known_bps)

    def add_all(self, hosts: Iterable[tuple[str, Rates]], role: Role) -> None:
        """Arranges for hosts to come one after another."""
        hosts = list(hosts)
        for number, (name, rates) in enumerate(hosts):
            self.add(name, rates, role, self.setting.come_within_s * number / len(hosts))

    def run(self) -> Outcome:
        """Runs it to its end."""
        self.world.run(self.setting.until_s)
        if self._invariants:
            self._invariants.check_end()
        return outcome_of(self.world)

    def publisher(self, weights: Weights, spreading: Spreading, *, offer: bool = False) -> Role:
        """The role of holding these weights from the beginning."""
        self.world.weights[weights.manifest.key] = weights
        return lambda host: self.world.publish(host, weights, spreading, offer=offer)

    def fetcher(self, manifest: Manifest, *, deadline_s: float | None = None) -> Role:
        """The role of getting these weights, with the publisher's address where all know all."""
        target = "" if self.setting.overlay else f"{manifest.publisher}:1"
        event = FetchWanted(manifest, target, swarm=True, deadline_s=deadline_s)
        return lambda host: self.world.fetch(host, event)


def broadcast(
    source: Rates,
    peers: Sequence[Rates],
    *,
    chunks: int,
    chunk_bytes: int,
    spreading: Spreading = Spreading.PUSH,
    setting: Setting = Setting(),
    deadline_s: float | None = None,
) -> Outcome:
    """``source`` publishes, ``peers`` (named p0, p1, ...) fetch."""
    swarm = Swarm(setting)
    weights = random_weights(SOURCE, chunks, chunk_bytes, seed=setting.seed)
    swarm.add(SOURCE, source, swarm.publisher(weights, spreading))
    swarm.add_all(named(peers), swarm.fetcher(weights.manifest, deadline_s=deadline_s))
    return swarm.run()


def late_join(
    source: Rates,
    peers: Sequence[Rates],
    late: Rates,
    *,
    chunks: int,
    chunk_bytes: int,
    at_s: float,
    spreading: Spreading = Spreading.PUSH,
    setting: Setting = Setting(),
) -> Outcome:
    """As :func:`broadcast`, and one more peer, ``late``, comes at ``at_s``."""
    swarm = Swarm(setting)
    weights = random_weights(SOURCE, chunks, chunk_bytes, seed=setting.seed)
    swarm.add(SOURCE, source, swarm.publisher(weights, spreading))
    fetch = swarm.fetcher(weights.manifest)
    swarm.add_all(named(peers), fetch)
    swarm.add("late", late, fetch, at_s)
    return swarm.run()


def growing_broadcast(
    source: Rates,
    peers: Sequence[Rates],
    *,
    chunks: int,
    chunk_bytes: int,
    chunk_every_s: float,
    setting: Setting = Setting(),
    deadline_s: float | None = None,
) -> Outcome:
    """``source`` makes one chunk every ``chunk_every_s`` seconds, in order, ``peers`` (p0, p1, ...) fetch meanwhile.

    All are linked with ``source``, which alone can name digests.
    """
    swarm = Swarm(setting)
    weights = growing_weights(SOURCE, chunks, chunk_bytes, seed=setting.seed)
    swarm.add(SOURCE, source, _maker(swarm, weights, chunk_every_s))
    event = FetchWanted(weights.manifest, f"{SOURCE}:1", swarm=True, deadline_s=deadline_s)
    swarm.add_all(named(peers), lambda host: swarm.world.fetch(host, event))
    return swarm.run()


def _maker(swarm: Swarm, weights: Weights, chunk_every_s: float) -> Role:
    """The role of publishing weights while they are made, anew whenever the host comes."""
    world, manifest = swarm.world, weights.manifest
    world.weights[manifest.key] = weights

    def begin(host: Host) -> None:
        world.grow(host, weights, Spreading.ANSWER)
        for index in range(manifest.chunks):
            payload = weights.chunk(index)
            world.timeline.after(
                index * chunk_every_s, world.soon, host, world.finish, host, manifest.key, index, payload
            )

    return begin


def all_to_all(peers: Sequence[Rates], *, chunks: int, chunk_bytes: int, setting: Setting = Setting()) -> Outcome:
    """Each peer publishes weights of its own and fetches those of all others, as it hears of them."""
    swarm = Swarm(setting)
    for number, (name, rates) in enumerate(named(peers)):
        weights = random_weights(name, chunks, chunk_bytes, seed=setting.seed)
        role = _publish_and_fetch_offers(swarm, swarm.publisher(weights, Spreading.SEED, offer=True))
        swarm.add(name, rates, role, setting.come_within_s * number / len(peers))
    swarm.world.busy_until(setting.come_within_s + 1.0)
    return swarm.run()


def _publish_and_fetch_offers(swarm: Swarm, publish: Role) -> Role:
    def fetch(host: Host, manifest: Manifest) -> None:
        swarm.world.timeline.after(0.0, swarm.fetcher(manifest), host)

    def begin(host: Host) -> None:
        host.on_offer = fetch
        publish(host)

    return begin


def named(peers: Sequence[Rates]) -> list[tuple[str, Rates]]:
    """Peers with their names: p0, p1, ..."""
    return [(f"p{number}", rates) for number, rates in enumerate(peers)]
