"""A peer: publishes weights, fetches those of others, and passes on what it fetched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from fedswarm.clock import Clock, WallClock
from fedswarm.errors import IntegrityError, RunFailedError, WireError
from fedswarm.swarm.chunks import MIB
from fedswarm.swarm.dialogue import (
    Accept,
    AnnounceForget,
    AnnounceHave,
    AnnounceInterest,
    ChunkArrived,
    ChunkMissing,
    Completed,
    DropPeer,
    DropStream,
    Event,
    Failed,
    FetchWanted,
    ForgetReceived,
    Forgotten,
    HaveReceived,
    Instruction,
    InterestReceived,
    Misbehaved,
    PeerDown,
    PeerUp,
    Request,
    StreamLost,
    Tick,
)
from fedswarm.swarm.exchange import Exchange, Limits
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.store import Assembly, ChunkStore
from fedswarm.swarm.wire import Frame, decode_frame
from fedswarm.v1 import peer_pb2
from services.peer.data_stream import DataStream
from services.peer.introductions import TrackerSession
from services.peer.link import Link
from services.peer.links import Links
from services.peer.servicer import SERVICE_NAME, PeerServicer
from services.process.server import Server

log = logging.getLogger(__name__)

TICK_S: Final = 0.05
INTRODUCTION_TIMEOUT_S: Final = 3.0


class Traffic(NamedTuple):
    """Chunk bytes since the node began: uploaded, accepted, and received in vain (twice, or wrong)."""

    sent: int
    received: int
    wasted: int


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A running fetch: where its chunks go, and the future that ends it."""

    manifest: Manifest
    assembly: Assembly
    done: asyncio.Future[None]


class PeerNode:
    """One peer of a job, living on the running event loop.

    Call :meth:`register` before the process's server starts and :meth:`start` once its port is known. All other
    methods belong to the loop's thread.
    """

    def __init__(
        self, peer_id: str, job: str, clock: Clock | None = None, *, pipeline_bytes: int = 8 * MIB, seed: int = 0
    ) -> None:
        self.peer_id = peer_id
        self._job = job
        self._clock = clock or WallClock()
        self._exchange = Exchange(peer_id, seed, Limits(pipeline_bytes=pipeline_bytes))
        self._store = ChunkStore()
        self._links = Links(peer_id, job, self)
        self._servicer = PeerServicer(self._links, self._store.frame)
        self._streams: dict[str, DataStream] = {}
        self._targets: dict[str, str] = {}
        self._fetches: dict[Key, _Fetch] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._tracker: TrackerSession | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._received = self._wasted = 0

    @property
    def traffic(self) -> Traffic:
        """What travelled so far."""
        return Traffic(self._servicer.sent_bytes, self._received, self._wasted)

    # ---- life -----------------------------------------------------------------------------------------------------

    def register(self, server: Server) -> None:
        """Adds the ``Peer`` service to this process's server."""
        server.add(SERVICE_NAME, self._servicer.add_to)

    async def start(self, target: str, tracker_target: str | None) -> None:
        """Joins the swarm as the peer that answers at ``target``.

        Waits a few seconds at most for the first introductions: a tracker that is away is sought in the background.
        """
        self._links.start(target)
        if tracker_target is None:
            return
        self._tracker = TrackerSession(tracker_target, self._job, self.peer_id, target, self._links)
        try:
            await asyncio.wait_for(self._tracker.introduced.wait(), INTRODUCTION_TIMEOUT_S)
        except TimeoutError:
            log.warning("no introductions from the tracker at %s yet; going on without", tracker_target)

    async def close(self) -> None:
        """Leaves: fetches under way fail, links say goodbye, streams end."""
        for fetch in list(self._fetches.values()):
            _fail(fetch, RunFailedError(f"{fetch.manifest.key}: this peer is shutting down"))
        if self._tracker is not None:
            await self._tracker.close()
        await self._links.close()
        for name in list(self._streams):
            self._close_stream(name)
        if self._ticker is not None:
            self._ticker.cancel()
            self._closing.add(self._ticker)
        await asyncio.gather(*self._closing, return_exceptions=True)

    # ---- what owners of weights do --------------------------------------------------------------------------------

    def publish(self, manifest: Manifest, data: NDArray[Any]) -> None:
        """Serves ``data`` as its source until forgotten; it is not copied, so it must not change meanwhile.

        Raises :class:`WireError` if it does not fit the manifest, or the key already serves other weights.
        """
        self._store.publish(manifest, data)

    def forget(self, round_index: int, source: str) -> None:
        """Neither serves nor fetches these weights any longer."""
        self._forget([Key(round_index, source)])

    def forget_before(self, round_index: int) -> None:
        """Forgets all weights of rounds before ``round_index``."""
        self._forget(key for key in {*self._store.keys(), *self._fetches} if key.round < round_index)

    # ---- what those who need weights do ---------------------------------------------------------------------------

    async def fetch(self, manifest: Manifest, source_target: str, swarm: bool) -> NDArray[Any]:
        """The weights of a manifest as a flat vector of its own, every chunk verified.

        With ``swarm`` peers help and this node goes on serving the chunks until :meth:`forget`; otherwise they come
        from ``source_target`` alone and nothing is kept. Raises :class:`IntegrityError` when the source itself sends
        wrong bytes, :class:`RunFailedError` when it is gone and peers cannot replace it.
        """
        held = self._store.whole(manifest)
        if held is not None:
            return held
        assembly = Assembly(manifest)
        if swarm:
            self._store.relay(manifest)
        await self._run(manifest, source_target, swarm, assembly)
        return assembly.vector()

    async def _run(self, manifest: Manifest, target: str, swarm: bool, assembly: Assembly) -> None:
        manifest.check()
        if manifest.job != self._job:
            raise WireError(f"{manifest.key} belongs to job {manifest.job!r}, this peer to {self._job!r}")
        if manifest.key in self._fetches:
            raise WireError(f"{manifest.key} is being fetched already: await that fetch first")
        self._reach(manifest.publisher, target)
        fetch = _Fetch(manifest, assembly, asyncio.get_running_loop().create_future())
        self._fetches[manifest.key] = fetch
        try:
            self._feed(FetchWanted(manifest, swarm))
            self._keep_ticking()
            await fetch.done
        except BaseException:
            self._forget([manifest.key])
            raise
        finally:
            self._fetches.pop(manifest.key, None)

    def _reach(self, name: str, target: str) -> None:
        """Notes where a holder answers; a stream to where it was before is of no use."""
        stream = self._streams.get(name)
        self._targets[name] = target
        if stream is not None and stream.target != target:
            self._close_stream(name)
            self._feed(StreamLost(name, f"it moved to {target}"))

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            self._store.forget(key)
            self._feed(Forgotten(key))
            fetch = self._fetches.get(key)
            if fetch is not None:
                _fail(fetch, RunFailedError(f"{key} was forgotten while it was being fetched"))

    # ---- the exchange: events in, instructions out ----------------------------------------------------------------

    def _feed(self, event: Event) -> list[Instruction]:
        instructions = self._exchange.handle(event, self._clock.now_s())
        for instruction in instructions:
            self._obey(instruction)
        return instructions

    def _obey(self, instruction: Instruction) -> None:
        match instruction:
            case Request(peer, key, index):
                self._stream(peer).want(key, index)
            case AnnounceHave(peer, key, runs):
                if link := self._links.get(peer):
                    link.have(key, runs)
            case AnnounceInterest(peer, key):
                if link := self._links.get(peer):
                    link.interested(key)
            case AnnounceForget(peer, key):
                if link := self._links.get(peer):
                    link.forget(key)
            case DropStream(peer):
                self._close_stream(peer)
            case DropPeer(peer, reason):
                log.warning("peer %s is banned: it %s", peer, reason)
                self._close_stream(peer)
                self._links.drop(peer, reason)
            case Completed(key):
                fetch = self._fetches[key]
                if not fetch.done.done():
                    fetch.done.set_result(None)
            case Failed(key, reason, corrupt):
                _fail(self._fetches[key], IntegrityError(reason) if corrupt else RunFailedError(reason))
            case Accept():
                pass  # done by whoever brought the chunk

    def _frame_came(self, peer: str, buffer: bytes) -> None:
        try:
            frame = decode_frame(buffer)
        except WireError as error:
            self._feed(Misbehaved(peer, f"sent a broken frame: {error}"))
            return
        if frame.missing:
            self._feed(ChunkMissing(peer, frame.key, frame.index))
            return
        event = ChunkArrived(peer, frame.key, frame.index, frame.payload)
        instructions = self._exchange.handle(event, self._clock.now_s())
        accepted = any(isinstance(instruction, Accept) for instruction in instructions)
        if accepted:
            self._received += len(frame.payload)
            self._put(frame, buffer)
        else:
            self._wasted += len(frame.payload)
        for instruction in instructions:
            self._obey(instruction)

    def _put(self, frame: Frame, buffer: bytes) -> None:
        fetch = self._fetches[frame.key]
        if fetch.done.done():
            return  # failed a moment ago; its caller has not resumed yet
        self._store.keep(frame.key, frame.index, buffer)
        fetch.assembly.write(frame.index, frame.payload)

    def _stream(self, peer: str) -> DataStream:
        stream = self._streams.get(peer)
        if stream is None:
            stream = DataStream(
                self._targets[peer],
                on_frame=lambda buffer: self._frame_came(peer, buffer),
                on_lost=lambda reason: self._stream_lost(peer, reason),
            )
            self._streams[peer] = stream
        return stream

    def _stream_lost(self, peer: str, reason: str) -> None:
        self._streams.pop(peer, None)
        self._feed(StreamLost(peer, reason))

    def _close_stream(self, peer: str) -> None:
        stream = self._streams.pop(peer, None)
        if stream is not None:
            task = stream.close()
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _keep_ticking(self) -> None:
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick(), name="exchange clock")

    async def _tick(self) -> None:
        while self._exchange.active:
            await asyncio.sleep(TICK_S)
            self._feed(Tick())

    # ---- links (LinkOwner) ----------------------------------------------------------------------------------------

    def may_link(self, peer_id: str) -> bool:
        """Everybody but the banned is welcome."""
        return not self._exchange.banned(peer_id)

    def link_up(self, link: Link) -> None:
        """A peer can be asked for chunks."""
        self._reach(link.peer_id, link.target)
        self._feed(PeerUp(link.peer_id))

    def link_down(self, link: Link) -> None:
        """Nothing more is expected of a peer, nor of its data stream."""
        self._close_stream(link.peer_id)
        self._feed(StreamLost(link.peer_id, "its link is gone"))
        self._feed(PeerDown(link.peer_id))

    def link_message(self, link: Link, message: peer_pb2.PeerMessage) -> None:
        """Control messages, turned into events."""
        peer = link.peer_id
        if message.HasField("have"):
            have = message.have
            runs = tuple((run.first, run.count) for run in have.runs)
            self._feed(HaveReceived(peer, Key(have.round, have.source), runs))
        elif message.HasField("interested"):
            self._feed(InterestReceived(peer, Key(message.interested.round, message.interested.source)))
        elif message.HasField("forget"):
            self._feed(ForgetReceived(peer, Key(message.forget.round, message.forget.source)))


def _fail(fetch: _Fetch, error: Exception) -> None:
    if not fetch.done.done():
        fetch.done.set_exception(error)
