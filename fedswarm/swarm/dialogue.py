"""What a shell tells the exchange (events) and what the exchange asks of the shell (instructions)."""

from __future__ import annotations

from dataclasses import dataclass

from fedswarm.swarm.manifest import Key, Manifest

# ---- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A control link to this peer is open."""

    peer: str


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The control link is gone."""

    peer: str


@dataclass(frozen=True, slots=True)
class InterestReceived:
    """The peer fetches these weights and wants to hear what we hold of them."""

    peer: str
    key: Key


@dataclass(frozen=True, slots=True)
class HaveReceived:
    """The peer holds these runs ``(first, count)`` of chunks."""

    peer: str
    key: Key
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ForgetReceived:
    """The peer no longer holds these weights."""

    peer: str
    key: Key


@dataclass(frozen=True, slots=True)
class ChunkArrived:
    """A holder answered a request with bytes, right or wrong."""

    peer: str
    key: Key
    index: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class ChunkMissing:
    """A holder answered that it does not have the chunk."""

    peer: str
    key: Key
    index: int


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The data stream to a holder broke; whatever was asked on it will not come."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """The shell saw the peer break the protocol."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class FetchWanted:
    """Get these weights: with the help of peers, or (``swarm`` false) from their publisher alone."""

    manifest: Manifest
    swarm: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Nobody here wants or serves these weights any longer; a running fetch ends without a word."""

    key: Key


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; due every few tens of milliseconds while a fetch runs."""


Event = (
    PeerUp
    | PeerDown
    | InterestReceived
    | HaveReceived
    | ForgetReceived
    | ChunkArrived
    | ChunkMissing
    | StreamLost
    | Misbehaved
    | FetchWanted
    | Forgotten
    | Tick
)

# ---- instructions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """Ask ``peer`` for a chunk on its data stream."""

    peer: str
    key: Key
    index: int


@dataclass(frozen=True, slots=True)
class Accept:
    """The chunk that just arrived is right and new: put it in its place."""

    key: Key
    index: int


@dataclass(frozen=True, slots=True)
class AnnounceInterest:
    """Tell ``peer`` that we fetch these weights."""

    peer: str
    key: Key


@dataclass(frozen=True, slots=True)
class AnnounceHave:
    """Tell ``peer`` that we hold these runs of chunks."""

    peer: str
    key: Key
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class AnnounceForget:
    """Tell ``peer`` that we no longer hold these weights."""

    peer: str
    key: Key


@dataclass(frozen=True, slots=True)
class DropStream:
    """Close the data stream to ``peer``, which has gone silent; a later request opens another."""

    peer: str


@dataclass(frozen=True, slots=True)
class DropPeer:
    """Close everything to ``peer`` and never speak to it again in this run."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Completed:
    """Every chunk is in place."""

    key: Key


@dataclass(frozen=True, slots=True)
class Failed:
    """The fetch cannot be finished; ``corrupt`` when its publisher itself sent wrong bytes."""

    key: Key
    reason: str
    corrupt: bool


Instruction = (
    Request | Accept | AnnounceInterest | AnnounceHave | AnnounceForget | DropStream | DropPeer | Completed | Failed
)
