"""What two linked peers say to each other on the control link, and the receipts on the data stream.

Weights travel apart, as frames on a data stream; everything here is small. A shell may put any number of messages into
one letter. :mod:`fedswarm.swarm.wire` turns them into protobuf and back, checking every bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from fedswarm.swarm.manifest import Key, Manifest

Runs = tuple[tuple[int, int], ...]
"""Chunks as maximal runs ``(first, count)``, in order."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a peer answers: ``target`` is ``host:port``."""

    peer: str
    target: str


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of either side: who speaks, in which job, and how fast it can send (0: it does not know)."""

    protocol: int
    job: str
    address: Address
    uplink_bps: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """The sender publishes these weights, or passes on that somebody does."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Interested:
    """The sender fetches these weights: it wants to hear, now and from now on, what the receiver holds of them."""

    key: Key


@dataclass(frozen=True, slots=True)
class NotInterested:
    """The sender has all it wanted of these weights, or wants them no longer."""

    key: Key


@dataclass(frozen=True, slots=True)
class Bitfield:
    """All chunks the sender holds, one bit each, chunk ``i`` in bit ``i mod 8`` of byte ``i // 8``.

    The answer to :class:`Interested`; later news come as :class:`Have`.
    """

    key: Key
    bits: bytes


@dataclass(frozen=True, slots=True)
class Have:
    """Chunks the sender holds and verified since it last told."""

    key: Key
    runs: Runs


@dataclass(frozen=True, slots=True)
class Final:
    """Digests of chunks from ``first`` on that just became final, of weights whose manifest holds none.

    Counts only from their publisher, and tells that it holds these chunks.
    """

    key: Key
    first: int
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """The sender no longer holds these weights."""

    key: Key


@dataclass(frozen=True, slots=True)
class Choke:
    """The sender answers no requests of the receiver for now; those not answered yet are void."""


@dataclass(frozen=True, slots=True)
class Unchoke:
    """The sender answers requests of the receiver."""


@dataclass(frozen=True, slots=True)
class Want:
    """Requests for chunks, to be answered in this order."""

    key: Key
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """The sender has these chunks from elsewhere: what was not sent yet need not be."""

    key: Key
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lack:
    """The sender cannot answer these requests: it does not hold the chunks, or has too much to send already."""

    key: Key
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Relieve:
    """The publisher sends these chunks to ``peer`` itself: the receiver, their owner, need not."""

    key: Key
    peer: str
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """How the sender is doing as a relay: its uplink as it knows or measures it, and what waits for it."""

    uplink_bps: int
    backlog_bytes: int


@dataclass(frozen=True, slots=True)
class Acquaintances:
    """Peer exchange: peers that the sender linked with, or lost, since it last told this receiver."""

    added: tuple[Address, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing to say, but still here."""


@dataclass(frozen=True, slots=True)
class Release:
    """The sender can do without this link: it ends as soon as both sides can."""


@dataclass(frozen=True, slots=True)
class Retain:
    """The sender needs this link after all."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender ends the link."""

    reason: str


Message = (
    Hello
    | Offer
    | Interested
    | NotInterested
    | Bitfield
    | Have
    | Final
    | Forget
    | Choke
    | Unchoke
    | Want
    | Cancel
    | Lack
    | Relieve
    | Load
    | Acquaintances
    | Alive
    | Release
    | Retain
    | Goodbye
)


class Verdict(IntEnum):
    """What a receiver made of a frame."""

    ACCEPTED = 0
    DUPLICATE = 1
    UNWANTED = 2


@dataclass(frozen=True, slots=True)
class Receipt:
    """The acknowledgement of one frame, on the data stream that brought it."""

    key: Key
    index: int
    verdict: Verdict
