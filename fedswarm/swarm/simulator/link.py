"""One connection between two hosts, seen from each end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedswarm.swarm.simulator.host import Host


@dataclass(slots=True, eq=False)
class End:
    """What one host has of a link: the control link, and its own data stream to the other.

    Attributes:
        host: whose end this is.
        peer: who is at the other end.
        latency_s: from here to there.
        up: whether the host was told of the link and it was not closed here since.
        closed: whether this end is gone for good.
        stream: number of the data stream from here; frames of earlier ones are void.
        letters_until_s: no letter sent from now on arrives before this instant, since nothing overtakes.
        frames_until_s: the same for frames.
        receipts_until_s: the same for receipts of frames from there.
        waiting: what was sent into a partition, to be sent again when it is over.
    """

    host: Host
    peer: str
    latency_s: float
    up: bool = False
    closed: bool = False
    stream: int = 0
    letters_until_s: float = 0.0
    frames_until_s: float = 0.0
    receipts_until_s: float = 0.0
    waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    twin: End = field(init=False)

    def close(self) -> None:
        """Takes this end out of its host."""
        self.up, self.closed = False, True
        if self.host.ends.get(self.peer) is self:
            del self.host.ends[self.peer]


@dataclass(slots=True, eq=False)
class Attempt:
    """A dial on its way."""

    host: Host
    peer: str
    tries: int = 0

    @property
    def current(self) -> bool:
        """Whether the host still waits for it."""
        return self.host.attempts.get(self.peer) is self


def connect(dialler: Host, answerer: Host, latency_s: float, back_s: float) -> tuple[End, End]:
    """The two ends of a new link, each known to its host."""
    near, far = End(dialler, answerer.name, latency_s), End(answerer, dialler.name, back_s)
    near.twin, far.twin = far, near
    dialler.ends[answerer.name], answerer.ends[dialler.name] = near, far
    return near, far
