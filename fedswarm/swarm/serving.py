"""The uploads of one peer: who wants what it holds, who is answered, what is pushed and relayed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.agenda import Intention
from fedswarm.swarm.bitfield import runs_of
from fedswarm.swarm.choker import Candidate, Choker
from fedswarm.swarm.content import Content
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.instructions import Deliver
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import (
    Bitfield,
    Choke,
    Forget,
    Have,
    Interested,
    Lack,
    Load,
    Receipt,
    Relieve,
    Unchoke,
    Verdict,
)
from fedswarm.swarm.messages import Final as FinalDigests
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.news import News
from fedswarm.swarm.relay_push import RelayPush
from fedswarm.swarm.state import State
from fedswarm.swarm.super_seeding import SuperSeeding
from fedswarm.swarm.uploads import Chunk, Uploads

RECHOKE: Final = Intention("rechoke")
UPLOAD: Final = Intention("upload")
FORGOTTEN_REMEMBERED: Final = 1024
"""Weights of ours that we say are gone: who asks for others waits until they are published."""


class Serving:
    """Part of a :class:`~fedswarm.swarm.peer.Peer`."""

    def __init__(self, state: State, uploads: Uploads, news: News) -> None:
        self._state = state
        self._uploads = uploads
        self._news = news
        limits = state.limits
        self._choker = Choker(limits.upload_slots, limits.optimistic_rechokes, state.seed, state.me.peer)
        self._taken_bytes: dict[str, int] = {}
        self._pushes: dict[Key, RelayPush] = {}
        self._seedings: dict[Key, SuperSeeding] = {}
        self._scattered: set[Key] = set()
        self._forgotten: OrderedDict[Key, None] = OrderedDict()

    # ---- what is held ---------------------------------------------------------------------------------------------

    def _served(self, key: Key) -> Content | None:
        content = self._state.contents.get(key)
        return content if content is not None and content.shared else None

    def publish(self, content: Content, spreading: Spreading) -> None:
        """Begins to spread weights whose publisher this peer is, to those who asked for them already, too."""
        self._forgotten.pop(content.key, None)
        order = np.lexsort((content.ties, content.importance_rank)).tolist()
        if spreading is Spreading.PUSH:
            self._pushes[content.key] = RelayPush(content.manifest, order, self._state.limits)
        elif spreading is Spreading.SEED:
            self._seedings[content.key] = SuperSeeding(order, self._state.now_s)
        elif spreading is Spreading.SCATTER:
            self._scattered.add(content.key)
        self.welcome_waiting(content)

    def welcome_waiting(self, content: Content) -> None:
        """Answers those who said they are interested before we knew of the weights."""
        for neighbour in self._state.neighbours.values():
            if content.key in neighbour.wanted_here:
                self._show(neighbour, content)
                self._answer(neighbour)
        self.upload()

    def forget(self, key: Key) -> None:
        """Serves these weights no longer, and remembers for a while to say so if they are ours."""
        content = self._state.contents.get(key)
        if content is not None and key.publisher == self._state.me.peer:
            self._forgotten[key] = None
            while len(self._forgotten) > FORGOTTEN_REMEMBERED:
                self._forgotten.popitem(last=False)
        self._pushes.pop(key, None)
        self._seedings.pop(key, None)
        self._scattered.discard(key)
        self._uploads.forget(key)
        self._state.drop_news(key)
        for neighbour in self._state.neighbours.values():
            if neighbour.wanted_here.pop(key, 0) is None and content is not None:
                self._state.say(neighbour, Forget(key))

    def became_final(self, content: Content, index: int) -> None:
        """A chunk of weights that grow here can be asked for."""
        message = FinalDigests(content.key, index, (content.digests[index],))
        for neighbour in self._state.neighbours.values():
            if content.key in neighbour.wanted_here:
                self._state.say(neighbour, message)

    # ---- who wants it ---------------------------------------------------------------------------------------------

    def heard_interest(self, neighbour: Neighbour, key: Key) -> None:
        """A neighbour fetches these weights."""
        if key in self._forgotten:
            self._state.say(neighbour, Forget(key))
            return
        neighbour.remember_wish(key)
        content = self._served(key)
        if content is not None:
            self._show(neighbour, content)
        self._answer(neighbour)
        self._state.agenda.put_unless_earlier(self._state.now_s + self._state.limits.rechoke_s, RECHOKE)
        self.upload()

    def _show(self, neighbour: Neighbour, content: Content) -> None:
        """Tells a neighbour what there is to be had here, in the way these weights are spread."""
        push, seeding = self._pushes.get(content.key), self._seedings.get(content.key)
        if push is not None:
            push.join(neighbour.name, neighbour.uplink_bps, self._state.now_s)
            push.holds(neighbour.name, np.flatnonzero(content.member(neighbour.name).bits))
            self._state.say(neighbour, Interested(content.key))
        elif seeding is not None and not seeding.over:
            self._reveal(neighbour.name, content.key, seeding.join(neighbour.name, self._state.now_s))
        elif content.manifest.grows and content.manifest.publisher == self._state.me.peer:
            self._tell_digests(neighbour, content)
        elif content.held.count:
            self._state.say(neighbour, Bitfield(content.key, content.held.packed()))
        self._relay(neighbour, content, sorted(content.duties))

    def _tell_digests(self, neighbour: Neighbour, content: Content) -> None:
        for first, count in runs_of(content.digests):
            digests = tuple(content.digests[index] for index in range(first, first + count))
            self._state.say(neighbour, FinalDigests(content.key, first, digests))

    def _reveal(self, name: str, key: Key, indices: list[int]) -> None:
        neighbour = self._state.neighbours.get(name)
        if neighbour is not None and indices:
            self._state.say(neighbour, Have(key, tuple(runs_of(indices))))

    def heard_no_interest(self, neighbour: Neighbour, key: Key) -> None:
        """A neighbour has all it wants of these weights, or wants them no longer."""
        neighbour.wanted_here.pop(key, None)
        neighbour.news.pop(key, None)
        self._uploads.forget(key, [neighbour.name])
        push = self._pushes.get(key)
        if push is not None:
            push.complete(neighbour.name)
        if not neighbour.peer_interested and not neighbour.am_choking:
            neighbour.am_choking = True
            self._state.say(neighbour, Choke())
            self.rechoke()
        self.upload()

    def heard_holdings(self, neighbour: Neighbour, key: Key, indices: NDArray[np.intp]) -> None:
        """A neighbour holds these chunks, too: nobody need send them any more, and a push goes on by it."""
        push = self._pushes.get(key)
        if push is not None:
            push.holds(neighbour.name, indices)
        for index in indices.tolist():
            self._uploads.take_back(neighbour.name, Chunk(key, index))
        self.upload()

    def heard_load(self, neighbour: Neighbour, load: Load) -> None:
        """How a neighbour's uplink is doing."""
        neighbour.uplink_bps = load.uplink_bps or neighbour.uplink_bps
        neighbour.backlog_bytes = load.backlog_bytes
        for push in self._pushes.values():
            push.hears_load(neighbour.name, load.uplink_bps, load.backlog_bytes)

    def heard_relieve(self, neighbour: Neighbour, message: Relieve) -> None:
        """The publisher itself sends chunks that were ours to relay."""
        if neighbour.name == message.key.publisher:
            for index in message.indices:
                self._uploads.take_back(message.peer, Chunk(message.key, index))

    def link_down(self, neighbour: Neighbour) -> None:
        """A neighbour is gone; it is no longer among the neighbours."""
        self._uploads.drop(neighbour.name)
        self._taken_bytes.pop(neighbour.name, None)
        for push in self._pushes.values():
            push.leave(neighbour.name)
        for key, seeding in self._seedings.items():
            for other, indices in seeding.leave(neighbour.name).items():
                self._reveal(other, key, indices)
        if not neighbour.am_choking:
            self.rechoke()
        self.upload()

    # ---- requests -------------------------------------------------------------------------------------------------

    def heard_want(self, neighbour: Neighbour, key: Key, indices: tuple[int, ...]) -> None:
        """A neighbour asks for chunks; while it is choked its requests are void, as it is told."""
        if neighbour.am_choking:
            return
        content = self._served(key)
        lacking = []
        for index in indices:
            held = content is not None and index < content.manifest.chunks and content.held.bits[index]
            if (
                content is None
                or not held
                or not self._uploads.put(neighbour.name, Chunk(key, index), content.manifest.chunk_size(index))
            ):
                lacking.append(index)
        if lacking:
            self._state.say(neighbour, Lack(key, tuple(lacking)))
        self.upload()

    def heard_cancel(self, neighbour: Neighbour, key: Key, indices: tuple[int, ...]) -> None:
        """A neighbour has chunks from elsewhere."""
        for index in indices:
            self._uploads.take_back(neighbour.name, Chunk(key, index))

    def receipted(self, neighbour: Neighbour, receipts: tuple[Receipt, ...]) -> None:
        """A neighbour acknowledges frames."""
        for receipt in receipts:
            chunk = Chunk(receipt.key, receipt.index)
            if self._uploads.receipt(neighbour.name, chunk, self._state.now_s) is None:
                continue
            if receipt.verdict is Verdict.UNWANTED:
                continue
            self._delivered(neighbour, chunk)
        self.upload()
        self._news.tell_publishers()

    def _delivered(self, neighbour: Neighbour, chunk: Chunk) -> None:
        push, seeding = self._pushes.get(chunk.key), self._seedings.get(chunk.key)
        content = self._state.contents.get(chunk.key)
        if content is None or not chunk.index < content.manifest.chunks:
            return
        if push is not None:
            push.holds(neighbour.name, np.array([chunk.index]))
        if seeding is not None and not seeding.over:
            self._reveal(neighbour.name, chunk.key, seeding.take(neighbour.name, chunk.index, self._state.now_s))
            self._show_everything_if_over(content, seeding)

    def _show_everything_if_over(self, content: Content, seeding: SuperSeeding) -> None:
        if not seeding.over:
            return
        for neighbour in self._state.neighbours.values():
            if content.key in neighbour.wanted_here:
                self._state.say(neighbour, Bitfield(content.key, content.held.packed()))

    def stream_lost(self, neighbour: Neighbour) -> None:
        """Our data stream to a neighbour broke. What is lost again and again is only told of, to be asked for."""
        for chunk in self._uploads.lost(neighbour.name):
            content = self._served(chunk.key)
            if content is not None and content.held.bits[chunk.index]:
                self._state.say(neighbour, Lack(chunk.key, (chunk.index,)))
                self._state.say(neighbour, Have(chunk.key, ((chunk.index, 1),)))
        self.upload()

    # ---- choking --------------------------------------------------------------------------------------------------

    def _needs_no_slot(self, neighbour: Neighbour) -> bool:
        """Whether it wants something that is scattered: a sum waits for the last of those who fetch their slices."""
        return not self._scattered.isdisjoint(neighbour.wanted_here)

    def _answer(self, neighbour: Neighbour) -> None:
        """Unchokes a neighbour at once if that needs no decision."""
        taken = sum(1 for n in self._state.neighbours.values() if not n.am_choking and not self._needs_no_slot(n))
        if neighbour.am_choking and (self._needs_no_slot(neighbour) or self._choker.has_room(taken)):
            self._unchoke(neighbour)

    def _unchoke(self, neighbour: Neighbour) -> None:
        neighbour.am_choking = False
        self._state.say(neighbour, Unchoke())

    def rechoke(self) -> None:
        """Decides anew who is answered."""
        neighbours = self._state.neighbours
        candidates = [
            Candidate(neighbour.name, self._taken_since(neighbour.name), not neighbour.am_choking)
            for neighbour in neighbours.values()
            if neighbour.peer_interested and not self._needs_no_slot(neighbour)
        ]
        chosen = self._choker.decide(candidates)
        chosen |= {neighbour.name for neighbour in neighbours.values() if self._needs_no_slot(neighbour)}
        for neighbour in neighbours.values():
            if neighbour.am_choking and neighbour.name in chosen:
                self._unchoke(neighbour)
            elif not neighbour.am_choking and neighbour.name not in chosen:
                neighbour.am_choking = True
                self._uploads.clear_requests(neighbour.name)
                self._state.say(neighbour, Choke())
        if candidates and not self._uploads.busy:
            self._end_idle_seedings()
        if candidates:
            self._state.agenda.put_unless_earlier(self._state.now_s + self._state.limits.rechoke_s, RECHOKE)

    def _end_idle_seedings(self) -> None:
        for key, seeding in self._seedings.items():
            if not seeding.over:
                seeding.end_if_idle(self._state.now_s, self._state.limits.rechoke_s)
                self._show_everything_if_over(self._state.contents[key], seeding)

    def _taken_since(self, name: str) -> int:
        total = self._uploads.receipted_bytes(name)
        before = self._taken_bytes.get(name, 0)
        self._taken_bytes[name] = total
        return total - before

    # ---- sending --------------------------------------------------------------------------------------------------

    def take_duty(self, key: Key, index: int) -> None:
        """A chunk is ours to pass on, also when it came by another way before; :meth:`upload` is for the caller."""
        content = self._served(key)
        if content is None or not index < content.manifest.chunks or not content.held.bits[index]:
            return
        if publisher := self._state.neighbours.get(key.publisher):
            publisher.charged_us = True
        if index in content.duties:
            return  # it is on its way to all who want it, and goes to whoever comes later
        content.duties.add(index)
        for neighbour in self._state.neighbours.values():
            if key in neighbour.wanted_here:
                self._relay(neighbour, content, (index,))

    def _relay(self, neighbour: Neighbour, content: Content, indices: Iterable[int]) -> None:
        """Sends chunks that are ours to pass on to somebody who wants these weights, unless it holds them."""
        if neighbour.name == content.manifest.publisher:
            return
        member = content.members.get(neighbour.name)
        for index in indices:
            if member is None or not member.bits[index]:
                size_bytes = content.manifest.chunk_size(index)
                self._uploads.put(neighbour.name, Chunk(content.key, index), size_bytes, duty=True)

    def is_sending(self, neighbour: Neighbour) -> bool:
        """Whether a neighbour is to be sent something, or did not acknowledge it yet."""
        return self._uploads.has_work_for(neighbour.name)

    def upload(self) -> None:
        """Sends as much as may be under way: what waits first, then what a push has to give."""
        now_s = self._state.now_s
        self._uploads.look_for_stalled(now_s)
        while departures := self._uploads.next(now_s):
            for peer, chunk, relay in departures:
                self._state.out.append(Deliver(peer, chunk.key, chunk.index, relay))
        have_more = [self._push(self._state.contents[key], push) for key, push in self._pushes.items()]
        if not any(have_more):
            self._uploads.look_for_idleness(now_s)
        instants = [self._uploads.wake_s(now_s), *(push.next_term_s(now_s) for push in self._pushes.values())]
        due = [instant_s for instant_s in instants if instant_s is not None]
        if due:
            self._state.agenda.put(min(due), UPLOAD)

    def _push(self, content: Content, push: RelayPush) -> bool:
        """Sends what a push has to give; whether it may have more than may leave now."""
        now_s, chunk_bytes = self._state.now_s, content.manifest.chunk_bytes
        train_bytes = self._uploads.train_bytes(chunk_bytes)
        while able := self._uploads.able(dict.fromkeys(push.members, train_bytes), now_s):
            audience, most = len(self._state.neighbours), train_bytes // chunk_bytes
            choice = push.next(set(able), self._uploads.uplink.bps, audience, most, now_s)
            if choice is None:
                return False
            owner = self._state.neighbours.get(choice.relieved or "")
            if owner is not None:
                self._state.say(owner, Relieve(content.key, choice.peer, choice.indices))
            for index in choice.indices:
                chunk, size = Chunk(content.key, index), content.manifest.chunk_size(index)
                self._uploads.depart(choice.peer, chunk, size, now_s, relay=choice.relay)
                self._state.out.append(Deliver(choice.peer, content.key, index, choice.relay))
        return True
