"""What one host's machine was told and what it said, kept apart from the machine: the truth it is checked against."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedswarm.swarm.events import (
    BecameFinal,
    DeliveryLost,
    Event,
    FetchWanted,
    Forgotten,
    FrameArrived,
    LinkDown,
    LinkUp,
    Published,
    Receipted,
    Received,
    Spreading,
)
from fedswarm.swarm.instructions import (
    Accept,
    Ban,
    CloseDelivery,
    Completed,
    Deliver,
    Expired,
    Failed,
    HangUp,
    Instruction,
    Send,
)
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Cancel, Choke, Final, Lack, Unchoke, Want

Chunk = tuple[Key, int]


@dataclass(slots=True)
class Relation:
    """One link, as one side of it must see it.

    Attributes:
        since_s: when it came to stand.
        choked_here: whether we answer its requests, by what we said last; ``choked_there``, whether it answers ours.
        asked: requests it has not answered, with their sizes.
        flying: frames it gave no receipt for.
        again: chunks whose first frame was lost with its stream; they are sent again whatever else was said since.
        heard_s: when a receipt came, or the first frame left since all had one.
    """

    since_s: float
    choked_here: bool = True
    choked_there: bool = True
    asked: dict[Chunk, int] = field(default_factory=dict)
    flying: set[Chunk] = field(default_factory=set)
    again: set[Chunk] = field(default_factory=set)
    heard_s: float = 0.0


@dataclass(slots=True)
class Ledger:
    """All relations of one host, what it holds, and what it fetches."""

    relations: dict[str, Relation] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)
    held: dict[Key, dict[int, float]] = field(default_factory=dict)
    """Chunks held, with the instants since when."""
    fetching: dict[Key, FetchWanted] = field(default_factory=dict)
    pushed: set[Key] = field(default_factory=set)
    """Weights that this host spreads by relay push."""
    owned: set[Chunk] = field(default_factory=set)
    """Chunks that are this host's to pass on."""
    named: dict[Key, dict[int, bytes]] = field(default_factory=dict)
    """Digests of final chunks, as the publisher of growing weights named them first."""

    def note_event(self, event: Event, now_s: float) -> None:
        """Takes in what the machine is told."""
        match event:
            case LinkUp(hello):
                self.relations[hello.address.peer] = Relation(now_s)
            case LinkDown(peer):
                self.relations.pop(peer, None)
            case Received(peer, Final(key, first, digests)) if peer in self.relations:
                if peer == key.publisher and key in self.held:
                    self._note_named(key, first, digests)
            case Received(peer, message) if peer in self.relations:
                self._note_said(self.relations[peer], message)
            case FrameArrived(peer, key, index) if peer in self.relations:
                self.relations[peer].asked.pop((key, index), None)
                if event.relay:
                    self.owned.add((key, index))
            case Receipted(peer, receipts) if peer in self.relations:
                self.relations[peer].heard_s = now_s
                for receipt in receipts:
                    self.relations[peer].flying.discard((receipt.key, receipt.index))
            case DeliveryLost(peer) if peer in self.relations:
                relation = self.relations[peer]
                relation.again.update(relation.flying)
                relation.flying.clear()
            case Published(manifest) if manifest.grows:
                self.held.setdefault(manifest.key, {})
            case BecameFinal(key, index):
                self.held[key][index] = now_s
            case Published(manifest, spreading):
                self.held[manifest.key] = dict.fromkeys(range(manifest.chunks), now_s)
                if spreading is Spreading.PUSH:
                    self.pushed.add(manifest.key)
            case FetchWanted(manifest):
                self.fetching[manifest.key] = event
                self.held.setdefault(manifest.key, {})
            case Forgotten(key):
                self.fetching.pop(key, None)
                self._drop(key)

    def _note_named(self, key: Key, first: int, digests: tuple[bytes, ...]) -> None:
        named = self.named.setdefault(key, {})
        for index, digest in enumerate(digests, first):
            named.setdefault(index, digest)

    def _drop(self, key: Key) -> None:
        self.held.pop(key, None)
        self.named.pop(key, None)

    @staticmethod
    def _note_said(relation: Relation, message: object) -> None:
        match message:
            case Choke():
                relation.choked_there = True
                relation.asked.clear()
            case Unchoke():
                relation.choked_there = False
            case Lack(key, indices):
                for index in indices:
                    relation.asked.pop((key, index), None)

    def note_instruction(self, instruction: Instruction, now_s: float) -> None:
        """Takes in what the machine wants done; checked before."""
        match instruction:
            case Send(peer, Choke()):
                self.relations[peer].choked_here = True
            case Send(peer, Unchoke()):
                self.relations[peer].choked_here = False
            case Send(peer, Want(key, indices)):
                for index in indices:
                    self.relations[peer].asked[key, index] = self.fetching[key].manifest.chunk_size(index)
            case Send(peer, Cancel(key, indices)):
                for index in indices:
                    self.relations[peer].asked.pop((key, index), None)
            case Deliver(peer, key, index):
                relation = self.relations[peer]
                if not relation.flying:
                    relation.heard_s = now_s
                relation.flying.add((key, index))
                relation.again.discard((key, index))
            case Accept(key, index):
                self.held[key][index] = now_s
            case Completed(key) | Expired(key) | Failed(key):
                if not self.fetching.pop(key).swarm:
                    self._drop(key)  # nobody is served what was fetched from its publisher alone
            case CloseDelivery(peer) if peer in self.relations:
                self.relations[peer].flying.clear()
            case HangUp(peer):
                self.relations.pop(peer, None)
            case Ban(peer):
                self.relations.pop(peer, None)
                self.banned.add(peer)
