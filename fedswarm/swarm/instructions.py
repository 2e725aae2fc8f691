"""What a peer's state machine asks of its shell, to be done in order."""

from __future__ import annotations

from dataclasses import dataclass

from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Message, Verdict


@dataclass(frozen=True, slots=True)
class Send:
    """Say something on the control link; messages to one peer keep their order."""

    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send a held chunk on our data stream to a peer (opened when first needed). ``relay``: it is theirs to pass on."""

    peer: str
    key: Key
    index: int
    relay: bool


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Give a receipt for the frame that just arrived, on the data stream that brought it."""

    peer: str
    key: Key
    index: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Accept:
    """The chunk that just arrived is right and new: put it in its place, before anything that follows."""

    key: Key
    index: int


@dataclass(frozen=True, slots=True)
class Completed:
    """Every chunk wanted is in place."""

    key: Key


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline of a fetch passed: it ends with what is in place."""

    key: Key


@dataclass(frozen=True, slots=True)
class Failed:
    """A fetch cannot be finished; ``corrupt`` when the publisher itself sent wrong bytes."""

    key: Key
    reason: str
    corrupt: bool


@dataclass(frozen=True, slots=True)
class Offered:
    """A peer tells of weights that are published: the application may fetch them."""

    manifest: Manifest
    peer: str


@dataclass(frozen=True, slots=True)
class TookLeave:
    """A peer said goodbye: the application need not count on it."""

    peer: str


@dataclass(frozen=True, slots=True)
class Dial:
    """Open and keep a link to a peer; ends in ``LinkUp`` or ``DialFailed``."""

    peer: str
    target: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the link to a peer, and any attempt to open one; the shell need not report that it is down."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ban:
    """End everything with a peer and refuse its links from now on."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class CloseDelivery:
    """Close our data stream to a peer, which has stopped reading; a later frame opens another."""

    peer: str


Instruction = (
    Send
    | Deliver
    | Acknowledge
    | Accept
    | Completed
    | Expired
    | Failed
    | Offered
    | TookLeave
    | Dial
    | HangUp
    | Ban
    | CloseDelivery
)
