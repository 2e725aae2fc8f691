"""A peer: publishes weights, fetches those of others, and passes on what it fetched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from numpy.typing import NDArray

from fedswarm.clock import Clock, WallClock
from fedswarm.errors import IntegrityError, RunFailedError, WireError
from fedswarm.swarm.announcements import Announcement, Publication
from fedswarm.swarm.events import (
    Event,
    FetchWanted,
    Forgotten,
    FrameArrived,
    Introduced,
    Leaving,
    LinkDown,
    LinkUp,
    Published,
    Spreading,
)
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
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Address, Receipt
from fedswarm.swarm.peer import Peer
from fedswarm.swarm.shaping import LinkShape, bucket_of
from fedswarm.swarm.store import ChunkStore, Holding
from fedswarm.swarm.uplink import KnownUplink, MeasuredUplink
from services.peer.arrivals import Arrivals
from services.peer.deliveries import Deliveries
from services.peer.fetches import Fetch, Fetched, Sink
from services.peer.growing import Growing
from services.peer.introductions import Introducer, progress_of
from services.peer.links import Links
from services.peer.servicer import SERVICE_NAME, PeerServicer
from services.peer.stepper import Machine, Stepper
from services.peer.traffic import Meter, Traffic
from services.process.server import Server

log = logging.getLogger(__name__)

INTRODUCTION_TIMEOUT_S: Final = 3.0


class PeerNode:
    """One peer of a job, living on the running event loop.

    Call :meth:`register` before the process's server starts and :meth:`start` once its port is known, then the rest,
    from the loop's thread only.

    Args:
        peer_id: unique in the job.
        job: peers of other jobs are refused.
        clock: all instants are on it; the wall clock when absent.
        limits: bounds of the state machine.
        seed: of the job.
        uplink_bps: how fast this peer can send; 0 has it measured.
        shape: the link that this peer emulates; no limits when absent.
    """

    def __init__(
        self,
        peer_id: str,
        job: str,
        clock: Clock | None = None,
        *,
        limits: Limits = Limits(),
        seed: int = 0,
        uplink_bps: int = 0,
        shape: LinkShape = LinkShape(),
    ) -> None:
        self.peer_id = peer_id
        self.on_offer: Callable[[Manifest, str], None] | None = None
        """Is told of weights that a peer offers, and of that peer's name."""
        self.on_leave: Callable[[str], None] | None = None
        """Is told of a neighbour that takes leave of the job."""
        self.on_links: Callable[[], None] | None = None
        """Is told when :attr:`links` change."""
        self._job = job
        self._clock = clock or WallClock()
        self._limits = limits
        self._seed = seed
        self._uplink_bps = uplink_bps
        self._shape = shape
        self._meter = Meter()
        self._store = ChunkStore()
        self._fetches: dict[Key, Fetch] = {}
        self._offered: set[Key] = set()
        self._links = Links(peer_id, job, uplink_bps, self._meter, self.feed, self._welcomes)
        self._deliveries = Deliveries(peer_id, self._meter, self.feed)
        self._arrivals = Arrivals(self._links, self._meter, self._clock, shape.down, self.feed)
        self._machine: Machine | None = None
        self._stepper: Stepper | None = None
        self._introducer: Introducer | None = None

    @property
    def traffic(self) -> Traffic:
        """What travelled so far."""
        return self._meter.read()

    @property
    def links(self) -> tuple[str, ...]:
        """Who is linked now."""
        return self._links.names()

    # ---- life -----------------------------------------------------------------------------------------------------

    def register(self, server: Server) -> None:
        """Adds the ``Peer`` service to this process's server."""
        server.add(SERVICE_NAME, PeerServicer(self._links, self._arrivals).add_to)

    async def start(self, target: str, trackers: Sequence[str] = (), *, topology: str = "", founders: int = 0) -> bool:
        """Joins the swarm as the peer that answers at ``target``; returns whether a tracker has answered.

        Waits a few seconds at most for the first introductions: trackers that are away are sought in the background.

        Args:
            target: ``host:port`` that others reach.
            trackers: where they answer; each introduces peers.
            topology: the job's (:func:`fedswarm.swarm.topology_choice.topology_text`).
            founders: how many peers begin the job together.
        """
        self._machine = self._new_machine(target)
        self._stepper = Stepper(self._machine, self._clock, self._obey)
        self._links.start(target)
        me = Announcement(
            self._job,
            Address(self.peer_id, target),
            uplink_bps=self._uplink_bps,
            topology=topology,
            founders=founders,
        )
        self._introducer = Introducer(trackers, me, lambda: progress_of(self._store, self.traffic), self.feed)
        answered = bool(trackers) and await self._introducer.answered(INTRODUCTION_TIMEOUT_S)
        if trackers and not answered:
            log.warning("no introductions from any tracker yet; going on without")
        return answered

    def _new_machine(self, target: str) -> Peer:
        up, each, clock = self._shape.up, self._shape.up.each, self._clock
        return Peer(
            Address(self.peer_id, target),
            self._job,
            seed=self._seed,
            limits=self._limits,
            uplink=KnownUplink(self._uplink_bps) if self._uplink_bps else MeasuredUplink(),
            cap=up.for_all(clock.now_s()),
            cap_each=None if each is None else lambda: bucket_of(each, clock.now_s()),
        )

    async def close(self) -> None:
        """Leaves: fetches under way fail, links say goodbye, streams end."""
        for fetch in self._fetches.values():
            fetch.fail(RunFailedError(f"{fetch.manifest.key}: this peer is shutting down"))
        if self._introducer is not None:
            await self._introducer.close()
        if self._stepper is not None:
            self._stepper.feed(Leaving("leaving"))
            self._stepper.stop()
        self._arrivals.end_all()
        await self._links.close("leaving")
        await self._deliveries.close_all()

    def feed(self, event: Event) -> None:
        """Tells the state machine of something that happened outside: introductions, for one."""
        assert self._stepper is not None, f"peer {self.peer_id!r} has not started"
        if isinstance(event, LinkDown):
            self._end_streams(event.peer)
        self._stepper.feed(event)
        if isinstance(event, LinkUp) and (link := self._links.get(event.hello.address.peer)):
            self._deliveries.open(link.peer, link.hello.address.target)
        if isinstance(event, LinkUp | LinkDown):
            self._tell_links()

    # ---- what owners of weights do --------------------------------------------------------------------------------

    def publish(
        self,
        manifest: Manifest,
        data: NDArray[Any],
        *,
        spreading: Spreading = Spreading.ANSWER,
        offer: bool = False,
    ) -> None:
        """Serves ``data`` as its source until forgotten; it is not copied, so it must not change meanwhile.

        ``offer`` has all peers of the job told, from neighbour to neighbour. Raises :class:`WireError` if the vector
        does not fit the manifest, or the key already serves other weights.
        """
        self._store.publish(manifest, data)
        self._announce(manifest, spreading, offer)

    def grow(self, manifest: Manifest, *, spreading: Spreading = Spreading.ANSWER, offer: bool = False) -> Growing:
        """Serves weights that are still being made, each chunk from when it is final.

        Raises :class:`WireError` if the manifest holds digests already, or the key serves other weights.
        """
        if not manifest.grows:
            raise WireError(f"{manifest.key} has all its digests: publish it as a whole")
        holding = self._store.open(manifest)
        self._announce(manifest, spreading, offer)
        return Growing(holding, self.feed)

    def _announce(self, manifest: Manifest, spreading: Spreading, offer: bool) -> None:
        self.feed(Published(manifest, spreading, offer))
        if offer and self._introducer is not None:
            self._introducer.publish(manifest)

    def forget(self, round_index: int, source: str) -> None:
        """Neither serves nor fetches these weights any longer."""
        self._forget([Key(round_index, source)])

    def forget_before(self, round_index: int, kept: Collection[Key] = ()) -> None:
        """Forgets all weights of rounds before ``round_index`` but those ``kept``, and who offered any."""
        known = {*self._store.keys(), *self._fetches, *self._offered}
        self._forget(key for key in known.difference(kept) if key.round < round_index)

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            self._store.forget(key)
            self._offered.discard(key)
            self.feed(Forgotten(key))
            if self._introducer is not None:
                self._introducer.forget(key)
            if fetch := self._fetches.get(key):
                fetch.fail(RunFailedError(f"{key} was forgotten while it was being fetched"))

    # ---- what those who need weights do ---------------------------------------------------------------------------

    async def find(self, round_index: int) -> tuple[Publication, ...]:
        """Who offers weights of a round, as far as trackers know: for those who come late.

        Links with the holders, who then offer them here as well (:attr:`on_offer`).
        """
        found = () if self._introducer is None else await self._introducer.find(round_index)
        if found:
            self.feed(Introduced(tuple(dict.fromkeys(publication.holder for publication in found)), passing=True))
        return found

    async def fetch(
        self,
        manifest: Manifest,
        publisher_target: str = "",
        *,
        swarm: bool,
        indices: Sequence[int] | None = None,
        deadline_s: float | None = None,
        sink: Sink | None = None,
    ) -> Fetched:
        """Gets the weights of a manifest, every chunk verified.

        Raises :class:`IntegrityError` when the publisher itself sends wrong bytes, :class:`RunFailedError` when it is
        gone and peers cannot replace it.

        Args:
            manifest: what is wanted.
            publisher_target: where its publisher answers; empty to ask only who is linked.
            swarm: have peers help, and go on serving the chunks until :meth:`forget`; otherwise they come from the
                publisher alone and nothing is kept.
            indices: the chunks wanted; ``None`` is all.
            deadline_s: the instant on this node's clock at which the fetch ends with what is there.
            sink: takes the chunks as they come, in any order, in place of a vector.
        """
        manifest.check()
        if manifest.job != self._job:
            raise WireError(f"{manifest.key} belongs to job {manifest.job!r}, this peer to {self._job!r}")
        if manifest.key in self._fetches:
            raise WireError(f"{manifest.key} is being fetched already: await that fetch first")
        shared = self._store.open(manifest) if swarm or self._store.get(manifest.key) else None
        alone = Holding(manifest) if shared is None and sink is None else None
        fetch = Fetch(manifest, shared or alone, indices, sink)
        if not fetch.done.done():
            wanted = None if indices is None else tuple(indices)
            await self._run(fetch, FetchWanted(manifest, publisher_target, swarm, wanted, deadline_s))
        await fetch.done
        return fetch.result(writable=shared is None)

    async def _run(self, fetch: Fetch, event: FetchWanted) -> None:
        key = fetch.manifest.key
        self._fetches[key] = fetch
        try:
            self.feed(event)
            await fetch.done
        except BaseException:
            self._forget([key])
            raise
        finally:
            del self._fetches[key]

    # ---- what the state machine says ------------------------------------------------------------------------------

    def _obey(self, instruction: Instruction, event: Event) -> None:
        match instruction:
            case Send(peer, message):
                if link := self._links.get(peer):
                    link.send(message)
            case Deliver(peer, key, index, relay):
                self._deliver(peer, key, index, relay)
            case Acknowledge(peer, key, index, verdict):
                self._arrivals.acknowledge(peer, Receipt(key, index, verdict))
            case Accept(key, index):
                assert isinstance(event, FrameArrived), f"chunk {index} of {key} was accepted on {event}"
                self._put(key, index, event.payload)
            case Completed(key) | Expired(key):
                if fetch := self._fetches.get(key):
                    fetch.end()
            case Failed(key, reason, corrupt):
                if fetch := self._fetches.get(key):
                    fetch.fail(IntegrityError(reason) if corrupt else RunFailedError(reason))
            case Offered(manifest, peer):
                self._offered.add(manifest.key)
                if self.on_offer is not None:
                    self.on_offer(manifest, peer)
            case TookLeave(peer):
                if self.on_leave is not None:
                    self.on_leave(peer)
            case Dial(peer, target):
                self._links.dial(peer, target)
            case HangUp(peer, reason) | Ban(peer, reason):
                if isinstance(instruction, Ban):
                    log.warning("peer %s is banned: %s", peer, reason)
                self._end_streams(peer)
                self._links.hang_up(peer, reason)
                self._tell_links()
            case CloseDelivery(peer):
                self._deliveries.close(peer)

    def _deliver(self, peer: str, key: Key, index: int, relay: bool) -> None:
        link, frame = self._links.get(peer), self._store.frame(key, index, relay)
        if link is not None and frame is not None:
            self._deliveries.send(peer, link.hello.address.target, frame, self._store.chunk_size(key, index))

    def _put(self, key: Key, index: int, payload: bytes | memoryview) -> None:
        self._meter.accepted += len(payload)
        if fetch := self._fetches.get(key):
            fetch.put(index, payload)
        elif holding := self._store.get(key):
            holding.put(index, payload)

    def _end_streams(self, peer: str) -> None:
        self._deliveries.close(peer)
        self._arrivals.end(peer)

    def _tell_links(self) -> None:
        if self.on_links is not None:
            self.on_links()

    def _welcomes(self, peer: str) -> bool:
        return self._machine is not None and self._machine.welcomes(peer)
