"""One peer whose neighbours are played by the test: what happens goes in, what it says and does comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from blake3 import blake3

from fedswarm.randomness import generator
from fedswarm.swarm.bitfield import Bitfield as Bits
from fedswarm.swarm.events import (
    Event,
    FetchWanted,
    FrameArrived,
    LinkUp,
    Published,
    Receipted,
    Received,
    Spreading,
    Tick,
)
from fedswarm.swarm.instructions import Acknowledge, Deliver, Instruction, Send
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key, Manifest, build_manifest, growing_manifest
from fedswarm.swarm.messages import Address, Bitfield, Have, Hello, Interested, Message, Receipt, Unchoke, Verdict, Want
from fedswarm.swarm.peer import Peer
from fedswarm.swarm.uplink import KnownUplink

JOB = "j"
CHUNK_BYTES = 16 * 1024
SOON_S = 0.05
"""Longer than a peer waits before it asks for what was just announced."""


def address(peer: str) -> Address:
    return Address(peer, f"{peer}:1")


class Weights:
    """Weights that compress to nothing and what they are made of."""

    def __init__(self, publisher: str = "source", chunks: int = 4, *, round_index: int = 0, **manifest: Any) -> None:
        draws = generator(1, round_index, f"weights of {publisher}")
        self.data = draws.random(chunks * CHUNK_BYTES // 4, dtype=np.float32)
        named = {"job": JOB, "round_index": round_index, "source": publisher, "schema_hash": "00"}
        self.manifest: Manifest = build_manifest(self.data, chunk_bytes=CHUNK_BYTES, **{**named, **manifest})
        self.growing = growing_manifest(len(self.data), "float32", chunk_bytes=CHUNK_BYTES, **named)

    @property
    def key(self) -> Key:
        return self.manifest.key

    def chunk(self, index: int) -> bytes:
        return self.data[index * CHUNK_BYTES // 4 : (index + 1) * CHUNK_BYTES // 4].tobytes()

    def digest(self, index: int) -> bytes:
        return blake3(self.chunk(index)).digest()

    def bits(self, indices: Iterable[int] | None = None) -> Bitfield:
        """What a peer says that holds these chunks, by default all."""
        held = Bits(self.manifest.chunks)
        for index in range(self.manifest.chunks) if indices is None else indices:
            held.add_run(index, 1)
        return Bitfield(self.key, held.packed())


class LonePeer:
    """A peer named ``me`` on a clock that only :meth:`wait` moves."""

    def __init__(self, *, uplink_bps: int = 10**9, seed: int = 0, **limits: Any) -> None:
        self.peer = Peer(address("me"), JOB, seed=seed, limits=Limits(**limits), uplink=KnownUplink(uplink_bps))
        self.now_s = 0.0
        self.did: list[tuple[float, Instruction]] = []
        """Everything it ever did, and when."""

    def tell(self, event: Event) -> list[Instruction]:
        instructions = self.peer.handle(event, self.now_s)
        self.did += [(self.now_s, instruction) for instruction in instructions]
        return instructions

    def wait(self, seconds: float) -> list[Instruction]:
        """Lets time pass, waking the peer whenever it asked for it."""
        until_s, out = self.now_s + seconds, []
        while (wake_s := self.peer.wake_s) is not None and wake_s <= until_s:
            self.now_s = max(self.now_s, wake_s)
            out += self.tell(Tick())
        self.now_s = until_s
        return out

    def wait_and_hear(self, seconds: float, *alive: str, message: Message) -> list[Instruction]:
        """As :meth:`wait`, with neighbours that say something every second."""
        out: list[Instruction] = []
        for _ in range(round(seconds)):
            for peer in alive:
                out += self.hear(peer, message)
            out += self.wait(1.0)
        return out

    # ---- what neighbours do ---------------------------------------------------------------------------------------

    def link(self, *peers: str, uplink_bps: int = 0) -> list[Instruction]:
        return [
            instruction for peer in peers for instruction in self.tell(LinkUp(Hello(1, JOB, address(peer), uplink_bps)))
        ]

    def hear(self, peer: str, *messages: Message) -> list[Instruction]:
        return [instruction for message in messages for instruction in self.tell(Received(peer, message))]

    def frame(
        self, peer: str, weights: Weights, index: int, *, relay: bool = False, payload: bytes | None = None
    ) -> list[Instruction]:
        body = weights.chunk(index) if payload is None else payload
        return self.tell(FrameArrived(peer, weights.key, index, body, relay))

    def receipt(self, peer: str, weights: Weights, *indices: int) -> list[Instruction]:
        receipts = tuple(Receipt(weights.key, index, Verdict.ACCEPTED) for index in indices)
        return self.tell(Receipted(peer, receipts))

    def holders(self, weights: Weights, *peers: str) -> None:
        """Links with peers that hold everything and answer."""
        for peer in peers:
            self.link(peer)
            self.hear(peer, Unchoke(), weights.bits())

    # ---- what the application does --------------------------------------------------------------------------------

    def fetch(self, weights: Weights, *, growing: bool = False, swarm: bool = True, **wish: Any) -> list[Instruction]:
        manifest = weights.growing if growing else weights.manifest
        wish.setdefault("publisher_target", "")
        return self.tell(FetchWanted(manifest, swarm=swarm, **wish))

    def publish(
        self, weights: Weights, spreading: Spreading = Spreading.ANSWER, *, growing: bool = False, offer: bool = False
    ) -> list[Instruction]:
        return self.tell(Published(weights.growing if growing else weights.manifest, spreading, offer))


def relay(weights: Weights, *neighbours: str, **how: Any) -> LonePeer:
    """A peer that fetches weights, linked with their publisher, which pushes them, and with others that want them."""
    alone = LonePeer(**how)
    alone.fetch(weights)
    alone.link("source", *neighbours)
    for peer in ("source", *neighbours):
        alone.hear(peer, Interested(weights.key))
    return alone


def said(instructions: Iterable[Instruction], to: str, kind: type[Message] | None = None) -> list[Any]:
    """Messages of a kind, or of all kinds, to one neighbour."""
    messages = [one.message for one in instructions if isinstance(one, Send) and one.peer == to]
    return [message for message in messages if kind is None or isinstance(message, kind)]


def done(instructions: Iterable[Instruction], kind: type[Any]) -> list[Any]:
    """Instructions of a kind."""
    return [one for one in instructions if isinstance(one, kind)]


def asked(instructions: Iterable[Instruction], of: str) -> list[int]:
    """Chunks asked of a neighbour."""
    return [index for want in said(instructions, of, Want) for index in want.indices]


def told_to_hold(instructions: Iterable[Instruction], to: str) -> list[int]:
    """Chunks that a neighbour is told of as news."""
    runs = [run for have in said(instructions, to, Have) for run in have.runs]
    return [index for first, count in runs for index in range(first, first + count)]


def delivered(instructions: Iterable[Instruction], to: str) -> list[int]:
    """Chunks sent to a neighbour."""
    return [one.index for one in instructions if isinstance(one, Deliver) and one.peer == to]


def verdicts(instructions: Iterable[Instruction]) -> list[Verdict]:
    """What is made of the frames that just arrived."""
    return [one.verdict for one in done(instructions, Acknowledge)]


def answer_all(alone: LonePeer, weights: Weights, instructions: Iterable[Instruction], of: str) -> list[Instruction]:
    """A neighbour sends everything that it was asked for, and what it is asked for then."""
    out: list[Instruction] = []
    waiting = asked(instructions, of)
    while waiting:
        answers = alone.frame(of, weights, waiting.pop(0))
        out += answers
        waiting += asked(answers, of)
    return out
