"""What a peer tells its trackers. Each announcement is complete, so a tracker that was away needs no past.

All of it is small and checked on arrival: a tracker keeps one announcement a peer, and nothing else of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import DIGEST_BYTES, MAX_NAME_BYTES, Key
from fedswarm.swarm.messages import Address

MAX_PUBLICATIONS: Final = 16
MAX_TOPOLOGY_BYTES: Final = 64 * 1024
MAX_NUMBER: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a peer is, in the newest round it knows, and what it moved since it began."""

    round: int = 0
    held_chunks: int = 0
    wanted_chunks: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    @property
    def is_seed(self) -> bool:
        """Whether the peer has everything it wanted, so that it can only give."""
        return 0 < self.wanted_chunks <= self.held_chunks


@dataclass(frozen=True, slots=True)
class Reference:
    """Weights by reference: who has these has the manifest with this root, and all or some of its chunks."""

    key: Key
    root: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """A reference and where to ask for it: whoever links with the holder is offered the manifest."""

    reference: Reference
    holder: Address


@dataclass(frozen=True, slots=True)
class Announcement:
    """One peer of a job.

    Attributes:
        uplink_bps: what it can send, bits a second; 0 if it does not know.
        wanted_peers: how many others it would link with where the topology leaves that open; 0 if it does not care.
        topology: the job's topology as text (:mod:`fedswarm.swarm.topology_choice`); empty links everybody with
            everybody. The first announcement of a job decides it for all.
        founders: how many peers begin the job together; a topology is arranged when so many are there.
        published: the weights it publishes, newest last.
    """

    job: str
    address: Address
    uplink_bps: int = 0
    progress: Progress = Progress()
    wanted_peers: int = 0
    topology: str = ""
    founders: int = 0
    published: tuple[Reference, ...] = ()

    def check(self) -> None:
        """Raises :class:`WireError` for anything beyond its bounds."""
        for fault in self._faults():
            raise WireError(fault)

    def _faults(self) -> Iterator[str]:
        for what, text in (("job", self.job), ("peer id", self.address.peer), ("target", self.address.target)):
            if not 0 < len(text.encode()) <= MAX_NAME_BYTES:
                yield f"{what} has {len(text.encode())} bytes, allowed are 1 to {MAX_NAME_BYTES}"
        if len(self.topology.encode()) > MAX_TOPOLOGY_BYTES:
            yield f"topology has {len(self.topology.encode())} bytes, allowed are {MAX_TOPOLOGY_BYTES}"
        if len(self.published) > MAX_PUBLICATIONS:
            yield f"{len(self.published)} sets of weights are published at once, allowed are {MAX_PUBLICATIONS}"
        for reference in self.published:
            if len(reference.root) != DIGEST_BYTES or not 0 < len(reference.key.source.encode()) <= MAX_NAME_BYTES:
                yield f"a reference to {str(reference.key)[:MAX_NAME_BYTES]} has a root of {len(reference.root)} bytes"
