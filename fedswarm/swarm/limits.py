"""How much a peer takes on, how long it waits, and how often it speaks: every bound of the swarm in one place."""

from __future__ import annotations

from dataclasses import dataclass

from fedswarm.swarm.chunks import MIB


@dataclass(frozen=True)
class Limits:
    """Bounds of one peer. Times in seconds, sizes in bytes, rates in bits a second."""

    # Links
    heartbeat_s: float = 1.0
    """Silence on a link after which we say that we are alive."""
    dead_after_s: float = 8.0
    """Silence of the other side after which a link counts as dead."""
    most_links: int = 1024
    """Links kept at a time; whoever comes later is sent away."""
    most_banned: int = 4096
    """Peers remembered as banned; when there are more, the one banned first may come back."""
    acquaintances_every_s: float = 2.0
    """Pause between two rounds of peer exchange."""
    acquaintances_at_once: int = 50
    """Most peers named in one message of peer exchange (BEP 11 has the same bound)."""
    most_offers: int = 4096
    """Offers known at a time; when there are more, those of the oldest rounds are forgotten."""
    fewest_links: int = 3
    """With fewer links than this, and nobody introduced left to dial, acquaintances of others are dialled; in a
    topology that gives a peer fewer links, with fewer than it ever had by it."""
    part_after_s: float = 3.0
    """How long the topology must have been the same, and a link outside of it of no use, before it may end."""
    errand_s: float = 60.0
    """The same for a link that we sought outside of the topology: there is often more to be fetched soon."""

    # Requests
    pipeline_bytes: int = 8 * MIB
    """Most that is asked for ahead of one holder."""
    silence_s: float = 30.0
    """A holder that owes answers and brings none for this long is given up."""
    publisher_attempts: int = 3
    """Dials in a row that may fail before a publisher counts as gone."""
    starvation_s: float = 5.0
    """Once the publisher is gone: how long peers may bring nothing before a fetch fails."""
    push_quiet_s: float = 0.5
    """When a push brings nothing for this long, chunks that somebody has held for as long are asked for."""
    push_patience_s: float = 6.0
    """A chunk that somebody has held for this long and nobody pushed here is asked for in any case."""

    # Uploads
    upload_slots: int = 8
    """Peers whose requests are answered at a time, one of them drawn at random."""
    rechoke_s: float = 2.0
    """Pause between two decisions on who is answered."""
    optimistic_rechokes: int = 3
    """Decisions that the drawn one stays."""
    inflight_s: float = 0.2
    """Frames under way without a receipt, in seconds of our uplink."""
    most_inflight_bytes: int = 64 * MIB
    """The same in bytes, for links faster than memory should pay for."""
    owner_backlog_s: float = 0.8
    """How much a publisher leaves to one owner to relay, in seconds of the owner's uplink."""

    # News
    have_every_s: float = 0.1
    """Chunks that arrived within this time are announced together."""
    have_pushed_every_s: float = 1.0
    """The same while the publisher pushes: nobody asks for anything that is not overdue."""
    have_publisher_every_s: float = 0.1
    """The same towards the publisher, who schedules by it."""
