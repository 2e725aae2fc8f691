"""What one peer knows about one set of weights it fetches, or has fetched and still serves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.bitfield import Bitfield
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.ownership import owned_by


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the publisher cannot be asked any more."""

    reason: str
    corrupt: bool


@dataclass(slots=True)
class Member:
    """A linked peer as seen by this download: what it holds, and when it last showed that it is at work."""

    held: Bitfield
    heard_s: float | None = None
    counted: bool = True


@dataclass(slots=True)
class Download:
    """Chunk by chunk: held, asked for, by how many held, and owned by whom; all arrays have one entry a chunk."""

    manifest: Manifest
    swarm: bool
    started_s: float
    ties: NDArray[np.float64]
    """Keyed random numbers in [0, 1) that break ties, so that peers do not march in step."""
    held: Bitfield = field(init=False)
    requests: NDArray[np.int16] = field(init=False)
    """Unanswered requests."""
    rarity: NDArray[np.int32] = field(init=False)
    """How many peers that answer hold the chunk, the publisher not among them."""
    owned: NDArray[np.bool_] = field(init=False)
    """Whether this peer is the one to take the chunk from the publisher."""
    members: dict[str, Member] = field(default_factory=dict)
    progress_s: float = field(init=False)
    fault: Fault | None = None
    _owners: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        chunks = self.manifest.chunks
        self.held = Bitfield(chunks)
        self.requests = np.zeros(chunks, dtype=np.int16)
        self.rarity = np.zeros(chunks, dtype=np.int32)
        self.owned = np.ones(chunks, dtype=np.bool_)
        self.progress_s = self.started_s

    @property
    def active(self) -> bool:
        """Whether chunks are still missing."""
        return not self.held.complete

    @property
    def unrequested(self) -> NDArray[np.bool_]:
        """Chunks neither held nor asked for."""
        return np.asarray(~self.held.bits & (self.requests == 0))

    def member(self, peer: str) -> Member:
        """The view of a peer, made when it is first heard of."""
        if peer not in self.members:
            self.members[peer] = Member(Bitfield(self.manifest.chunks))
        return self.members[peer]

    def peer_holds(self, peer: str, runs: tuple[tuple[int, int], ...], now_s: float) -> None:
        """Takes in an announcement; raises :class:`WireError` for chunks that do not exist."""
        member = self.member(peer)
        member.heard_s = now_s
        for first, count in runs:
            fresh = member.held.add_run(first, count)
            if member.counted:
                self.rarity[fresh] += 1

    def peer_lacks(self, peer: str, index: int) -> None:
        """A peer said it does not hold a chunk after all."""
        member = self.members.get(peer)
        if member is not None and member.held.remove(index) and member.counted:
            self.rarity[index] -= 1

    def count(self, peer: str, counted: bool) -> None:
        """Whether the chunks of a peer count as had by somebody: not while the peer is silent."""
        member = self.members.get(peer)
        if member is not None and member.counted != counted:
            member.counted = counted
            self.rarity += member.held.bits.astype(np.int32) * (1 if counted else -1)

    def remove_peer(self, peer: str) -> None:
        """A peer is gone, or no longer holds any of it."""
        self.count(peer, counted=False)
        self.members.pop(peer, None)

    def divide(self, me: str, others: frozenset[str]) -> None:
        """Recomputes :attr:`owned` when the peers that share the work have changed."""
        if self.swarm and others != self._owners:
            self._owners = others
            self.owned = owned_by(me, others, self.manifest.root, self.manifest.chunks)
