"""Relay push: how a publisher brings weights to many peers in little more than the least possible time.

The fluid optimum of one-to-many distribution (Kumar and Ross, "Peer-assisted file distribution: the minimum
distribution time", 2006) sends each piece from the source to one peer, which passes it on to all others, in proportion
to the peers' uplinks; what the source's uplink has left, it sends to everybody itself. Here acknowledgements clock that
schedule, so that nobody has to compute it. The rules:

1. A chunk that was not sent yet goes to an *owner*, who relays it: the peer whose backlog, in seconds of its uplink, is
   the shortest, and below a bound. The backlog is what it was given and others do not hold yet. Whoever says that
   nothing waits for its uplink gets another chunk in any case: its rate may be underrated. Who cannot tell its rate yet
   gets two chunks to find it out.
2. While all owners have enough to do, the publisher sends a chunk to all itself, to the peer furthest behind first; so
   it does with the last chunks, as soon as it is through with all of them before an owner is with one.
3. When every chunk has been given away, the publisher *steals*: it sends chunks itself that the owner with the longest
   backlog has not sent yet, the last ones first, and relieves the owner of them; only where waiting would take longer.
4. What nobody is charged with (an owner left, a peer joined late), or an owner neglects, the publisher sends itself, at
   the very end: peers get such chunks from one another in the meantime.

More important chunks are given away first. Chunks go out several at a time, for messages cost more than bytes, but an
owner is given no more at once than it has waiting already, and fewer as the end comes near: what is given together is
passed on one after the other.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.bitfield import Bitfield
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Manifest

STEAL_FACTOR: Final = 1.5
STEAL_MARGIN_S: Final = 0.25
NEGLECT_FACTOR: Final = 4.0
FIRST_GUESS_BPS: Final = 8_000_000
AUDIENCE_WAIT_S: Final = 0.25
MOST_WHILE_WAITING: Final = 2
MOST_WHILE_UNKNOWN: Final = 2
LEAST_BACKLOG_S: Final = 0.4
TRAINS_IN_BACKLOG: Final = 3
TAIL_CHUNKS: Final = 2
"""Chunks go out one by one when fewer than this are left for each peer, two by two below twice as many, and so on."""


@dataclass(frozen=True, slots=True)
class Push:
    """Chunks the publisher is to send: to whom, whether that peer relays them, and whom it relieves of them."""

    peer: str
    indices: tuple[int, ...]
    relay: bool
    relieved: str | None


@dataclass(slots=True)
class _Member:
    """A peer that wants the weights."""

    held: Bitfield
    uplink_bps: int
    coming: set[int] = field(default_factory=set)
    """Chunks the publisher sent it and that it does not tell of yet."""
    idle: bool = False
    """Whether it said that nothing waits for its uplink, and was given nothing since."""
    content: bool = False
    """Whether it said that it has all it wants."""
    duties: OrderedDict[int, float] = field(default_factory=OrderedDict)
    """Chunks it was given to relay to everybody, in that order, and since when."""
    owed: int = 0
    """How often they have still to be sent: those that others lack, once for each of these."""


class RelayPush:
    """The schedule of one set of weights, at its publisher."""

    def __init__(self, manifest: Manifest, order: list[int], limits: Limits) -> None:
        self._manifest = manifest
        self._began_s = math.inf
        self._limits = limits
        self._members: dict[str, _Member] = {}
        self._own_bps = 0
        self._ungiven = deque(order)
        self._own: list[int] = []
        self._lacking = np.zeros(manifest.chunks, dtype=np.int32)
        self._copies_lacking = 0
        self._owners: dict[int, str] = {}

    # ---- who takes part -------------------------------------------------------------------------------------------

    def join(self, peer: str, uplink_bps: int, now_s: float) -> None:
        """A peer wants the weights, perhaps anew; what it holds is told by and by."""
        self._began_s = min(self._began_s, now_s)  # others follow soon, however long ago this was published
        if peer in self._members and self._members[peer].content:
            self.leave(peer)
        if peer not in self._members:
            for owner in self._members.values():
                owner.owed += len(owner.duties)
            self._members[peer] = _Member(Bitfield(self._manifest.chunks), uplink_bps)
            self._lacking += 1
            self._copies_lacking += self._manifest.chunks

    def leave(self, peer: str) -> None:
        """A peer has all it wants, or is gone. Chunks that only it was given are given away again."""
        member = self._members.pop(peer, None)
        if member is None:
            return
        lacked = np.flatnonzero(~member.held.bits)
        self._no_longer_lacking(peer, lacked)
        for index in reversed(member.duties):
            del self._owners[index]
            if not any(other.held.bits[index] for other in self._members.values()):
                self._ungiven.appendleft(index)

    def complete(self, peer: str) -> None:
        """A peer says that it has all it wants; it still relays what it owns."""
        if peer in self._members:
            self._members[peer].content = True
            self.holds(peer, np.arange(self._manifest.chunks))

    def holds(self, peer: str, indices: NDArray[np.intp]) -> None:
        """A peer holds these chunks, from wherever."""
        member = self._members.get(peer)
        if member is None:
            return
        fresh = indices[~member.held.bits[indices]]
        member.held.bits[fresh] = True
        member.held.count += len(fresh)
        member.coming.difference_update(fresh.tolist())
        self._no_longer_lacking(peer, fresh)

    def _no_longer_lacking(self, peer: str, indices: NDArray[np.intp]) -> None:
        """A peer got these chunks or is gone: their owners, if others, have so much less to do."""
        self._lacking[indices] -= 1
        self._copies_lacking -= len(indices)
        for index in indices.tolist():
            owner = self._owners.get(index, peer)
            if owner != peer:
                self._members[owner].owed -= 1

    def hears_load(self, peer: str, uplink_bps: int, backlog_bytes: int) -> None:
        """What a peer knows of its uplink, and what waits for it there."""
        member = self._members.get(peer)
        if member is not None:
            member.uplink_bps = uplink_bps or member.uplink_bps
            member.idle = backlog_bytes == 0

    @property
    def members(self) -> list[str]:
        """The peers that take part."""
        return list(self._members)

    # ---- the schedule ---------------------------------------------------------------------------------------------

    def next(self, able: set[str], own_bps: int, audience: int, most: int, now_s: float) -> Push | None:
        """What the publisher should send now, to one of the peers ``able`` to take frames; ``None`` to wait.

        ``audience`` is how many peers may want the weights in the end: the first that come must not be given as much
        to do as if they were the last, nor what is to be sent to all. ``most`` chunks may go out together.
        """
        self._own_bps = own_bps
        most = min(most, 1 + len(self._ungiven) // (TAIL_CHUNKS * max(1, len(self._members))))
        knows_all = self._knows_all(audience, now_s)
        push = self._give_away(able, audience, most, now_s, knows_all=knows_all)
        if push is None and knows_all:
            push = self._send_own(able, most) or self._steal(able) or self._rest(able, now_s)
        if push is not None:
            self._members[push.peer].coming.update(push.indices)
        return push

    def _give_away(self, able: set[str], audience: int, most: int, now_s: float, *, knows_all: bool) -> Push | None:
        index = self._next_ungiven()
        if index is None:
            return None
        limit_s = self._backlog_limit_s(audience)
        waiting = not self._complete(audience, now_s)
        ready: list[tuple[float, str, int]] = []
        for peer, member in self._members.items():
            if peer in able and self._takes(peer, index) and not (waiting and len(member.duties) >= MOST_WHILE_WAITING):
                backlog_s = self._backlog_s(member, audience)
                if room := self._room(member, backlog_s, limit_s, audience, most):
                    ready.append((backlog_s, peer, room))
        if not ready:
            return None
        backlog_s, peer, room = min(ready)
        if knows_all and self._sooner_alone(backlog_s + self._work_s(self._members[peer], audience)):
            return None
        indices: list[int] = []
        most = 1 if waiting else min(most, room)
        while index is not None and len(indices) < most and self._takes(peer, index):
            self._charge(peer, self._ungiven.popleft(), now_s)
            indices.append(index)
            index = self._next_ungiven()
        return Push(peer, tuple(indices), relay=True, relieved=None)

    def _next_ungiven(self) -> int | None:
        """The chunk to be given away next: some have it from elsewhere, say from before their publisher came back."""
        while self._ungiven and self._members and not self._lacking[self._ungiven[0]]:
            self._ungiven.popleft()
        return self._ungiven[0] if self._ungiven and self._members else None

    def _takes(self, peer: str, index: int) -> bool:
        """Whether a peer can be given a chunk: it neither holds it nor was sent it."""
        member = self._members[peer]
        return not member.held.bits[index] and index not in member.coming

    def _room(self, member: _Member, backlog_s: float, limit_s: float, audience: int, most: int) -> int:
        """How many chunks an owner with this backlog is to be given at once, if any.

        Not before there is room for a good part of the limit, for else they would go out one by one; and no more than
        wait there, so that at the start everybody soon has something to pass on.
        """
        if not member.uplink_bps and not member.idle:
            return int(len(member.duties) < MOST_WHILE_UNKNOWN)
        work_s = self._work_s(member, audience)
        together = max(1, min(most, int(limit_s / work_s / TRAINS_IN_BACKLOG)))
        if backlog_s and not member.idle and backlog_s + together * work_s > limit_s:
            return 0
        return max(1, min(together, int(backlog_s / work_s)))

    def _work_s(self, member: _Member, audience: int) -> float:
        """Seconds of its uplink that an owner needs for one chunk."""
        return 8 * self._manifest.chunk_bytes * max(1, audience - 1) / self._bps(member)

    def _sooner_alone(self, owner_s: float) -> bool:
        """Whether the publisher can send everybody all that is left before an owner is through with one chunk of it."""
        left = len(self._ungiven) + len(self._own)
        own_s = 8 * left * self._manifest.chunk_bytes * len(self._members) / (self._own_bps or FIRST_GUESS_BPS)
        return own_s + self._limits.inflight_s < owner_s

    def _charge(self, peer: str, index: int, now_s: float) -> None:
        """A peer becomes the owner of a chunk that it does not hold yet."""
        member = self._members[peer]
        member.duties[index] = now_s
        member.idle = False
        member.owed += int(self._lacking[index]) - 1
        self._owners[index] = peer

    def _complete(self, audience: int, now_s: float) -> bool:
        """Whether everybody who may want the weights is there, or was waited for long enough."""
        return len(self._members) >= audience or now_s - self._began_s > AUDIENCE_WAIT_S

    def _knows_all(self, audience: int, now_s: float) -> bool:
        """Whether all are there and said how fast they are: before that, they may be able to do it all."""
        waited = now_s - self._began_s > AUDIENCE_WAIT_S
        return waited or (self._complete(audience, now_s) and all(m.uplink_bps for m in self._members.values()))

    def _backlog_limit_s(self, audience: int) -> float:
        """How much to leave to an owner: less and less in the end, so that all are done at the same time."""
        peers = len(self._members) or 1
        bps = self._own_bps + sum(map(self._bps, self._members.values())) * max(1.0, audience / peers)
        left_bits = 8 * self._manifest.chunk_bytes * self._copies_lacking * max(1.0, audience / peers)
        return min(self._limits.owner_backlog_s, max(LEAST_BACKLOG_S, left_bits / bps / 2))

    def _send_own(self, able: set[str], most: int) -> Push | None:
        self._own = [index for index in self._own if self._lacks(index, self._members)]
        while self._ungiven and able and not any(self._lacks(index, able) for index in self._own):
            self._own += [self._ungiven.popleft() for _ in range(min(most, len(self._ungiven)))]
        for index in self._own:
            lacking = self._lacks(index, able)
            if lacking:
                peer = self._furthest_behind(lacking)
                indices = [other for other in self._own if self._takes(peer, other)]
                return Push(peer, tuple(indices[:most]), relay=False, relieved=None)
        return None

    def _steal(self, able: set[str]) -> Push | None:
        """Takes a chunk off the owner with the longest backlog, where that is soon enough to help."""
        if self._ungiven:
            return None
        owners = sorted(((self._backlog_s(m, 0), peer) for peer, m in self._members.items() if m.duties), reverse=True)
        for backlog_s, owner in owners:
            for index in reversed(self._members[owner].duties):
                takes_s = 8 * self._manifest.chunk_size(index) / (self._own_bps or FIRST_GUESS_BPS)
                if backlog_s <= STEAL_FACTOR * takes_s + STEAL_MARGIN_S:
                    break
                lacking = self._lacks(index, able)
                if lacking and self._members[owner].held.bits[index]:
                    return Push(self._furthest_behind(lacking), (index,), relay=False, relieved=owner)
        return None

    def _rest(self, able: set[str], now_s: float) -> Push | None:
        """What nobody is charged with, or has been for too long, once nothing else is left to do."""
        if self._ungiven or self._own:
            return None
        charged = {index for index, until_s in self._terms() if until_s > now_s}
        for index in np.flatnonzero(self._lacking > 0).tolist():
            lacking = self._lacks(index, able) if index not in charged else []
            if lacking:
                return Push(self._furthest_behind(lacking), (index,), relay=False, relieved=None)
        return None

    def next_term_s(self, now_s: float) -> float | None:
        """When the next owner will have neglected a chunk, if nothing but waiting is left to do."""
        if self._ungiven or self._own:
            return None
        return min(
            (until_s for index, until_s in self._terms() if until_s > now_s and self._lacking[index]), default=None
        )

    def _terms(self) -> Iterator[tuple[int, float]]:
        """Chunks given to owners, and until when they are left to them: some cannot or will not pass them on."""
        for member in self._members.values():
            patience_s = NEGLECT_FACTOR * (self._limits.owner_backlog_s + self._backlog_s(member, 0))
            for index, since_s in member.duties.items():
                yield index, since_s + patience_s

    def _lacks(self, index: int, peers: Collection[str]) -> list[str]:
        """Which of these peers neither hold a chunk nor were sent it by us."""
        return [
            peer
            for peer, member in self._members.items()
            if not member.held.bits[index] and index not in member.coming and peer in peers
        ]

    def _furthest_behind(self, peers: list[str]) -> str:
        return min(peers, key=lambda peer: (self._members[peer].held.count + len(self._members[peer].coming), peer))

    def _backlog_s(self, member: _Member, audience: int) -> float:
        """Seconds of its uplink that a peer needs for what it owns, should ``audience`` peers want it."""
        copies = member.owed + len(member.duties) * max(0, audience - len(self._members))
        return 8 * copies * self._manifest.chunk_bytes / self._bps(member)

    def _bps(self, member: _Member) -> int:
        """Of a peer that does not know its uplink yet we think that it is slow: what it is charged with, it keeps."""
        return member.uplink_bps or FIRST_GUESS_BPS
