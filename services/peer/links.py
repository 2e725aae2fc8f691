"""The control links of a node: dials whom it is told to, accepts those who dial, one link a pair."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import grpc

from fedswarm.errors import WireError
from fedswarm.swarm.events import DialFailed, Event, LinkDown, LinkUp, Misbehaved, Received
from fedswarm.swarm.handshake import PROTOCOL, checked_hello, newcomer_stays
from fedswarm.swarm.messages import Address, Hello, Message
from fedswarm.swarm.wire import decode_letter, encode_letter
from services.peer.link import Link, Wire
from services.peer.traffic import Meter
from services.process.grpc_settings import CONTROL_OPTIONS

log = logging.getLogger(__name__)

LINK_METHOD: Final = "/fedswarm.v1.Peer/Link"
HELLO_TIMEOUT_S: Final = 5.0

_ATTEMPTS: Final = 2
_FIRST_RETRY_S: Final = 0.1


class Links:
    """All links of one node, by peer.

    ``feed`` is told of links that come and go and of what is heard on them; ``welcomes`` is asked before one is taken.
    """

    def __init__(
        self,
        peer_id: str,
        job: str,
        uplink_bps: int,
        meter: Meter,
        feed: Callable[[Event], None],
        welcomes: Callable[[str], bool],
    ) -> None:
        self._meter = meter
        self._me = peer_id
        self._job = job
        self._uplink_bps = uplink_bps
        self._feed = feed
        self._welcomes = welcomes
        self._links: dict[str, Link] = {}
        self._dials: dict[str, asyncio.Event] = {}  # set once it is decided what becomes of the dial
        self._tasks: dict[asyncio.Task[None], str] = {}  # links that we dialled, or are dialling
        self._hello: Hello | None = None

    def start(self, target: str) -> None:
        """From now on this node answers at ``target``."""
        self._hello = Hello(PROTOCOL, self._job, Address(self._me, target), self._uplink_bps)

    def names(self) -> tuple[str, ...]:
        """Who is linked now."""
        return tuple(self._links)

    def get(self, peer: str) -> Link | None:
        """The open link to a peer."""
        return self._links.get(peer)

    async def settled(self, peer: str) -> Link | None:
        """The link to a peer; awaited while we dial it, for whoever answers knows first that the link stands."""
        if peer not in self._links and peer in self._dials:
            await self._dials[peer].wait()
        return self._links.get(peer)

    def dial(self, peer: str, target: str) -> None:
        """Opens a link to a peer, unless there is one or one is being opened."""
        if peer in self._links or peer in self._dials:
            return
        self._dials[peer] = asyncio.Event()
        task = asyncio.create_task(self._open(peer, target), name=f"link to {peer}")
        self._tasks[task] = peer
        task.add_done_callback(self._tasks.pop)

    def hang_up(self, peer: str, reason: str) -> None:
        """Ends the link to a peer, and any attempt to open one."""
        link = self._links.pop(peer, None)
        if link is not None:
            link.close(reason)
        if peer in self._dials:
            for task in [task for task, dialled in self._tasks.items() if dialled == peer]:
                task.cancel()

    async def close(self, reason: str) -> None:
        """Ends all links; waits for their goodbyes, a moment at most."""
        links = list(self._links.values())
        for peer in [*self._links, *self._dials]:
            self.hang_up(peer, reason)
        await asyncio.gather(*(link.closed.wait() for link in links))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- answering --------------------------------------------------------------------------------------------------

    async def accept(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Serves a link that another peer dialled; returns when it ends."""
        if self._hello is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"peer {self._me!r} is still starting")
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = self._checked(await context.read())
        except (WireError, TimeoutError) as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error) or "no hello came")
        link = Link(hello, dialled=False, meter=self._meter)
        if not self._adopt(link):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"{self._me!r} does not want this link, or has another")
        await self._carry(link, context, None)

    def _checked(self, letter: object) -> Hello:
        """The hello in the first letter of the other side; raises :class:`WireError`."""
        messages = decode_letter(letter) if isinstance(letter, bytes) else []
        if len(messages) != 1:
            raise WireError(f"a link must begin with one hello, not with {len(messages)} messages")
        return checked_hello(messages[0], job=self._job, me=self._me)

    # ---- dialling ---------------------------------------------------------------------------------------------------

    async def _open(self, peer: str, target: str) -> None:
        """Dials until the link stands, then carries it; gives up after a row of failures."""
        reason = ""
        try:
            for attempt in range(_ATTEMPTS):
                if attempt:
                    await asyncio.sleep(_FIRST_RETRY_S * 2**attempt)
                if peer in self._links:
                    return  # the other side dialled meanwhile
                try:
                    await self._dial_once(peer, target)
                    return
                except grpc.aio.AioRpcError as error:
                    reason = f"{target} answers {error.code().name}: {error.details()}"
                except (WireError, TimeoutError) as error:
                    reason = str(error) or f"{target} does not answer within {HELLO_TIMEOUT_S:.0f} s"
                log.debug("no link to %s: %s", peer, reason)
        finally:
            self._decided(peer)
        if peer not in self._links:
            self._feed(DialFailed(peer, reason))

    async def _dial_once(self, peer: str, target: str) -> None:
        """One link from hello to its end."""
        async with grpc.aio.insecure_channel(target, options=CONTROL_OPTIONS) as channel:
            call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(LINK_METHOD)()
            try:
                async with asyncio.timeout(HELLO_TIMEOUT_S):
                    await call.write(self._hello_letter())
                    hello = self._checked(await call.read())
                if hello.address.peer != peer:
                    raise WireError(f"{hello.address.peer!r} answers at {target}, not {peer!r}")
                link = Link(hello, dialled=True, meter=self._meter)
                if not self._adopt(link):
                    raise WireError(f"the link to {peer!r} is not wanted, or there is another")
                self._decided(peer)
                await self._carry(link, call, call.done_writing)
            finally:
                call.cancel()

    def _decided(self, peer: str) -> None:
        decided = self._dials.pop(peer, None)
        if decided is not None:
            decided.set()

    # ---- both -------------------------------------------------------------------------------------------------------

    def _hello_letter(self) -> bytes:
        assert self._hello is not None, "a node dials once it has started"
        letter = encode_letter([self._hello])
        self._meter.control_sent += len(letter)
        return letter

    def _adopt(self, link: Link) -> bool:
        """Takes a new link, in place of an old one unless that is the one to stay."""
        peer = link.peer
        if not self._welcomes(peer):
            return False
        old = self._links.get(peer)
        if old is not None:
            moved = old.hello.address != link.hello.address
            if not newcomer_stays(self._me, peer, moved=moved, old_dialled=old.dialled, new_dialled=link.dialled):
                return False
            self._lost(old, "a newer link takes its place")
            old.close("a newer link takes its place")
        self._links[peer] = link
        self._feed(LinkUp(link.hello))
        return True

    async def _carry(self, link: Link, wire: Wire, last_word: Callable[[], Awaitable[None]] | None) -> None:
        peer, reason = link.peer, "it was cut off"
        try:
            if not link.dialled:
                await wire.write(self._hello_letter())
            reason = await link.run(wire, partial(self._hear, link), last_word)
        except WireError as error:
            reason = f"broke the protocol: {error}"
            self._feed(Misbehaved(peer, reason))
        finally:
            self._lost(link, reason)
            link.closed.set()

    def _hear(self, link: Link, message: Message) -> None:
        """What is said on a link that ended here, or that another replaced, says nothing of the present one."""
        if self._links.get(link.peer) is link:
            self._feed(Received(link.peer, message))

    def _lost(self, link: Link, reason: str) -> None:
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
            self._feed(LinkDown(link.peer, reason))
