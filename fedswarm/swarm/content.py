"""What one peer knows about one set of weights that it publishes, fetches, or has fetched and still serves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import WireError
from fedswarm.swarm.bitfield import Bitfield
from fedswarm.swarm.manifest import Key, Manifest

NEVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the publisher cannot be asked any more."""

    reason: str
    corrupt: bool


@dataclass(slots=True)
class Fetch:
    """A fetch in progress: what it wants, with whose help, and until when."""

    wanted: NDArray[np.bool_]
    swarm: bool
    deadline_s: float
    started_s: float
    publisher_target: str
    progress_s: float = field(init=False)
    """When the last chunk was accepted."""
    publisher_fault: Fault | None = None
    pushed: bool = False
    """Whether the publisher pushes: then only what is overdue is asked for."""

    def __post_init__(self) -> None:
        self.progress_s = self.started_s

    def urgency(self, now_s: float, missing: int, accepted: int) -> float:
        """Theta, the weight of importance against rarity: 0 with ample time, 1 at the deadline.

        ``clip((t / T - 0.5) * 2, 0, 1)``, and 0 while the rate so far lets the fetch complete in time.
        """
        whole_s = self.deadline_s - self.started_s
        elapsed_s = now_s - self.started_s
        if whole_s == NEVER_S or elapsed_s <= 0:
            return 0.0
        if accepted and missing * elapsed_s / accepted <= self.deadline_s - now_s:
            return 0.0
        return float(np.clip((elapsed_s / whole_s - 0.5) * 2, 0.0, 1.0))


@dataclass(slots=True)
class Content:
    """Chunk by chunk: held here, asked for, and held by how many neighbours; all arrays have one entry a chunk."""

    manifest: Manifest
    ties: NDArray[np.float64]
    """Numbers in [0, 1) that break ties: keyed random ones, so that peers do not march in step, or the order of chunks
    where they come from their publisher alone."""
    fetch: Fetch | None = None
    held: Bitfield = field(init=False)
    members: dict[str, Bitfield] = field(default_factory=dict)
    """What each neighbour holds, as it told."""
    requests: NDArray[np.int16] = field(init=False)
    """Unanswered requests."""
    rarity: NDArray[np.int32] = field(init=False)
    """How many neighbours that answer hold the chunk."""
    known_s: NDArray[np.float64] = field(init=False)
    """Since when some neighbour is known to hold the chunk."""
    importance_rank: NDArray[np.float64] = field(init=False)
    """0 for the most important chunk, towards 1 for the least; ties share a rank."""
    arrived: list[int] = field(default_factory=list)
    """Chunks in the order in which they were accepted."""
    duties: set[int] = field(default_factory=set)
    """Chunks that the publisher gave us to relay to everybody, also to who comes later."""
    digests: dict[int, bytes] = field(default_factory=dict)
    """Of final chunks, where the manifest holds none."""
    distrusted: set[str] = field(default_factory=set)
    """Neighbours that sent other bytes of growing weights than their publisher named to us: one of the two lies."""

    def __post_init__(self) -> None:
        chunks = self.manifest.chunks
        self.held = Bitfield(chunks)
        self.requests = np.zeros(chunks, dtype=np.int16)
        self.rarity = np.zeros(chunks, dtype=np.int32)
        self.known_s = np.full(chunks, NEVER_S)
        importance = np.frombuffer(self.manifest.importance or bytes(chunks), dtype=np.uint8)
        self.importance_rank = dense_rank(-importance.astype(np.int16))

    @property
    def key(self) -> Key:
        """What names these weights."""
        return self.manifest.key

    @property
    def shared(self) -> bool:
        """Whether others are served: not while they are fetched from their publisher alone."""
        return self.fetch is None or self.fetch.swarm

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Chunks wanted and not held."""
        if self.fetch is None:
            return np.zeros(self.manifest.chunks, dtype=np.bool_)
        return np.asarray(self.fetch.wanted & ~self.held.bits)

    @property
    def verifiable_missing(self) -> NDArray[np.bool_]:
        """Those of them that can be told right from wrong: of weights that grow, those that the publisher named."""
        if not self.manifest.grows:
            return self.missing
        final = np.zeros(self.manifest.chunks, dtype=np.bool_)
        final[list(self.digests)] = True
        return np.asarray(self.missing & final)

    def askable(self) -> NDArray[np.bool_]:
        """Chunks wanted, not held, not asked for, and verifiable once they come."""
        return np.asarray(self.verifiable_missing & (self.requests == 0))

    def depends_on(self, peer: str) -> bool:
        """Whether a neighbour is the publisher, or no other one that answers holds some of what is missing."""
        member = self.members.get(peer)
        if self.manifest.publisher == peer:
            return True
        return member is not None and bool((self.missing & member.bits & (self.rarity <= 1)).any())

    def verify(self, index: int, payload: bytes | memoryview) -> bool:
        """Whether ``payload`` is chunk ``index`` as its publisher made it."""
        return self.manifest.verify(index, payload, self.digests.get(index))

    def may_be_misled(self, peer: str, index: int) -> bool:
        """Whether a wrong chunk need not be its sender's fault: the publisher may have named another digest to it."""
        return self.manifest.grows and peer != self.manifest.publisher and 0 <= index < self.manifest.chunks

    def member(self, peer: str) -> Bitfield:
        """What a neighbour holds, nothing when it was not heard of."""
        if peer not in self.members:
            self.members[peer] = Bitfield(self.manifest.chunks)
        return self.members[peer]

    def note_held(self, fresh: NDArray[np.intp], now_s: float) -> None:
        """A neighbour that answers holds these chunks, too."""
        self.rarity[fresh] += 1
        self.known_s[fresh] = np.minimum(self.known_s[fresh], now_s)

    def discount(self, peer: str, counted: bool) -> None:
        """Whether what a neighbour holds counts: not while it does not answer."""
        member = self.members.get(peer)
        if member is not None:
            self.rarity += member.bits.astype(np.int32) * (1 if counted else -1)

    def remove_member(self, peer: str, was_counted: bool) -> None:
        """A neighbour is gone, or no longer holds any of it."""
        if was_counted:
            self.discount(peer, counted=False)
        self.members.pop(peer, None)


def wanted_chunks(manifest: Manifest, indices: tuple[int, ...] | None) -> NDArray[np.bool_]:
    """One entry a chunk, true for those named; ``None`` names all; raises :class:`WireError` for others."""
    if indices is None:
        return np.ones(manifest.chunks, dtype=np.bool_)
    unknown = [index for index in indices if not 0 <= index < manifest.chunks]
    if unknown:
        raise WireError(f"chunk {unknown[0]} is wanted of {manifest.key}, which has {manifest.chunks} chunks")
    wanted = np.zeros(manifest.chunks, dtype=np.bool_)
    wanted[list(indices)] = True
    return wanted


def dense_rank(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Ranks in [0, 1), equal values sharing one: the smallest has 0."""
    _, ranks = np.unique(values, return_inverse=True)
    return np.asarray(ranks / max(1, ranks.max(initial=0) + 1), dtype=np.float64)
