"""What a peer is to hear and has not read yet: the newest word about each other peer, so a slow reader costs little."""

from __future__ import annotations

import asyncio
from enum import Enum

from fedswarm.swarm.introductions import Notice
from fedswarm.swarm.messages import Address
from fedswarm.v1 import common_pb2, tracker_pb2


class Standing(Enum):
    """What a peer hears of another beside an address to dial."""

    LEFT = "left"
    EXPECTED = "expected"


class Outbox:
    """News for the peer of one lease; ``whole`` once the tracker knows all peers of the job."""

    def __init__(self, renew_within_s: float, *, whole: bool) -> None:
        self._renew_within_ms = int(renew_within_s * 1000)
        self._whole = whole
        self._news: dict[str, Address | Standing] = {}
        self._awake = asyncio.Event()
        self._closed = False

    def put(self, notice: Notice) -> None:
        """Adds news; whatever was waiting about the same peers is outdated."""
        self._news.update(dict.fromkeys(notice.left, Standing.LEFT))
        self._news.update(dict.fromkeys(notice.expected, Standing.EXPECTED))
        self._news.update((address.peer, address) for address in notice.joined)
        self._awake.set()

    def answer(self, *, whole: bool) -> None:
        """Says something even if there is no news."""
        self._whole = whole
        self._awake.set()

    def close(self) -> None:
        """Nothing more is said after what waits now."""
        self._closed = True
        self._awake.set()

    async def take(self) -> tracker_pb2.Introduction | None:
        """All that waits, as soon as there is something; ``None`` after the end."""
        await self._awake.wait()
        if self._closed and not self._news:
            return None
        if not self._closed:
            self._awake.clear()
        news, self._news = self._news, {}
        return tracker_pb2.Introduction(
            joined=[address_to_proto(word) for word in news.values() if isinstance(word, Address)],
            left=[peer for peer, word in news.items() if word is Standing.LEFT],
            expected=[peer for peer, word in news.items() if word is Standing.EXPECTED],
            whole=self._whole,
            renew_within_ms=self._renew_within_ms,
        )


def address_to_proto(address: Address) -> common_pb2.PeerAddress:
    """The message for an address."""
    return common_pb2.PeerAddress(peer_id=address.peer, target=address.target)
