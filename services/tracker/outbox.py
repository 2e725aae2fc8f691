"""What a peer is to hear and has not read yet: the newest word about each other peer, so a slow reader costs little."""

from __future__ import annotations

import asyncio

from fedswarm.swarm.introductions import Notice
from fedswarm.swarm.messages import Address
from fedswarm.v1 import common_pb2, tracker_pb2


class Outbox:
    """News for the peer of one lease."""

    def __init__(self, renew_within_s: float) -> None:
        self._renew_within_ms = int(renew_within_s * 1000)
        self._news: dict[str, Address | None] = {}
        self._awake = asyncio.Event()
        self._closed = False

    def put(self, notice: Notice) -> None:
        """Adds news; whatever was waiting about the same peers is outdated."""
        self._news.update(dict.fromkeys(notice.left))
        self._news.update((address.peer, address) for address in notice.joined)
        self._awake.set()

    def answer(self) -> None:
        """Says something even if there is no news."""
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
            joined=[address_to_proto(address) for address in news.values() if address is not None],
            left=[peer for peer, address in news.items() if address is None],
            renew_within_ms=self._renew_within_ms,
        )


def address_to_proto(address: Address) -> common_pb2.PeerAddress:
    """The message for an address."""
    return common_pb2.PeerAddress(peer_id=address.peer, target=address.target)
