"""What a shell tells a peer's state machine. All of it happens to one peer; other peers are named by their ids."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Address, Hello, Message, Receipt


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A control link is open and both sides said hello; ``hello`` is the other's."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The control link to a peer is gone, and its data streams with it."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A link that was asked for does not come to stand, after the shell's retries."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A linked peer said something."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class FrameArrived:
    """A linked peer sent a chunk, asked for or not, right or wrong.

    ``relay``: it is ours to pass on to all others; ``more``: other frames came with it and are told of next, so that
    what is to be sent now can be decided after the last of them.
    """

    peer: str
    key: Key
    index: int
    payload: bytes | memoryview
    relay: bool
    more: bool = False


@dataclass(frozen=True, slots=True)
class Receipted:
    """A peer acknowledges frames that we sent it, in the order they were sent."""

    peer: str
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class DeliveryLost:
    """Our data stream to a peer broke: frames without a receipt must be sent again. The link may still stand."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """The shell saw a peer break the protocol."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Introduced:
    """A tracker, or the job, names peers to be linked with; ``passing``: for an errand, whatever the topology is."""

    addresses: tuple[Address, ...]
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Departed:
    """A tracker says that a peer left: an open link is kept, a lost one is not sought again."""

    peer: str


@dataclass(frozen=True, slots=True)
class Arranged:
    """Whom the topology links this peer with, by the word of trackers that know the whole job.

    ``None`` while there is no such word: then no link is superfluous.
    """

    neighbours: frozenset[str] | None


class Spreading(Enum):
    """How a publisher brings weights to those who are interested."""

    ANSWER = "answer"
    """Everybody may ask for everything, a few at a time: for fetches from the publisher alone."""
    SCATTER = "scatter"
    """As ``ANSWER``, all at the same time: for what is added up, of which each owner fetches its own slice."""
    SEED = "seed"
    """Super-seeding (BEP 16): each chunk is shown to one peer first, the others get it from peers; for any topology."""
    PUSH = "push"
    """Relay push: each chunk is handed to one owner, who passes it on to all; for peers that are all linked."""


@dataclass(frozen=True, slots=True)
class Published:
    """This peer is the publisher of these weights and holds them; of a manifest without digests, nothing yet.

    ``offer`` tells all peers, from neighbour to neighbour; if the source has a slash, only neighbours.
    """

    manifest: Manifest
    spreading: Spreading
    offer: bool


@dataclass(frozen=True, slots=True)
class BecameFinal:
    """A chunk of published weights whose manifest has no digests is complete and has this digest."""

    key: Key
    index: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class FetchWanted:
    """Get these weights.

    Attributes:
        manifest: what they are.
        publisher_target: where their publisher answers; empty if only others can be asked.
        swarm: with the help of peers, whom this one will help too; otherwise from the publisher alone.
        indices: the chunks wanted; ``None`` is all.
        deadline_s: the instant on the shell's clock after which the fetch ends with what is there; ``None`` is never.
    """

    manifest: Manifest
    publisher_target: str
    swarm: bool
    indices: tuple[int, ...] | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nobody here wants or serves these weights any longer; a running fetch ends without a word."""

    key: Key


@dataclass(frozen=True, slots=True)
class Leaving:
    """This peer leaves: everybody is told."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; due at the instant the machine asked to be woken."""


Event = (
    LinkUp
    | LinkDown
    | DialFailed
    | Received
    | FrameArrived
    | Receipted
    | DeliveryLost
    | Misbehaved
    | Introduced
    | Departed
    | Arranged
    | Published
    | BecameFinal
    | FetchWanted
    | Forgotten
    | Leaving
    | Tick
)
