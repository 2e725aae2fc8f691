"""One peer's side of the exchange of chunks, as a state machine without a socket or a clock.

Events go in with the present instant, instructions come out; both are in :mod:`fedswarm.swarm.dialogue`. The same
inputs always give the same instructions. What to ask whom is :mod:`fedswarm.swarm.picker`'s affair; here is when: who
may be asked, who is late, who is banned, and when a fetch is done or lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedswarm.errors import WireError
from fedswarm.randomness import generator
from fedswarm.swarm import requests
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
    StreamLost,
    Tick,
)
from fedswarm.swarm.download import Download, Fault
from fedswarm.swarm.holder import Holder
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.pace import Pace


@dataclass(frozen=True)
class Limits:
    """How much is asked for ahead, and how long anybody is waited for."""

    pipeline_bytes: int = 8 * MIB
    """Largest window of one holder."""
    join_grace_s: float = 0.25
    """A linked peer that has not said by then that it fetches too owns no chunks."""
    owner_patience_s: float = 2.0
    """An owner that announced nothing new for this long is late; longer where the publisher is slow."""
    silence_s: float = 30.0
    """A data stream that owes answers and brings none for this long is given up."""
    publisher_attempts: int = 5
    """Data streams in a row that may fail before the publisher counts as gone."""
    starvation_s: float = 5.0
    """Once the publisher is gone: how long peers may bring nothing before the fetch fails."""


class Exchange:
    """The downloads of one peer; ``me`` and ``seed`` make its random ties its own."""

    def __init__(self, me: str, seed: int = 0, limits: Limits | None = None) -> None:
        self._me = me
        self._seed = seed
        self._limits = limits or Limits()
        self._holders: dict[str, Holder] = {}
        self._downloads: dict[Key, Download] = {}
        self._banned: set[str] = set()
        self._out: list[Instruction] = []

    @property
    def active(self) -> bool:
        """Whether a fetch is running, so that ticks are due."""
        return any(True for _ in self._active())

    def banned(self, peer: str) -> bool:
        """Whether nothing more is to be had from, or said to, this peer."""
        return peer in self._banned

    def manifest(self, key: Key) -> Manifest | None:
        """The manifest of a fetch that runs or is served on."""
        download = self._downloads.get(key)
        return None if download is None else download.manifest

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        """Takes in one event at ``now_s`` (seconds, never backwards) and says what to do, in order."""
        match event:
            case ChunkArrived():
                self._chunk_arrived(event, now_s)
            case HaveReceived(peer, key, runs):
                self._have(peer, key, runs, now_s)
            case Tick():
                self._tick(now_s)
            case FetchWanted(manifest, swarm):
                self._fetch(manifest, swarm, now_s)
            case InterestReceived(peer, key):
                self._interest(peer, key, now_s)
            case ChunkMissing(peer, key, index):
                self._chunk_missing(peer, key, index, now_s)
            case StreamLost(peer, reason):
                self._stream_lost(peer, reason, now_s)
            case PeerUp(peer):
                self._peer_up(peer, now_s)
            case PeerDown(peer):
                self._peer_gone(peer, now_s)
            case ForgetReceived(peer, key):
                self._peer_forgets(peer, key)
            case Forgotten(key):
                self._forget(key)
            case Misbehaved(peer, reason):
                self._ban(peer, reason, now_s)
        out, self._out = self._out, []
        return out

    # ---- fetches --------------------------------------------------------------------------------------------------

    def _fetch(self, manifest: Manifest, swarm: bool, now_s: float) -> None:
        draws = generator(self._seed, manifest.round, f"chunk order at {self._me} of {manifest.source}")
        download = Download(manifest, swarm, now_s, draws.random(manifest.chunks))
        self._downloads[manifest.key] = download
        publisher = self._holder(manifest.publisher)
        if not publisher.asked:
            publisher.failures, publisher.retry_s = 0, now_s
        if manifest.publisher in self._banned:
            self._fault(download, Fault(f"{manifest.publisher} was banned for sending wrong bytes", True), now_s)
        if swarm:
            for holder in self._linked():
                self._out.append(AnnounceInterest(holder.name, manifest.key))
                if manifest.key in holder.interests and holder.name != manifest.publisher:
                    download.member(holder.name).heard_s = now_s
        self._divide(download, now_s)
        self._fill(now_s)

    def _forget(self, key: Key) -> None:
        download = self._downloads.get(key)
        if download is None:
            return
        self._end(download)
        if download.swarm and download.held.count:
            self._out += [AnnounceForget(peer.name, key) for peer in self._linked() if key in peer.interests]
        for holder in self._linked():
            holder.interests.pop(key, None)

    def _end(self, download: Download) -> None:
        """Takes a download out; answers still under way for it will be discarded."""
        del self._downloads[download.manifest.key]
        for holder in self._holders.values():
            for (key, _), asked in holder.asked.items():
                asked.released |= key == download.manifest.key

    def _fault(self, download: Download, fault: Fault, now_s: float) -> None:
        """The publisher is of no more use to a download: peers must have the rest, or it fails."""
        download.fault = download.fault or fault
        self._fail_if_starved(download, now_s)

    def _fail_if_starved(self, download: Download, now_s: float) -> None:
        if download.fault is None or not download.active or download.manifest.key not in self._downloads:
            return
        peers_can_help = download.swarm and any(h.name != download.manifest.publisher for h in self._linked())
        if peers_can_help and now_s - download.progress_s <= self._limits.starvation_s:
            return
        missing = download.manifest.chunks - download.held.count
        key = download.manifest.key
        reason = f"{key}: {missing} of {download.manifest.chunks} chunks are missing and {download.fault.reason}"
        self._end(download)
        self._out.append(Failed(key, reason, download.fault.corrupt))

    # ---- what holders say -----------------------------------------------------------------------------------------

    def _interest(self, peer: str, key: Key, now_s: float) -> None:
        holder = self._holders.get(peer)
        if holder is None or holder.linked_s is None:
            return
        holder.remember_interest(key)
        download = self._downloads.get(key)
        if download is None or not download.swarm or peer == download.manifest.publisher:
            return
        download.member(peer).heard_s = now_s
        if download.held.count:
            self._out.append(AnnounceHave(peer, key, tuple(download.held.runs())))
        self._divide(download, now_s)

    def _have(self, peer: str, key: Key, runs: tuple[tuple[int, int], ...], now_s: float) -> None:
        download = self._downloads.get(key)
        holder = self._holders.get(peer)
        if download is None or holder is None or holder.linked_s is None or peer == download.manifest.publisher:
            return
        try:
            download.peer_holds(peer, runs, now_s)
        except WireError as error:
            self._ban(peer, f"cannot have what it announced: {error}", now_s)
            return
        self._fill(now_s, holder)

    def _peer_forgets(self, peer: str, key: Key) -> None:
        if peer in self._holders:
            self._holders[peer].interests.pop(key, None)
        if key in self._downloads:
            self._downloads[key].remove_peer(peer)

    def _chunk_arrived(self, event: ChunkArrived, now_s: float) -> None:
        holder = self._holders.get(event.peer)
        if holder is None or event.peer in self._banned:
            return
        was_stalled = holder.stalled
        asked = holder.answered(event.key, event.index, now_s)
        if asked is None:
            self._ban(event.peer, f"sent chunk {event.index} of {event.key}, which nobody asked for", now_s)
            return
        holder.pace.arrived(now_s - asked.sent_s, len(event.payload))
        if was_stalled:
            self._weigh(holder, now_s)
        download = self._downloads.get(event.key)
        if download is not None:
            download.requests[event.index] -= not asked.released
            if not download.manifest.verify(event.index, event.payload):
                self._ban(event.peer, f"sent chunk {event.index} of {event.key} with a wrong digest", now_s)
                return
            self._accept(download, event.index, now_s)
        self._fill(now_s, holder)

    def _accept(self, download: Download, index: int, now_s: float) -> None:
        if not len(download.held.add_run(index, 1)):
            return
        key = download.manifest.key
        download.progress_s = now_s
        self._out.append(Accept(key, index))
        if download.swarm:
            for holder in self._linked():
                member = download.members.get(holder.name)
                if key in holder.interests and not (member and member.held.bits[index]):
                    self._out.append(AnnounceHave(holder.name, key, ((index, 1),)))
        if not download.active:
            self._out.append(Completed(key))
            if not download.swarm:
                self._end(download)

    def _chunk_missing(self, peer: str, key: Key, index: int, now_s: float) -> None:
        holder = self._holders.get(peer)
        asked = None if holder is None else holder.answered(key, index, now_s)
        download = self._downloads.get(key)
        if holder is None or asked is None or download is None:
            return
        download.requests[index] -= not asked.released
        if peer == download.manifest.publisher:
            self._fault(download, Fault(f"{peer} no longer publishes them", False), now_s)
        else:
            download.peer_lacks(peer, index)
        self._fill(now_s)

    # ---- links and streams ----------------------------------------------------------------------------------------

    def _peer_up(self, peer: str, now_s: float) -> None:
        if peer in self._banned:
            self._out.append(DropPeer(peer, "was banned earlier in this run"))
            return
        self._holder(peer).linked_s = now_s
        for download in self._active():
            if download.swarm:
                self._out.append(AnnounceInterest(peer, download.manifest.key))
                self._divide(download, now_s)

    def _peer_gone(self, peer: str, now_s: float) -> None:
        holder = self._holders.get(peer)
        if holder is None:
            return
        holder.linked_s = None
        holder.interests.clear()
        publishes = False
        for download in self._active():
            publishes |= download.manifest.publisher == peer
            download.remove_peer(peer)
        if not publishes:
            requests.release(holder, self._downloads)
            del self._holders[peer]
        for download in list(self._active()):
            self._divide(download, now_s)
            self._fail_if_starved(download, now_s)
        self._fill(now_s)

    def _stream_lost(self, peer: str, reason: str, now_s: float) -> None:
        holder = self._holders.get(peer)
        if holder is None:
            return
        requests.release(holder, self._downloads)
        holder.stream_lost(now_s)
        self._weigh(holder, now_s)
        if holder.failures >= self._limits.publisher_attempts:
            for download in list(self._active()):
                if download.manifest.publisher == peer:
                    self._fault(download, Fault(f"{peer} cannot be reached: {reason}", False), now_s)
        self._fill(now_s)

    def _ban(self, peer: str, reason: str, now_s: float) -> None:
        self._banned.add(peer)
        self._out.append(DropPeer(peer, reason))
        for download in list(self._active()):
            if download.manifest.publisher == peer:
                self._fault(download, Fault(f"{peer}, their publisher, {reason}", True), now_s)
        if peer in self._holders:
            requests.release(self._holders[peer], self._downloads)
            self._holders[peer].stream_lost(now_s)
            self._peer_gone(peer, now_s)

    # ---- time -----------------------------------------------------------------------------------------------------

    def _tick(self, now_s: float) -> None:
        for holder in list(self._holders.values()):
            silent_s = holder.silent_s(now_s)
            if silent_s > self._limits.silence_s:
                self._out.append(DropStream(holder.name))
                self._stream_lost(holder.name, f"it was silent for {silent_s:.0f} s", now_s)
            elif silent_s > holder.pace.timeout_s and not holder.stalled:
                requests.release(holder, self._downloads)
                holder.stalled = True
            self._weigh(holder, now_s)
        for download in list(self._active()):
            self._divide(download, now_s)
            self._fail_if_starved(download, now_s)
        self._fill(now_s)
        for download in self._active():
            self._out += requests.end_game(download, self._holders, now_s)

    def _weigh(self, holder: Holder, now_s: float) -> None:
        """What a holder has counts only while it answers."""
        for download in self._active():
            download.count(holder.name, not holder.stalled and now_s >= holder.retry_s)

    def _divide(self, download: Download, now_s: float) -> None:
        """Shares the chunks among the peers that fetch the same weights and are at work."""
        if not (download.swarm and download.active):
            return
        response_s = self._holder(download.manifest.publisher).pace.response_s or 0.0
        patience_s = max(self._limits.owner_patience_s, 4 * response_s)

        def at_work(holder: Holder) -> bool:
            member = download.members.get(holder.name)
            if member is not None and member.heard_s is not None:
                return member.counted and now_s - member.heard_s <= patience_s
            return now_s - max(download.started_s, holder.linked_s or 0.0) <= self._limits.join_grace_s

        others = (holder for holder in self._linked() if holder.name != download.manifest.publisher)
        download.divide(self._me, frozenset(holder.name for holder in others if at_work(holder)))

    # ---- bookkeeping ----------------------------------------------------------------------------------------------

    def _fill(self, now_s: float, only: Holder | None = None) -> None:
        """Asks for as much as the windows allow: of one holder, or of all."""
        for download in self._active():
            names = [only.name] if only else [download.manifest.publisher, *download.members]
            able = [self._holders[name] for name in names if name in self._holders]
            self._out += requests.fill(download, able, now_s)

    def _active(self) -> Iterator[Download]:
        return (download for download in self._downloads.values() if download.active)

    def _linked(self) -> Iterator[Holder]:
        return (holder for holder in self._holders.values() if holder.linked_s is not None)

    def _holder(self, name: str) -> Holder:
        if name not in self._holders:
            self._holders[name] = Holder(name, Pace(self._limits.pipeline_bytes))
        return self._holders[name]
