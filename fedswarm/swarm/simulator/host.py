"""One machine of the swarm: a peer's state machine, and the shell around it that holds the bytes and obeys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from fedswarm.swarm.events import Event, FrameArrived, Tick
from fedswarm.swarm.instructions import (
    Accept,
    Acknowledge,
    Ban,
    CloseDelivery,
    Completed,
    Deliver,
    Dial,
    Expired,
    Failed,
    HangUp,
    Instruction,
    Offered,
    Send,
    TookLeave,
)
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Address, Hello, Message, Receipt, Verdict
from fedswarm.swarm.simulator.access import Access, Rates
from fedswarm.swarm.simulator.link import Attempt, End
from fedswarm.swarm.simulator.timeline import Timeline

if TYPE_CHECKING:
    from fedswarm.swarm.simulator.network import Network

PROTOCOL = 1

_MOST_TICKS = 1000


class Machine(Protocol):
    """A peer's state machine, as :class:`fedswarm.swarm.peer.Peer` is one."""

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        """Takes in an event at an instant that never runs backwards."""
        ...

    @property
    def wake_s(self) -> float | None:
        """The instant at which a ``Tick`` is due; ``None``: not before something happens."""
        ...

    def welcomes(self, peer: str) -> bool:
        """Whether a link from this peer is accepted."""
        ...


class Observer(Protocol):
    """Sees all that happens at a host: what its machine was told, and what it wants done for it."""

    def saw(self, host: Host, event: Event, instructions: list[Instruction], now_s: float) -> None:
        """Called after the machine took the event in and before the instructions are carried out."""
        ...


class Deceit(Protocol):
    """What a dishonest host does to its own machine's instructions before they are carried out."""

    def twist(self, host: Host, instructions: list[Instruction]) -> list[Instruction]:
        """The instructions that are carried out instead."""
        ...

    def payload(self, payload: bytes) -> bytes:
        """What is sent in place of a chunk's bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """A chunk on its way."""

    key: Key
    index: int
    payload: bytes
    relay: bool


@dataclass(slots=True)
class Traffic:
    """Bytes of one host: sent, and what it made of those it received."""

    control_bytes: int = 0
    """Letters and receipts sent, headers included."""
    frame_bytes: int = 0
    """Frames sent, headers included."""
    void_bytes: int = 0
    """Frames sent that did not arrive, since a stream or link ended meanwhile."""
    payload_bytes: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    """Chunks received, without headers."""


class Life(Enum):
    """What state a machine of the swarm is in."""

    RUNNING = "running"
    FROZEN = "frozen"
    """The process stands still; its kernel takes in what arrives."""
    ENDED = "ended"
    """The process is gone; the kernel refuses for it."""
    DARK = "dark"
    """No power: nothing answers."""


class Host:
    """A machine, its line to the network, and the chunks it holds.

    Args:
        address: who it is; a machine that comes back with the same address is a new ``Host``.
        machine: the state machine.
        job: the swarm's name, said in its hello.
        rates: of its line.
        uplink_bps: what it says in its hello of its uplink, 0 when it does not know.
    """

    def __init__(
        self,
        address: Address,
        machine: Machine,
        network: Network,
        timeline: Timeline,
        *,
        job: str,
        rates: Rates,
        uplink_bps: int = 0,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.address = address
        self.name = address.peer
        self.machine = machine
        self.hello = Hello(PROTOCOL, job, address, uplink_bps)
        self.access = Access(rates)
        self.life = Life.RUNNING
        self.ends: dict[str, End] = {}
        self.attempts: dict[str, Attempt] = {}
        self.chunks: dict[Key, dict[int, bytes]] = {}
        self.traffic = Traffic()
        self.deceit: Deceit | None = None
        self.on_offer: Callable[[Host, Manifest], None] | None = None
        self.on_accept: Callable[[Host, Key, int, bytes], None] | None = None
        self.on_end: Callable[[Host, Completed | Expired | Failed], None] | None = None
        self._network = network
        self._timeline = timeline
        self._observers = tuple(observers)
        self._wake_s = float("inf")
        self._ticks = 0
        self._ticked_s = 0.0
        self._pent: list[tuple[Event, int]] = []
        self._letters: dict[str, list[Message]] = {}

    # ---- life -----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it takes part."""
        return self.life is Life.RUNNING

    @property
    def alive(self) -> bool:
        """Whether it takes part, or will again when thawed."""
        return self.life in (Life.RUNNING, Life.FROZEN)

    @property
    def silent(self) -> bool:
        """Whether not even a kernel answers."""
        return self.life is Life.DARK

    def freeze(self) -> None:
        """The process stands still; what happens to it meanwhile waits."""
        if self.running:
            self.life = Life.FROZEN

    def thaw(self) -> None:
        """The process goes on with all that waited."""
        if self.life is not Life.FROZEN:
            return
        self.life = Life.RUNNING
        pent, self._pent = self._pent, []
        for event, stream in pent:
            self.tell(event, stream)
        self._arrange_wake()

    def end(self, life: Life) -> None:
        """The process dies, or its machine goes dark; it will not come back as this object."""
        if self.alive:
            self.life = life
            self._pent.clear()
            self._network.detach(self, silent=self.silent)

    # ---- events ---------------------------------------------------------------------------------------------------

    def tell(self, event: Event, stream: int = 0) -> None:
        """Tells the machine what happened and does what it asks; ``stream`` is that which brought a frame."""
        if self.life is Life.FROZEN:
            self._pent.append((event, stream))
        if not self.running:
            return
        now_s = self._timeline.now_s
        instructions = self.machine.handle(event, now_s)
        for observer in self._observers:
            observer.saw(self, event, instructions, now_s)
        if self.deceit is not None:
            instructions = self.deceit.twist(self, instructions)
        for instruction in instructions:
            self.obey(instruction, event, stream)
        self.post_all()
        self._arrange_wake()

    def _arrange_wake(self) -> None:
        wake_s = self.machine.wake_s
        if wake_s is not None and wake_s < self._wake_s:
            self._wake_s = wake_s
            self._timeline.at(wake_s, self._wake, wake_s)

    def _wake(self, arranged_s: float) -> None:
        if arranged_s != self._wake_s:
            return  # an earlier one was arranged since
        self._wake_s = float("inf")
        if not self.running:
            return
        wake_s = self.machine.wake_s
        if wake_s is not None and wake_s <= self._timeline.now_s:
            self._tick()
        else:
            self._arrange_wake()

    def _tick(self) -> None:
        """Wakes the machine; one that time does not help would have all others wait for ever."""
        now_s = self._timeline.now_s
        self._ticks = self._ticks + 1 if now_s == self._ticked_s else 1
        self._ticked_s = now_s
        if self._ticks > _MOST_TICKS:
            due_s = self.machine.wake_s
            raise RuntimeError(f"{self.name} was woken {self._ticks} times at {now_s} s and is due at {due_s} s")
        self.tell(Tick())

    # ---- instructions ---------------------------------------------------------------------------------------------

    def obey(self, instruction: Instruction, event: Event, stream: int) -> None:
        """Carries out one instruction that was given for ``event``."""
        match instruction:
            case Send(peer, message):
                self._letters.setdefault(peer, []).append(message)
            case Deliver(peer, key, index, relay):
                self._deliver(peer, key, index, relay)
            case Acknowledge(peer, key, index, verdict):
                assert isinstance(event, FrameArrived)
                self.traffic.payload_bytes[verdict] += len(event.payload)
                if peer in self.ends:
                    self._network.receipt(self.ends[peer], stream, Receipt(key, index, verdict))
            case Accept(key, index):
                assert isinstance(event, FrameArrived)
                self.chunks.setdefault(key, {})[index] = payload = bytes(event.payload)
                if self.on_accept is not None:
                    self.on_accept(self, key, index, payload)
            case Dial(peer, _):
                self._network.dial(self, peer)
            case HangUp(peer, reason) | Ban(peer, reason):
                self._leave(peer, reason)
            case CloseDelivery(peer):
                if peer in self.ends:
                    self.ends[peer].stream += 1
            case Completed() | Expired() | Failed():
                if self.on_end is not None:
                    self.on_end(self, instruction)
            case TookLeave():
                pass
            case Offered(manifest, _):
                if self.on_offer is not None:
                    self.on_offer(self, manifest)

    def post_all(self) -> None:
        """Sends off what was said, one letter to each peer."""
        for peer in list(self._letters):
            self._post(peer)

    def _post(self, peer: str) -> None:
        messages = self._letters.pop(peer, None)
        if messages and peer in self.ends:
            self._network.letter(self.ends[peer], messages)

    def _deliver(self, peer: str, key: Key, index: int, relay: bool) -> None:
        end = self.ends.get(peer)
        if end is not None:
            payload = self.chunks[key][index]
            if self.deceit is not None:
                payload = self.deceit.payload(payload)
            self._network.frame(end, Frame(key, index, payload, relay))

    def _leave(self, peer: str, reason: str) -> None:
        self._post(peer)
        self.attempts.pop(peer, None)
        if peer in self.ends:
            self._network.hang_up(self.ends[peer], reason)

    # ---- what the application does --------------------------------------------------------------------------------

    def hold(self, manifest: Manifest, data: Any) -> None:
        """Puts all chunks of a flat vector in place, as their publisher has them."""
        whole = memoryview(data).cast("B")
        self.chunks[manifest.key] = {i: bytes(whole[manifest.range(i)]) for i in range(manifest.chunks)}
