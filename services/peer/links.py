"""The control links of a node: dials the peers it is introduced to, accepts those who dial, one link a pair."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

import grpc

from fedswarm.errors import WireError
from fedswarm.v1 import peer_pb2
from services.peer.link import HELLO_TIMEOUT_S, Link, Read, Write, check_hello, hello_message
from services.process.grpc_settings import CONTROL_OPTIONS

log = logging.getLogger(__name__)

LINK_METHOD: Final = "/fedswarm.v1.Peer/Link"

MAX_LINKS: Final = 1024

_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 5.0
_ATTEMPTS: Final = 6


class LinkOwner(Protocol):
    """Who is told about links."""

    def link_up(self, link: Link) -> None:
        """A link is open."""

    def link_down(self, link: Link) -> None:
        """A link that was up is gone."""

    def link_message(self, link: Link, message: peer_pb2.PeerMessage) -> None:
        """A message came."""

    def may_link(self, peer_id: str) -> bool:
        """Whether this peer is welcome."""
        ...


class Links:
    """All links of one node, by peer."""

    def __init__(self, peer_id: str, job: str, owner: LinkOwner) -> None:
        self._me = peer_id
        self._job = job
        self._owner = owner
        self._links: dict[str, Link] = {}
        self._dials: dict[str, asyncio.Task[None]] = {}
        self._target = ""

    def start(self, target: str) -> None:
        """From now on this node answers at ``target``."""
        self._target = target

    def get(self, peer_id: str) -> Link | None:
        """The open link to a peer."""
        return self._links.get(peer_id)

    def dial(self, peer_id: str, target: str) -> asyncio.Event | None:
        """Keeps a link to a peer from this side; the event is set after the first attempt, good or bad."""
        running = self._dials.get(peer_id)
        if peer_id in self._links or (running is not None and not running.done()) or not self._owner.may_link(peer_id):
            return None
        tried = asyncio.Event()
        self._dials[peer_id] = asyncio.create_task(self._keep(peer_id, target, tried), name=f"link to {peer_id}")
        return tried

    def drop(self, peer_id: str, reason: str) -> None:
        """Ends the link to a peer, and attempts to open one."""
        self.stop_dialling(peer_id)
        link = self._links.get(peer_id)
        if link is not None:
            link.close(reason)

    def stop_dialling(self, peer_id: str) -> None:
        """The peer is said to have left: an open link is kept, a lost one is not renewed."""
        if peer_id not in self._links and peer_id in self._dials:
            self._dials[peer_id].cancel()

    async def close(self) -> None:
        """Says goodbye to all."""
        for link in list(self._links.values()):
            link.close("leaving")
        if self._links:
            await asyncio.sleep(0.05)
        for task in self._dials.values():
            task.cancel()
        await asyncio.gather(*self._dials.values(), return_exceptions=True)

    async def accept(self, context: grpc.aio.ServicerContext[peer_pb2.PeerMessage, peer_pb2.PeerMessage]) -> None:
        """Serves a link that another peer dialled; returns when it ends."""
        try:
            first = await asyncio.wait_for(context.read(), HELLO_TIMEOUT_S)
            address = check_hello(first, self._job, self._me)
        except (WireError, TimeoutError) as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error) or "no hello came")
        await context.write(hello_message(self._job, self._me, self._target))
        link = Link(address.peer_id, address.target, dialled=False)
        if self._adopt(link):
            await self._carry(link, context.read, context.write)
        else:
            await context.write(peer_pb2.PeerMessage(goodbye=peer_pb2.Goodbye(reason="not welcome, or linked already")))

    def _adopt(self, link: Link) -> bool:
        """Takes the new link in place of an old one, unless both sides dialled at once and ours is the one to stay."""
        full = len(self._links) >= MAX_LINKS and link.peer_id not in self._links
        if full or not self._owner.may_link(link.peer_id):
            return False
        old = self._links.get(link.peer_id)
        if old is not None:
            both_dialled = old.dialled != link.dialled and old.target == link.target
            ours_stays = old.dialled == (self._me < link.peer_id)
            if both_dialled and ours_stays:
                return False
            del self._links[link.peer_id]
            self._owner.link_down(old)
            old.close()
        self._links[link.peer_id] = link
        self._owner.link_up(link)
        return True

    async def _carry(self, link: Link, read: Read, write: Write) -> None:
        try:
            await link.run(read, write, lambda message: self._owner.link_message(link, message))
        finally:
            if self._links.get(link.peer_id) is link:
                del self._links[link.peer_id]
                self._owner.link_down(link)

    async def _keep(self, peer_id: str, target: str, tried: asyncio.Event) -> None:
        """Dials until the link stands, again when it breaks, and gives up after a row of failures."""
        failures = 0
        while failures < _ATTEMPTS and self._owner.may_link(peer_id):
            if peer_id in self._links:
                break  # the other side dialled meanwhile
            try:
                stood = await self._dial_once(target, tried)
                failures = 0 if stood else failures + 1
            except (grpc.aio.AioRpcError, WireError, TimeoutError) as error:
                failures += 1
                reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                log.debug("link to %s at %s: %s", peer_id, target, reason)
            finally:
                tried.set()
            await asyncio.sleep(min(_FIRST_RETRY_S * 2**failures, _LAST_RETRY_S))

    async def _dial_once(self, target: str, tried: asyncio.Event) -> bool:
        """One link from hello to its end; whether it stood at all."""
        async with grpc.aio.insecure_channel(target, options=CONTROL_OPTIONS) as channel:
            dial: grpc.aio.StreamStreamMultiCallable[peer_pb2.PeerMessage, peer_pb2.PeerMessage] = (
                channel.stream_stream(
                    LINK_METHOD,
                    request_serializer=peer_pb2.PeerMessage.SerializeToString,
                    response_deserializer=peer_pb2.PeerMessage.FromString,
                )
            )
            call = dial()
            try:
                await call.write(hello_message(self._job, self._me, self._target))
                address = check_hello(await asyncio.wait_for(call.read(), HELLO_TIMEOUT_S), self._job, self._me)
                link = Link(address.peer_id, address.target, dialled=True)
                if not self._adopt(link):
                    return False
                tried.set()
                await self._carry(link, call.read, call.write)
                return True
            finally:
                call.cancel()
