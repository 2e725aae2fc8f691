"""What lies between two hosts: latency, jitter, loss, and what connecting costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from fedswarm.randomness import generator

Latency = Callable[[str, str], float]
"""Seconds from one host to another, one way."""


def same_everywhere(latency_s: float) -> Latency:
    """The same latency between any two hosts."""
    return lambda sender, receiver: latency_s


def on_a_plane(seed: int, widest_s: float, nearest_s: float = 0.001) -> Latency:
    """Hosts thrown on a square whose diagonal takes ``widest_s``: latency is distance, at least ``nearest_s``."""
    places: dict[str, tuple[float, float]] = {}

    def place(name: str) -> tuple[float, float]:
        if name not in places:
            x, y = generator(seed, 0, f"place of {name}").random(2)
            places[name] = (float(x), float(y))
        return places[name]

    return lambda sender, receiver: max(nearest_s, widest_s * math.dist(place(sender), place(receiver)) / math.sqrt(2))


@dataclass(frozen=True)
class Conditions:
    """The network between the hosts.

    Connections are TCP: nothing is lost or overtakes, a lost segment only delays what it is part of and what follows
    it on the same connection. That loss also slows a TCP sender down is left out; lower the rates instead.
    """

    latency: Latency = field(default_factory=lambda: same_everywhere(0.01))
    jitter_s: float = 0.0
    """Each letter and frame takes up to this much longer, evenly drawn."""
    loss: float = 0.0
    """Share of segments lost; each costs a round trip and ``retransmit_s``."""
    retransmit_s: float = 0.05
    """How long a sender takes to notice a loss, beyond the round trip."""
    overhead: float = 1.0
    """Bytes on the wire per byte of a frame: packet headers alone make it 1.046 on Ethernet."""
    letter_overhead_bytes: int = 90
    """Headers of one letter: TCP, IP and Ethernet, HTTP/2 and gRPC."""
    handshake_round_trips: float = 1.5
    """Round trips from a dial until the other side reads our hello."""
    dial_timeout_s: float = 3.0
    """How long a dial waits for an answer."""
    dial_attempts: int = 3
    """Tries of one dial, as a shell makes them before it reports a failure."""
    dial_pause_s: float = 0.5
    """Pause between two tries."""
    outage_grace_s: float = 0.5
    """How long connections take to speak again once a partition is over."""
