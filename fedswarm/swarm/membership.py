"""Whom a peer is linked with: introductions, dials, heartbeats, peer exchange, bans, goodbyes.

Trackers name the peers to link with; the topology is theirs. Peers tell each other whom they are linked with (peer
exchange, BEP 11), so that a swarm whose trackers are gone stays together: whoever is left with few links dials
acquaintances, though never so many that the topology would become another one. A link that breaks is sought again, ever
more patiently, unless its peer said goodbye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fedswarm.randomness import generator
from fedswarm.swarm.agenda import Intention
from fedswarm.swarm.events import LinkUp
from fedswarm.swarm.instructions import Ban, Dial, HangUp
from fedswarm.swarm.messages import Acquaintances, Address, Alive, Goodbye, Retain
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.pace import Pace
from fedswarm.swarm.state import State

BEAT: Final = Intention("beat")
EXCHANGE_PEERS: Final = Intention("exchange peers")
MOST_REMEMBERED: Final = 10_000
FIRST_REDIAL_S: Final = 1.0
LAST_REDIAL_S: Final = 30.0
REDIALS: Final = 8


@dataclass(slots=True)
class _Sought:
    """A peer to be linked with: where, whether for an errand, and how often it could not be reached in a row."""

    target: str
    errand: bool = False
    failures: int = 0
    dialling: bool = False


class Membership:
    """Part of a :class:`~fedswarm.swarm.peer.Peer`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sought: dict[str, _Sought] = {}
        self._acquaintances: dict[str, str] = {}  # heard of from others: peer and target
        self._told: dict[str, set[str]] = {}  # neighbour, and those of our neighbours that it knows of
        self._company: set[str] = set()  # peers that trackers want us linked with: named to us, or we to them
        self._fewest_links = 0
        self._is_arranged = False
        self._leaving = False

    # ---- links ----------------------------------------------------------------------------------------------------

    def welcomes(self, peer: str) -> bool:
        """Whether a link with this peer is taken."""
        state = self._state
        room = len(state.neighbours) < state.limits.most_links or peer in state.neighbours
        return not self._leaving and peer not in state.banned and peer != state.me.peer and room

    def link_up(self, event: LinkUp) -> Neighbour | None:
        """A link stands; ``None`` if it is not wanted."""
        state, address = self._state, event.hello.address
        if not self.welcomes(address.peer):
            state.out.append(HangUp(address.peer, "not welcome"))
            return None
        neighbour = Neighbour(
            name=address.peer,
            target=address.target,
            uplink_bps=event.hello.uplink_bps,
            linked_s=state.now_s,
            pace=Pace(state.limits.pipeline_bytes),
            heard_s=state.now_s,
            said_s=state.now_s,
        )
        state.neighbours[address.peer] = neighbour
        self._told[address.peer] = {address.peer}
        sought = self._sought.get(address.peer)
        if sought is None:
            self._note_company(address.peer)
        else:
            sought.failures, sought.dialling, sought.target = 0, False, address.target
        state.agenda.put_unless_earlier(state.now_s + state.limits.heartbeat_s, BEAT)
        state.agenda.put_unless_earlier(state.now_s + state.limits.acquaintances_every_s, EXCHANGE_PEERS)
        return neighbour

    def link_down(self, neighbour: Neighbour) -> None:
        """A link broke; the neighbour is taken off the list."""
        del self._state.neighbours[neighbour.name]
        self._told.pop(neighbour.name, None)
        sought = self._sought.get(neighbour.name)
        if sought is None:
            self._company.discard(neighbour.name)
        elif not self._leaving:
            sought.dialling = False
            self._dial_later(neighbour.name, sought)
        self._keep_company()

    def goodbye(self, neighbour: Neighbour) -> None:
        """A neighbour leaves: it is not sought any more."""
        self.departed(neighbour.name)
        self._acquaintances.pop(neighbour.name, None)

    def ban(self, peer: str, reason: str) -> None:
        """Never again."""
        banned = self._state.banned
        banned[peer] = None
        if len(banned) > self._state.limits.most_banned:
            del banned[next(iter(banned))]
        self.departed(peer)
        self._acquaintances.pop(peer, None)
        self._state.out.append(Ban(peer, reason))

    def leave(self, reason: str) -> None:
        """Says goodbye to everybody."""
        self._leaving = True
        for neighbour in self._state.neighbours.values():
            if neighbour.released_here:
                self._state.say(neighbour, Retain())  # or it would take this for the end of the link alone
            self._state.say(neighbour, Goodbye(reason))
            self._state.out.append(HangUp(neighbour.name, reason))
        self._sought.clear()

    # ---- whom to seek ---------------------------------------------------------------------------------------------

    def introduced(self, addresses: tuple[Address, ...], *, errand: bool = False) -> None:
        """These are to be linked with."""
        for address in addresses:
            if address.peer != self._state.me.peer:
                self._note_company(address.peer)
                self.seek(address.peer, address.target, errand=errand)

    def arranged(self, neighbours: frozenset[str] | None) -> None:
        """As long as the topology is known, it says how many links are few."""
        self._is_arranged = neighbours is not None
        if neighbours is not None:
            self._company = set(neighbours)
            self._fewest_links = min(len(neighbours), self._state.limits.fewest_links)

    def _note_company(self, peer: str) -> None:
        """Few links are fewer than there ever were by the topology: a ring whose peers seek a third link is none."""
        if self._is_arranged:
            return
        self._company.add(peer)
        self._fewest_links = max(self._fewest_links, min(len(self._company), self._state.limits.fewest_links))

    def is_errand(self, peer: str) -> bool:
        """Whether we sought a peer for a reason of its own."""
        return peer in self._sought and self._sought[peer].errand

    def seek(self, peer: str, target: str, *, errand: bool = False) -> None:
        """Links with a peer, for as long as it can be reached; for an ``errand`` also outside of the topology."""
        if peer in self._state.banned or peer == self._state.me.peer or self._leaving:
            return
        sought = self._sought.get(peer)
        if sought is None or sought.target != target:
            sought = self._sought[peer] = _Sought(target)
        sought.errand = sought.errand or errand
        if peer not in self._state.neighbours and not sought.dialling and not sought.failures:
            self._dial(peer, sought)

    def departed(self, peer: str) -> None:
        """It need not be sought any more."""
        self._sought.pop(peer, None)
        self._company.discard(peer)
        self._state.agenda.cancel(Intention("dial", peer))

    def dial_failed(self, peer: str) -> bool:
        """A peer cannot be reached now; returns whether it counts as gone."""
        is_linked = peer in self._state.neighbours  # it dialled us meanwhile
        sought = self._sought.get(peer)
        if sought is None:
            return not is_linked
        sought.dialling = False
        sought.failures += 1
        if sought.failures < REDIALS:
            self._dial_later(peer, sought)
        else:
            del self._sought[peer]
            self._keep_company()
        return sought.failures >= self._state.limits.publisher_attempts and not is_linked

    def _dial(self, peer: str, sought: _Sought) -> None:
        sought.dialling = True
        self._state.out.append(Dial(peer, sought.target))

    def _dial_later(self, peer: str, sought: _Sought) -> None:
        """Patience doubles, and is spread so that not everybody dials a returning peer at once."""
        draw = generator(self._state.seed, sought.failures, f"redial of {peer} by {self._state.me.peer}")
        pause_s = min(FIRST_REDIAL_S * 2**sought.failures, LAST_REDIAL_S) * draw.uniform(0.5, 1.0)
        self._state.agenda.put(self._state.now_s + pause_s, Intention("dial", peer))

    def redial(self, peer: str) -> None:
        """It is time to try again."""
        sought = self._sought.get(peer)
        if sought is not None and peer not in self._state.neighbours and not sought.dialling:
            self._dial(peer, sought)

    # ---- peer exchange --------------------------------------------------------------------------------------------

    def exchange_peers(self) -> None:
        """Tells every neighbour whom else we are linked with, as far as it was not told."""
        state = self._state
        for neighbour in state.neighbours.values():
            told = self._told[neighbour.name]
            fresh = [other for name, other in state.neighbours.items() if name not in told]
            added = tuple(Address(other.name, other.target) for other in fresh[: state.limits.acquaintances_at_once])
            gone = [name for name in told if name not in state.neighbours][: state.limits.acquaintances_at_once]
            if added or gone:
                told.update(address.peer for address in added)
                told.difference_update(gone)
                state.say(neighbour, Acquaintances(added, tuple(gone)))
        if state.neighbours:
            state.agenda.put(state.now_s + state.limits.acquaintances_every_s, EXCHANGE_PEERS)

    def heard_acquaintances(self, neighbour: Neighbour, message: Acquaintances) -> None:
        """Whom a neighbour is linked with."""
        for address in message.added:
            if len(self._acquaintances) < MOST_REMEMBERED and address.peer != self._state.me.peer:
                self._acquaintances[address.peer] = address.target
        for peer in message.dropped:
            self._acquaintances.pop(peer, None)
        known_there = (address.peer for address in message.added if address.peer in self._state.neighbours)
        self._told[neighbour.name].update(known_there)
        self._keep_company()

    def _keep_company(self) -> None:
        """With few links left and nobody introduced who might answer, dials acquaintances."""
        state = self._state
        if self._leaving:
            return
        hopeful = sum(
            1 for peer, sought in self._sought.items() if peer not in state.neighbours and sought.failures < 2
        )
        lacking = self._fewest_links - len(state.neighbours) - hopeful
        not_to_dial = {*state.neighbours, *self._sought, *state.banned}
        strangers = [peer for peer in self._acquaintances if peer not in not_to_dial]
        if lacking <= 0 or not strangers:
            return
        draw = generator(state.seed, len(self._sought), f"acquaintances dialled by {state.me.peer}")
        for peer in draw.permutation(sorted(strangers))[:lacking].tolist():
            self.seek(peer, self._acquaintances.pop(peer))

    # ---- heartbeats -----------------------------------------------------------------------------------------------

    def beat(self) -> list[Neighbour]:
        """Shows neighbours that we live; returns those who have not shown it for too long."""
        state = self._state
        silent = []
        for neighbour in state.neighbours.values():
            if state.now_s - neighbour.heard_s > state.limits.dead_after_s:
                silent.append(neighbour)
            elif state.now_s - neighbour.said_s >= state.limits.heartbeat_s / 2:
                state.say(neighbour, Alive())
        if state.neighbours:
            state.agenda.put(state.now_s + state.limits.heartbeat_s, BEAT)
        return silent
