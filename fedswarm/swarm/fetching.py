"""The downloads of one peer: what is asked for, who is late, what arrived, and when a fetch is done or lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.randomness import generator
from fedswarm.swarm.agenda import Intention
from fedswarm.swarm.bitfield import Bitfield
from fedswarm.swarm.content import NEVER_S, Content, Fault, Fetch, wanted_chunks
from fedswarm.swarm.events import FetchWanted, FrameArrived
from fedswarm.swarm.instructions import Accept, Acknowledge, Completed, Expired, Failed
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Final as FinalDigests
from fedswarm.swarm.messages import Interested, NotInterested, Runs, Verdict
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.requests import Requests
from fedswarm.swarm.state import State
from fedswarm.swarm.strays import fault_of

LOOK_AROUND: Final = Intention("look around")
LOOK_EVERY_S: Final = 0.1
FILL: Final = Intention("fill")
FILL_AFTER_S: Final = 0.02
REFILL_LOAD: Final = 0.75
"""A neighbour of whose window more than this share is in use is not asked again yet: few large requests cost less."""


class Fetching:
    """Part of a :class:`~fedswarm.swarm.peer.Peer`.

    Args:
        state: what the parts share.
        seek: has the peer linked with a publisher at an address.
        ban: ends everything with a neighbour, for a reason.
    """

    def __init__(self, state: State, seek: Callable[[str, str], None], ban: Callable[[str, str], None]) -> None:
        self._state = state
        self._requests = Requests(state)
        self._seek = seek
        self._ban = ban
        self._announcers: set[str] = set()

    # ---- fetches --------------------------------------------------------------------------------------------------

    def want(self, event: FetchWanted) -> None:
        """Begins a fetch, or changes what one wants; chunks held already stay.

        Raises :class:`WireError` for chunks that do not exist.
        """
        state, manifest = self._state, event.manifest
        wanted = wanted_chunks(manifest, event.indices)
        content = self.content(manifest)
        deadline_s = NEVER_S if event.deadline_s is None else event.deadline_s
        if not event.swarm:  # nobody to trade with; and sums of several that come in one order are final early
            content.ties = np.arange(manifest.chunks) / manifest.chunks
        content.fetch = Fetch(wanted, event.swarm, deadline_s, state.now_s, event.publisher_target)
        state.agenda.cancel(Intention("deadline", manifest.key))
        if self._finished(content):
            return
        for neighbour in state.neighbours.values():
            neighbour.given_up = False
            self._show_interest(neighbour, content)
        if deadline_s < NEVER_S:
            state.agenda.put(deadline_s, Intention("deadline", manifest.key))
        state.agenda.put_unless_earlier(state.now_s + LOOK_EVERY_S, LOOK_AROUND)
        if manifest.publisher in state.banned:
            self.publisher_gone(manifest.publisher, "was banned for sending wrong bytes", corrupt=True)
        elif event.publisher_target and manifest.publisher not in state.neighbours:
            self._seek(manifest.publisher, event.publisher_target)

    def content(self, manifest: Manifest) -> Content:
        """What is known of these weights, made when first needed, or when others come under their name."""
        known = self._state.contents.get(manifest.key)
        if known is None or known.manifest.root != manifest.root:
            if known is not None:
                self._end(known)
                self._state.drop_news(manifest.key)
            purpose = f"chunk order at {self._state.me.peer} of {manifest.source}"
            draws = generator(self._state.seed, manifest.round, purpose)
            known = self._state.contents[manifest.key] = Content(manifest, draws.random(manifest.chunks))
        return known

    def forget(self, key: Key) -> None:
        """A running fetch ends without a word."""
        content = self._state.contents.get(key)
        if content is not None:
            self._end(content)
            self._drop(content)

    def expire(self, key: Key) -> None:
        """The deadline of a fetch is there: it ends with what it has."""
        content = self._state.contents.get(key)
        if content is not None and content.fetch is not None:
            self._end(content)
            self._state.out.append(Expired(key))

    def _end(self, content: Content) -> None:
        fetch, content.fetch = content.fetch, None
        if fetch is None:
            return
        self._requests.take_all_back(content)
        self._state.agenda.cancel(Intention("deadline", content.key))
        for neighbour in self._state.neighbours.values():
            if content.key in neighbour.wanted_there:
                neighbour.stop_wanting(content.key, self._state.now_s)
                self._state.say(neighbour, NotInterested(content.key))
        if not fetch.swarm:
            self._drop(content)  # nobody is served what was fetched alone

    def _drop(self, content: Content) -> None:
        self._state.contents.pop(content.key, None)
        for neighbour in self._state.neighbours.values():
            neighbour.cancelled = {asked for asked in neighbour.cancelled if asked[0] != content.key}
            neighbour.forget_repeats(content.key)

    def _finished(self, content: Content) -> bool:
        if content.missing.any():
            return False
        self._end(content)
        self._state.out.append(Completed(content.key))
        return True

    # ---- links ----------------------------------------------------------------------------------------------------

    def link_up(self, neighbour: Neighbour) -> None:
        """Somebody new to ask."""
        for content in self._state.fetching():
            self._show_interest(neighbour, content)

    def link_down(self, neighbour: Neighbour) -> None:
        """A neighbour will answer nothing any more; it is no longer among the neighbours."""
        self._requests.void_all(neighbour)
        for content in self._state.contents.values():
            content.remove_member(neighbour.name, was_counted=not neighbour.stalled)
            fetch = content.fetch
            if fetch is not None and content.manifest.publisher == neighbour.name:
                fetch.pushed = False
                if not fetch.swarm:
                    self._seek(neighbour.name, fetch.publisher_target or neighbour.target)
        self._requests.fill(self._state.neighbours.values())

    def needs(self, neighbour: Neighbour) -> bool:
        """Whether it owes us chunks, publishes what we fetch, or alone among those who answer holds some of it."""
        return bool(neighbour.asked) or any(one.depends_on(neighbour.name) for one in self._state.fetching())

    def publisher_gone(self, publisher: str, reason: str, *, corrupt: bool = False) -> None:
        """A publisher cannot be asked any more: neighbours must have the rest, or the fetch fails."""
        for content in list(self._state.fetching()):
            if content.manifest.publisher == publisher:
                self._do_without_publisher(content, Fault(f"{publisher} {reason}", corrupt))

    def _do_without_publisher(self, content: Content, fault: Fault) -> None:
        if content.fetch is not None:
            content.fetch.publisher_fault = content.fetch.publisher_fault or fault
            content.fetch.pushed = False
            self._fail_if_hopeless(content)

    def _show_interest(self, neighbour: Neighbour, content: Content) -> None:
        fetch = content.fetch
        assert fetch is not None
        if fetch.swarm or neighbour.name == content.manifest.publisher:
            neighbour.wanted_there.add(content.key)
            neighbour.forget_repeats(content.key)
            self._state.say(neighbour, Interested(content.key))

    # ---- what neighbours say --------------------------------------------------------------------------------------

    def heard_bitfield(self, neighbour: Neighbour, key: Key, packed: bytes) -> NDArray[np.intp]:
        """All chunks that a neighbour holds: those not known of yet; raises :class:`WireError` for impossible ones."""
        return self._heard(neighbour, key, lambda member: member.add_packed(packed))

    def heard_have(self, neighbour: Neighbour, key: Key, runs: Runs) -> NDArray[np.intp]:
        """More chunks that a neighbour holds: those not known of yet; raises :class:`WireError` for impossible ones."""
        return self._heard(neighbour, key, lambda member: member.add_runs(runs))

    def heard_final(self, neighbour: Neighbour, message: FinalDigests) -> None:
        """Digests of final chunks, by their publisher; raises :class:`WireError` for chunks that do not exist."""
        content = self._state.contents.get(message.key)
        if content is None or neighbour.name != content.manifest.publisher or not content.manifest.grows:
            return
        self.heard_have(neighbour, message.key, ((message.first, len(message.digests)),))
        for index, digest in enumerate(message.digests, message.first):
            content.digests.setdefault(index, digest)

    def _heard(self, neighbour: Neighbour, key: Key, add: Callable[[Bitfield], NDArray[np.intp]]) -> NDArray[np.intp]:
        content = self._state.contents.get(key)
        if content is None or neighbour.name in content.distrusted:
            return np.zeros(0, dtype=np.intp)
        fresh = add(content.member(neighbour.name))
        if not neighbour.stalled:
            content.note_held(fresh, self._state.now_s)
        if content.fetch is not None and not content.fetch.pushed and len(fresh):
            # A moment later, so that chunks that several neighbours announce at once are seen by their rarity.
            self._announcers.add(neighbour.name)
            self._state.agenda.put_unless_earlier(self._state.now_s + FILL_AFTER_S, FILL)
        return fresh

    def heard_publisher_pushes(self, neighbour: Neighbour, key: Key) -> None:
        """The publisher wants to hear what we hold: it pushes, so that only what is overdue is asked for."""
        content = self._state.contents.get(key)
        if content is not None and content.fetch is not None and content.manifest.publisher == neighbour.name:
            content.fetch.pushed = True

    def heard_forget(self, neighbour: Neighbour, key: Key) -> None:
        """A neighbour no longer holds these weights."""
        content = self._state.contents.get(key)
        if content is None:
            return
        for asked_key, index in list(neighbour.asked):
            if asked_key == key:
                self.heard_lack(neighbour, key, (index,))
        content.remove_member(neighbour.name, was_counted=not neighbour.stalled)
        if neighbour.name == content.manifest.publisher:
            self._do_without_publisher(content, Fault(f"{neighbour.name} no longer publishes them", corrupt=False))

    def heard_lack(self, neighbour: Neighbour, key: Key, indices: tuple[int, ...]) -> None:
        """A neighbour cannot answer these requests."""
        content = self._state.contents.get(key)
        for index in indices:
            asked = neighbour.take_answer(key, index, self._state.now_s)
            if content is None or asked is None:
                continue
            self._answers_again(neighbour)
            content.requests[index] -= not asked.released
            if content.member(neighbour.name).remove(index) and not neighbour.stalled:
                content.rarity[index] -= 1
        self._requests.fill(self._state.neighbours.values())

    def heard_choke(self, neighbour: Neighbour) -> None:
        """Requests not answered yet are void."""
        neighbour.peer_choking = True
        self._requests.void_all(neighbour)
        self._requests.fill(self._state.neighbours.values())

    def heard_unchoke(self, neighbour: Neighbour) -> None:
        """Requests are answered from now on, also by whoever stalled before."""
        neighbour.peer_choking = False
        self._answers_again(neighbour)
        self._requests.fill([neighbour])

    # ---- chunks ---------------------------------------------------------------------------------------------------

    def arrived(self, neighbour: Neighbour, event: FrameArrived) -> Content | None:
        """Takes a frame in; returns the weights it belongs to if the chunk was right and new."""
        key, index, now_s = event.key, event.index, self._state.now_s
        asked = neighbour.take_answer(key, index, now_s)
        if asked is not None:
            neighbour.pace.arrived(now_s - asked.sent_s, len(event.payload))
        expected = asked is not None or (key, index) in neighbour.cancelled
        neighbour.cancelled.discard((key, index))
        if expected:
            self._answers_again(neighbour)
        content = self._state.contents.get(key)
        if content is not None and asked is not None:
            content.requests[index] -= not asked.released
        verdict = self._judge(content, event)
        if verdict is None and content is not None and content.may_be_misled(neighbour.name, index):
            self._distrust(neighbour, content)
            verdict = Verdict.UNWANTED
        if verdict is None:
            self._ban(neighbour.name, f"sent chunk {index} of {key} with a wrong digest")
            return None
        self._state.out.append(Acknowledge(neighbour.name, key, index, verdict))
        if verdict is not Verdict.ACCEPTED or content is None:
            fault = None if expected else fault_of(neighbour, content, event, verdict, now_s)
            if fault is not None:
                self._ban(neighbour.name, fault)
            self._requests.fill([neighbour])
            return None
        self._accept(neighbour, content, index)
        return content

    def _judge(self, content: Content | None, event: FrameArrived) -> Verdict | None:
        """What to make of a frame; ``None`` for a wrong chunk."""
        if content is None:
            return Verdict.UNWANTED
        if not 0 <= event.index < content.manifest.chunks:
            return None
        if content.held.bits[event.index]:
            return Verdict.DUPLICATE
        if content.fetch is None or not content.fetch.wanted[event.index]:
            return Verdict.UNWANTED
        if content.manifest.grows and event.index not in content.digests:
            return Verdict.UNWANTED
        return Verdict.ACCEPTED if content.verify(event.index, event.payload) else None

    def _distrust(self, neighbour: Neighbour, content: Content) -> None:
        """Asks a neighbour for nothing more of these weights."""
        content.distrusted.add(neighbour.name)
        self._requests.take_back_from(neighbour, content)
        content.remove_member(neighbour.name, was_counted=not neighbour.stalled)

    def _accept(self, neighbour: Neighbour, content: Content, index: int) -> None:
        fetch, now_s = content.fetch, self._state.now_s
        assert fetch is not None
        content.held.add_run(index, 1)
        fetch.progress_s = now_s
        member = content.member(neighbour.name)
        if not member.bits[index]:
            fresh = member.add_run(index, 1)
            if not neighbour.stalled:
                content.note_held(fresh, now_s)
        self._state.out.append(Accept(content.key, index))
        self._requests.take_back(content, index, but=neighbour.name)

    def go_on(self, content: Content, neighbour: Neighbour) -> None:
        """After a chunk was accepted and passed on: ends the fetch, or asks for more, several chunks at a time."""
        if self._finished(content) or neighbour.load > REFILL_LOAD:
            return
        if content.fetch is not None and content.fetch.pushed:
            return  # what is overdue is asked for when we look around
        self._requests.fill([neighbour])

    # ---- time -----------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Asks those who announced something for as much as may be asked."""
        announcers, self._announcers = self._announcers, set()
        neighbours = self._state.neighbours
        self._requests.fill([neighbours[name] for name in sorted(announcers & neighbours.keys())])

    def look_around(self) -> None:
        """Regularly while a fetch runs: who is late, what is overdue, what cannot be finished."""
        for neighbour in list(self._state.neighbours.values()):
            self._look_at(neighbour)
        for content in list(self._state.fetching()):
            self._fail_if_hopeless(content)
        self._requests.fill(self._state.neighbours.values())
        self._requests.end_game()
        if any(True for _ in self._state.fetching()):
            self._state.agenda.put_unless_earlier(self._state.now_s + LOOK_EVERY_S, LOOK_AROUND)

    def _look_at(self, neighbour: Neighbour) -> None:
        silent_s = neighbour.silent_s(self._state.now_s)
        if silent_s > self._state.limits.silence_s:
            self._stall(neighbour)
            neighbour.given_up = True
            self._requests.void_all(neighbour)
            self.publisher_gone(neighbour.name, f"answered nothing for {silent_s:.0f} s")
        elif silent_s > neighbour.pace.timeout_s:
            self._stall(neighbour)
        elif not neighbour.asked and not neighbour.given_up:
            self._answers_again(neighbour)  # a choke or the end of a fetch freed it of what it owed

    def _stall(self, neighbour: Neighbour) -> None:
        if not neighbour.stalled:
            self._requests.release(neighbour)
            neighbour.stalled = True
            for content in self._state.contents.values():
                content.discount(neighbour.name, counted=False)

    def _answers_again(self, neighbour: Neighbour) -> None:
        neighbour.given_up = False
        if neighbour.stalled:
            neighbour.stalled = False
            for content in self._state.contents.values():
                content.discount(neighbour.name, counted=True)

    def _fail_if_hopeless(self, content: Content) -> None:
        """Ends a fetch whose publisher is gone when nobody is left who might hold the rest."""
        fetch, state = content.fetch, self._state
        if fetch is None:
            return  # it ended with another one of the same publisher
        starving = state.now_s - fetch.progress_s > state.limits.starvation_s
        if fetch.swarm and (content.rarity[content.verifiable_missing] > 0).any():
            return
        if fetch.publisher_fault is None:
            self._look_for_publisher(content, fetch, starving)
            return
        if fetch.swarm and state.neighbours and not starving:
            return
        missing = int(content.missing.sum())
        lacking = f"{missing} of {content.manifest.chunks} chunks are missing"
        reason = f"{content.key}: {lacking} and {fetch.publisher_fault.reason}"
        corrupt = fetch.publisher_fault.corrupt
        self._end(content)
        state.out.append(Failed(content.key, reason, corrupt))

    def _look_for_publisher(self, content: Content, fetch: Fetch, starving: bool) -> None:
        """When neighbours bring nothing, the publisher itself is sought; a fetch without its address is given up."""
        publisher, limits = content.manifest.publisher, self._state.limits
        if fetch.pushed and self._state.now_s - fetch.progress_s > limits.silence_s:
            self.publisher_gone(publisher, f"pushed nothing for {limits.silence_s:g} s")
            return
        if not starving or publisher in self._state.neighbours:
            return
        if fetch.publisher_target:
            self._seek(publisher, fetch.publisher_target)
        elif fetch.deadline_s == NEVER_S:
            self.publisher_gone(publisher, "is not linked with anybody who answers")
