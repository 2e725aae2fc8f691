"""How two peers come to have one link: what their hellos must say, and which of two links stays."""

from __future__ import annotations

from typing import Final

from fedswarm.errors import WireError
from fedswarm.swarm.messages import Hello, Message

PROTOCOL: Final = 2


def checked_hello(first: Message, *, job: str, me: str) -> Hello:
    """The other side's first message as the hello it must be; raises :class:`WireError` if we cannot talk to it."""
    if not isinstance(first, Hello):
        raise WireError(f"a link must begin with a hello, not with {type(first).__name__}")
    peer = first.address.peer
    if first.protocol != PROTOCOL:
        raise WireError(f"peer {peer!r} speaks protocol {first.protocol}, this is {PROTOCOL}")
    if first.job != job:
        raise WireError(f"peer {peer!r} belongs to job {first.job!r}, this is {job!r}")
    if peer == me:
        raise WireError(f"a peer at {first.address.target!r} says that it is {me!r}, as this one does")
    return first


def newcomer_stays(me: str, peer: str, *, moved: bool, old_dialled: bool, new_dialled: bool) -> bool:
    """Which of two links to one peer stays; both sides come to the same answer without a word.

    A later link of the same direction, or after the peer moved, means that the earlier one is dead. When both sides
    dialled at once, the link that the lesser name dialled stays.

    Args:
        me: our name.
        peer: the other's name.
        moved: whether it answers elsewhere now.
        old_dialled: whether we dialled the link that stands.
        new_dialled: whether we dialled the one that came.
    """
    if moved or old_dialled == new_dialled:
        return True
    return new_dialled == (me < peer)
