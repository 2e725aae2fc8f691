"""Dishonest hosts: each runs an honest state machine and falsifies what it says, as a hostile build of ours would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fedswarm.swarm.instructions import Deliver, Instruction, Send
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Bitfield, Final, Have, Lack, Message
from fedswarm.swarm.simulator.draws import Draws
from fedswarm.swarm.simulator.host import Frame, Host
from fedswarm.swarm.simulator.network import Network
from fedswarm.swarm.simulator.timeline import Timeline


class WrongBytes:
    """Flips a bit in a share of the chunks it sends: a liar, or an honest host with bad memory."""

    def __init__(self, draws: Draws, share: float) -> None:
        self._draws = draws
        self._share = share

    def twist(self, host: Host, instructions: list[Instruction]) -> list[Instruction]:
        """Changes nothing but bytes."""
        return instructions

    def payload(self, payload: bytes) -> bytes:
        """Now and then with one bit the other way round."""
        if self._draws() >= self._share:
            return payload
        place = self._draws.below(len(payload))
        return payload[:place] + bytes([payload[place] ^ 1 << self._draws.below(8)]) + payload[place + 1 :]


class FalseHaves:
    """Claims to hold all chunks of everything it speaks of; ``mute`` also keeps silent about those it lacks."""

    def __init__(self, chunks_of: Callable[[Key], int], *, mute: bool) -> None:
        self._chunks_of = chunks_of
        self._mute = mute

    def twist(self, host: Host, instructions: list[Instruction]) -> list[Instruction]:
        """Every bitfield is full, and so is every HAVE."""
        told = [
            replace(instruction, message=self._exaggerate(instruction.message))
            if isinstance(instruction, Send)
            else instruction
            for instruction in instructions
        ]
        return [one for one in told if not (self._mute and isinstance(one, Send) and isinstance(one.message, Lack))]

    def _exaggerate(self, message: Message) -> Message:
        if not isinstance(message, Bitfield | Have):
            return message
        chunks = self._chunks_of(message.key)
        if isinstance(message, Have):
            return Have(message.key, ((0, chunks),))
        whole, rest = divmod(chunks, 8)
        return Bitfield(message.key, b"\xff" * whole + (bytes([(1 << rest) - 1]) if rest else b""))

    def payload(self, payload: bytes) -> bytes:
        """What it does hold is right."""
        return payload


class FalseFinals:
    """Names wrong digests of weights that grow: of its own now and then, so that each listener hears others; of all
    chunks of those that others publish, final or not, whenever it tells what it holds of them.

    ``growing`` has how many chunks there are of weights that grow.
    """

    def __init__(self, draws: Draws, growing: Mapping[Key, int]) -> None:
        self._draws = draws
        self._growing = growing

    def twist(self, host: Host, instructions: list[Instruction]) -> list[Instruction]:
        """Beside what it says honestly; what it sends is right."""
        return [told for instruction in instructions for told in self._told(instruction)]

    def _told(self, instruction: Instruction) -> list[Instruction]:
        match instruction:
            case Send(peer, Final(key, first, digests)):
                return [Send(peer, Final(key, first, tuple(map(self._altered, digests))))]
            case Send(peer, Have(key)) if key in self._growing:
                return [Send(peer, Final(key, 0, (bytes(32),) * self._growing[key])), instruction]
            case _:
                return [instruction]

    def _altered(self, digest: bytes) -> bytes:
        return bytes([digest[0] ^ 1]) + digest[1:] if self._draws() < 0.5 else digest

    def payload(self, payload: bytes) -> bytes:
        """Its true bytes."""
        return payload


class Mute:
    """Announces, unchokes, and never sends a chunk."""

    def twist(self, host: Host, instructions: list[Instruction]) -> list[Instruction]:
        """Everything but deliveries."""
        return [instruction for instruction in instructions if not isinstance(instruction, Deliver)]

    def payload(self, payload: bytes) -> bytes:
        """Never asked for."""
        return payload


class Flood:
    """Sends chunks that nobody asked for to all it is linked with, one after another, as long as ``lasts_s``."""

    def __init__(self, network: Network, timeline: Timeline, draws: Draws, manifest: Manifest, lasts_s: float) -> None:
        self._network = network
        self._timeline = timeline
        self._draws = draws
        self._manifest = manifest
        self._until_s = timeline.now_s + lasts_s

    def start(self, host: Host) -> None:
        """Begins to flood."""
        if not host.alive or self._timeline.now_s > self._until_s:
            return
        size = self._manifest.chunk_bytes
        for end in list(host.ends.values()):
            if end.up:
                index = self._draws.below(self._manifest.chunks)
                held = host.chunks.get(self._manifest.key, {}).get(index)
                payload = held if held is not None and self._draws() < 0.9 else bytes(self._manifest.chunk_size(index))
                self._network.frame(end, Frame(self._manifest.key, index, payload, relay=self._draws() < 0.5))
        spacing_s = 8 * size * max(len(host.ends), 1) / host.access.rates.up_bps
        self._timeline.after(spacing_s, self.start, host)

    def twist(self, host: Host, instructions: list[Instruction]) -> list[Instruction]:
        """It answers honestly beside it."""
        return instructions

    def payload(self, payload: bytes) -> bytes:
        """What it was asked for is right."""
        return payload
