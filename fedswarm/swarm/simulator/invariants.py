"""What must hold at every instant and at the end, whatever goes wrong. A breach ends the run with its story.

At every instant, for each host:

1.  Nothing is said or sent to a peer that it is not linked with, or has banned; nobody banned is dialled.
2.  A chunk is accepted once, if it is wanted, and only with its true bytes. Of weights that grow, only with the digest
    that their publisher itself named first: nobody else names any, and nothing is asked for before.
3.  Each frame of a linked peer gets exactly one receipt, unless the link ends over it.
4.  It announces and sends only what it holds, and nothing that it fetched from a publisher alone.
5.  It asks only those who do not choke it, only for what it lacks, and for no more at a time than its limits say.
6.  Whom it chokes it sends nothing but what is its duty: what it pushes or owns.
7.  No more is under way than its limits say.
8.  It bans only those who did something wrong.
9.  A fetch ends once: complete when it is, expired when its deadline is there, failed when nobody honest it is linked
    with, and has been for a while, holds a missing chunk that it may be asked for.

At the end:

10. Every fetch of a living host has ended, unless it lies: then others rightly keep away from it.
11. Every application of such a host has ended well.
12. Bytes add up: all that arrived was sent.
"""

from __future__ import annotations

from collections.abc import Collection

from blake3 import blake3

from fedswarm.swarm.events import Event, FetchWanted, FrameArrived, Receipted, Received, Tick
from fedswarm.swarm.instructions import (
    Accept,
    Acknowledge,
    Ban,
    Completed,
    Deliver,
    Dial,
    Expired,
    Failed,
    HangUp,
    Instruction,
    Send,
)
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Alive, Bitfield, Final, Have, Want
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.ledger import Ledger, Relation
from fedswarm.swarm.simulator.story import Story, key_of
from fedswarm.swarm.simulator.world import World

# A holder that gives no receipts for this long does not count among those with frames under way.
_STALLED_S = 3.0
_ROUNDING_S = 1e-6


class BreachError(AssertionError):
    """An invariant does not hold; the message ends with the story."""


class Invariants:
    """Watches all hosts of a world.

    Args:
        limits: what their machines were made with.
        story: told of everything, and printed with a breach.
    """

    def __init__(self, limits: Limits, story: Story) -> None:
        self.story = story
        self.culprits: Collection[str] = ()
        self._limits = limits
        self._ledgers: dict[Host, Ledger] = {}
        self._world: World | None = None

    def watch(self, world: World, culprits: Collection[str]) -> None:
        """Names the world, and its hosts that did something wrong (which may grow)."""
        self._world, self.culprits = world, culprits

    # ---- every instant --------------------------------------------------------------------------------------------

    def saw(self, host: Host, event: Event, instructions: list[Instruction], now_s: float) -> None:
        """Checks one step of one host."""
        if not all(map(_says_nothing, (event, *instructions))):
            self.story.tell(host.name, event, now_s)
        ledger = self._ledgers.setdefault(host, Ledger())
        if isinstance(event, Receipted) and event.peer in ledger.relations and host.name not in self.culprits:
            self._check_receipts(host, ledger, event)
        ledger.note_event(event, now_s)
        for instruction in instructions:
            if not _says_nothing(instruction):
                self.story.tell(host.name, instruction, now_s)
            fault = self._fault(host, ledger, event, instruction, now_s)
            if fault:
                self._breach(host, instruction, fault)
            ledger.note_instruction(instruction, now_s)
        if isinstance(event, FrameArrived):
            self._check_acknowledged(host, ledger, event, instructions)

    def _fault(self, host: Host, ledger: Ledger, event: Event, instruction: Instruction, now_s: float) -> str | None:
        """What is wrong with an instruction; ``None`` if nothing is."""
        match instruction:
            case Send(peer) | Deliver(peer):
                relation = ledger.relations.get(peer)
                if relation is None:
                    return f"speaks to {peer}, which it {'banned' if peer in ledger.banned else 'is not linked with'}"
                if isinstance(instruction, Deliver):
                    return self._delivery_fault(host, ledger, relation, instruction, now_s)
                return self._speech_fault(host, ledger, relation, instruction)
            case Dial(peer):
                return f"dials {peer}, which it banned" if peer in ledger.banned else None
            case Ban(peer):
                return None if peer in self.culprits else f"bans {peer}, which did nothing wrong"
            case Accept():
                return self._acceptance_fault(ledger, event, instruction)
            case Completed() | Expired() | Failed():
                return self._ending_fault(host, ledger, instruction, now_s)
            case _:
                return None

    def _speech_fault(self, host: Host, ledger: Ledger, relation: Relation, said: Send) -> str | None:
        match said.message:
            case Want(key, indices):
                held = ledger.held.get(key, {})
                if key not in ledger.fetching:
                    return "asks for what it does not fetch"
                if relation.choked_there:
                    return f"asks {said.peer}, which chokes it"
                if any(index in held for index in indices):
                    return "asks for what it holds"
                if ledger.fetching[key].manifest.grows and not ledger.named.get(key, {}).keys() >= set(indices):
                    return "asks for a chunk whose digest its publisher did not name"
                return self._pipeline_fault(ledger, relation, key, indices)
            case Have(key, runs):
                held = ledger.held.get(key, {})
                missing = [i for first, count in runs for i in range(first, first + count) if i not in held]
                return f"announces chunks {missing}, which it does not hold" if missing else None
            case Bitfield(key, bits):
                held = ledger.held.get(key, {})
                told = [i for i in range(8 * len(bits)) if bits[i // 8] >> i % 8 & 1]
                return None if all(i in held for i in told) else "tells of chunks it does not hold"
            case Final(key, first, digests):
                return self._naming_fault(host, ledger, key, first, digests)
        return None

    def _naming_fault(self, host: Host, ledger: Ledger, key: Key, first: int, digests: tuple[bytes, ...]) -> str | None:
        if host.name != key.publisher:
            return f"names digests of {key}, which it does not publish"
        weights, held = self._seen.weights[key], ledger.held.get(key, {})
        for index, digest in enumerate(digests, first):
            if index not in held:
                return f"names the digest of chunk {index}, which is not final"
            if digest != blake3(weights.chunk(index)).digest():
                return f"names a wrong digest of chunk {index}"
        return None

    def _pipeline_fault(self, ledger: Ledger, relation: Relation, key: Key, indices: tuple[int, ...]) -> str | None:
        if any((key, index) in relation.asked for index in indices):
            return "asks twice for the same"
        manifest = ledger.fetching[key].manifest
        asked = sum(relation.asked.values()) + sum(map(manifest.chunk_size, indices))
        if asked > max(self._limits.pipeline_bytes, manifest.chunk_bytes):
            return f"asks for {asked} bytes ahead"
        return None

    def _delivery_fault(
        self, host: Host, ledger: Ledger, relation: Relation, sent: Deliver, now_s: float
    ) -> str | None:
        chunk = (sent.key, sent.index)
        if sent.index not in ledger.held.get(sent.key, {}):
            return f"sends chunk {sent.index}, which it does not hold"
        duty = sent.key in ledger.pushed or chunk in ledger.owned or chunk in relation.again
        if relation.choked_here and not duty:
            return f"sends a chunk to {sent.peer}, which it chokes"
        if sent.relay and sent.key not in ledger.pushed:
            return "has a chunk relayed that it does not push"
        return self._flight_fault(host, ledger, sent, now_s)

    def _flight_fault(self, host: Host, ledger: Ledger, sent: Deliver, now_s: float) -> str | None:
        """Frames to peers that give no receipts for long do not count: nobody waits for them."""
        flying = self._size(sent.key, sent.index) + sum(
            self._size(key, index)
            for relation in ledger.relations.values()
            if now_s - relation.heard_s < _STALLED_S
            for key, index in relation.flying
        )
        bound: float = self._limits.most_inflight_bytes
        if host.hello.uplink_bps:
            bound = min(bound, host.hello.uplink_bps / 8 * self._limits.inflight_s)
        bound = max(bound, 2 * self._seen.weights[sent.key].manifest.chunk_bytes)
        return f"has {flying} bytes under way, allowed are {bound:.0f}" if flying > bound else None

    def _acceptance_fault(self, ledger: Ledger, event: Event, accepted: Accept) -> str | None:
        if not isinstance(event, FrameArrived) or (event.key, event.index) != (accepted.key, accepted.index):
            return "accepts a chunk that did not just arrive"
        fetch = ledger.fetching.get(accepted.key)
        if fetch is None or (fetch.indices is not None and accepted.index not in fetch.indices):
            return "accepts a chunk that it does not want"
        if accepted.index in ledger.held[accepted.key]:
            return "accepts a chunk that it holds"
        weights = self._seen.weights[accepted.key]
        if weights.manifest.grows:
            named = ledger.named.get(accepted.key, {}).get(accepted.index)
            if named is None:
                return "accepts a chunk whose digest its publisher did not name"
            if blake3(event.payload).digest() != named:
                return f"accepts other bytes of {event.peer} than the publisher named"
        return None if event.payload == weights.chunk(accepted.index) else f"accepts wrong bytes of {event.peer}"

    # ---- receipts -------------------------------------------------------------------------------------------------

    def _check_receipts(self, host: Host, ledger: Ledger, event: Receipted) -> None:
        for receipt in event.receipts:
            if (receipt.key, receipt.index) not in ledger.relations[event.peer].flying:
                self._breach(host, event, "gets a receipt for a frame that is not under way")

    def _check_acknowledged(
        self, host: Host, ledger: Ledger, event: FrameArrived, instructions: list[Instruction]
    ) -> None:
        receipts = [one for one in instructions if isinstance(one, Acknowledge)]
        right = [(one.peer, one.key, one.index) == (event.peer, event.key, event.index) for one in receipts]
        ended = any(isinstance(one, Ban | HangUp) and one.peer == event.peer for one in instructions)
        linked = event.peer in ledger.relations or ended
        if not all(right) or len(receipts) > 1 or (linked and not receipts and not ended):
            self._breach(host, event, f"gives {len(receipts)} receipts for one frame")

    # ---- endings --------------------------------------------------------------------------------------------------

    def _ending_fault(
        self, host: Host, ledger: Ledger, ending: Completed | Expired | Failed, now_s: float
    ) -> str | None:
        fetch = ledger.fetching.get(ending.key)
        if fetch is None:
            return "ends a fetch that does not go on"
        wanted = range(fetch.manifest.chunks) if fetch.indices is None else fetch.indices
        missing = [index for index in wanted if index not in ledger.held[ending.key]]
        match ending:
            case Completed() if missing:
                return f"is complete without chunks {missing}"
            case Expired() if fetch.deadline_s is None or now_s < fetch.deadline_s - _ROUNDING_S:
                return "expires before its deadline"
            case Failed() if not missing:
                return "fails with everything in place"
            case Failed():
                return self._failure_fault(host, ledger, fetch, ending, missing, now_s)
        return None

    def _failure_fault(
        self, host: Host, ledger: Ledger, fetch: FetchWanted, ending: Failed, missing: list[int], now_s: float
    ) -> str | None:
        publisher = fetch.manifest.publisher
        if ending.corrupt and publisher not in self.culprits:
            return f"blames {publisher}, which sent nothing wrong"
        if host.name in self.culprits:
            return None
        long_ago_s = now_s - self._limits.starvation_s
        named = {} if publisher in self.culprits else ledger.named.get(ending.key, {})
        verifiable = [index for index in missing if index in named or not fetch.manifest.grows]
        for peer, relation in ledger.relations.items():
            other = self._seen.hosts[peer]
            if relation.since_s > long_ago_s or peer in self.culprits or not self._sound(host, other):
                continue
            if not fetch.swarm and peer != publisher:
                continue
            held = self._ledgers[other].held.get(ending.key, {})
            due = missing if peer == publisher else verifiable
            if any(held.get(index, now_s) < long_ago_s for index in due):
                return f"fails although {peer} holds a missing chunk"
        return None

    def _sound(self, host: Host, other: Host) -> bool:
        """Whether a link between two hosts works, as far as both hosts and the network know."""
        end = host.ends.get(other.name)
        reached = self._seen.network.reaches(host.name, other.name)
        return other.running and reached and end is not None and end.up and end.twin.up and end.twin.host is other

    def check_end(self) -> None:
        """Checks what must hold once nothing more is to happen."""
        for fetch in self._seen.fetches:
            if fetch.is_open and fetch.host.name not in self.culprits:
                story = self.story.about(fetch.host.name, key=fetch.key)
                raise BreachError(f"{fetch.host.name} still fetches {fetch.key} at {self._now_s:.3f} s\n{story}")
        for application in self._seen.applications:
            name = application.host.name
            if application.host.alive and name not in self.culprits and (fault := application.fault()):
                raise BreachError(f"{name} {fault} at {self._now_s:.3f} s\n{self.story.about(name)}")
        sent = sum(traffic.frame_bytes - traffic.void_bytes for traffic in self._seen.traffic)
        received = sum(sum(traffic.payload_bytes.values()) for traffic in self._seen.traffic)
        if received > sent:
            raise BreachError(f"{received} bytes of chunks arrived of {sent} that were sent")

    # ---- help -----------------------------------------------------------------------------------------------------

    @property
    def _seen(self) -> World:
        assert self._world is not None, "watch(world) comes before the first event"
        return self._world

    @property
    def _now_s(self) -> float:
        return self._seen.timeline.now_s

    def _size(self, key: Key, index: int) -> int:
        return self._seen.weights[key].manifest.chunk_size(index)

    def _breach(self, host: Host, what: Event | Instruction, fault: str) -> None:
        other = getattr(what, "peer", host.name)
        story = self.story.about(host.name, other, key=key_of(what), index=getattr(what, "index", None))
        raise BreachError(f"{self._now_s:.6f} s: {host.name} {fault}\n{story}")


def _says_nothing(what: Event | Instruction) -> bool:
    """Whether it is only a sign of life, of which stories would be full."""
    return isinstance(what, Tick) or (isinstance(what, Received | Send) and isinstance(what.message, Alive))
