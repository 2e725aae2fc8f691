"""A peer's side of the trackers: stays announced at all of them, takes whom any names, outlives them all."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from fedswarm.swarm.announcements import MAX_PUBLICATIONS, Announcement, Progress, Publication, Reference
from fedswarm.swarm.events import Arranged, Departed, Introduced
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.referrals import Referrals, Word
from fedswarm.swarm.store import ChunkStore
from services.peer.tracker_session import TrackerSession
from services.peer.traffic import Traffic


class Introducer:
    """The trackers of one peer, on the running event loop.

    Args:
        trackers: where they answer (``host:port``); none is fine.
        me: what the peer announces, as far as it never changes.
        progress: how far the peer is at the time.
        feed: is told whom to link with, and who left.
    """

    def __init__(
        self,
        trackers: Sequence[str],
        me: Announcement,
        progress: Callable[[], Progress],
        feed: Callable[[Introduced | Departed | Arranged], None],
    ) -> None:
        self._me = me
        self._progress = progress
        self._feed = feed
        self._published: dict[Key, Reference] = {}
        self._referrals = Referrals(me.address.peer)
        self._answered = asyncio.Event()
        self._sessions = [
            TrackerSession(
                tracker,
                self._announcement,
                functools.partial(self._referrals.begin, tracker),
                functools.partial(self._hear, tracker),
                functools.partial(self._lose, tracker),
            )
            for tracker in dict.fromkeys(trackers)
        ]

    async def answered(self, timeout_s: float) -> bool:
        """Waits until a tracker has answered, for ``timeout_s`` seconds at most; returns whether one has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._answered.wait()
        return self._answered.is_set()

    def publish(self, manifest: Manifest) -> None:
        """Trackers are to know that this peer publishes these weights; of too many, the oldest are dropped."""
        self._published.pop(manifest.key, None)
        self._published[manifest.key] = Reference(manifest.key, manifest.root)
        if len(self._published) > MAX_PUBLICATIONS:
            del self._published[next(iter(self._published))]
        self._renew()

    def forget(self, key: Key) -> None:
        """This peer publishes these weights no longer."""
        if self._published.pop(key, None) is not None:
            self._renew()

    async def find(self, round_index: int) -> tuple[Publication, ...]:
        """Who publishes what in a round, as any tracker knows; who links with a holder is offered the manifest."""
        answers = await asyncio.gather(*(session.find(round_index) for session in self._sessions))
        return tuple(dict.fromkeys(publication for found in answers for publication in found))

    async def close(self) -> None:
        """Takes leave of all trackers."""
        await asyncio.gather(*(session.close() for session in self._sessions))

    def _announcement(self) -> Announcement:
        return replace(self._me, progress=self._progress(), published=tuple(self._published.values()))

    def _renew(self) -> None:
        for session in self._sessions:
            session.renew()

    def _hear(self, tracker: str, word: Word) -> None:
        for event in self._referrals.hear(tracker, word):
            self._feed(event)
        self._answered.set()

    def _lose(self, tracker: str) -> None:
        for event in self._referrals.lose(tracker):
            self._feed(event)


def progress_of(store: ChunkStore, traffic: Traffic) -> Progress:
    """How far a peer is with the weights of the newest round that it holds any of."""
    held = store.keys()
    newest = max((key.round for key in held), default=0)
    holdings = [store.get(key) for key in held if key.round == newest]
    return Progress(
        round=newest,
        held_chunks=sum(int(holding.held.sum()) for holding in holdings if holding is not None),
        wanted_chunks=sum(holding.manifest.chunks for holding in holdings if holding is not None),
        sent_bytes=traffic.sent,
        received_bytes=traffic.received,
    )
