"""Requests made, repeated and given up: the picker's choices applied to the windows of the neighbours."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.content import NEVER_S, Content
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Cancel, Want
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.picker import Candidate, pick
from fedswarm.swarm.state import State


class Requests:
    """All requests of one peer."""

    def __init__(self, state: State) -> None:
        self._state = state

    def fill(self, neighbours: Collection[Neighbour]) -> None:
        """Asks these neighbours for as much as their windows allow, always the least loaded first."""
        ready = {n.name: n for n in neighbours if not n.peer_choking and not n.stalled}
        if not ready:
            return
        sought = [
            (content, self._allowed(content), self._theta(content))
            for content in self._state.fetching()
            if _may_come_from(content, ready)
        ]
        sought = [entry for entry in sought if entry[1].any()]
        queue = [(neighbour.load, name) for name, neighbour in ready.items()] if sought else []
        heapq.heapify(queue)
        wants: dict[tuple[str, Key], list[int]] = defaultdict(list)
        while queue:
            _, name = heapq.heappop(queue)
            best = self._best(ready[name], sought)
            if best is None:
                continue
            content, allowed, index = best
            allowed[index] = False
            if self._ask(ready[name], content, index):
                wants[name, content.key].append(index)
            heapq.heappush(queue, (ready[name].load, name))
        for (name, key), indices in wants.items():
            self._state.say(ready[name], Want(key, tuple(indices)))

    def _allowed(self, content: Content) -> NDArray[np.bool_]:
        """What may be asked for; of pushed weights, what is overdue (rule 2 of the picker)."""
        fetch, now_s = content.fetch, self._state.now_s
        assert fetch is not None
        allowed = content.askable()
        if fetch.pushed:
            quiet = now_s - fetch.progress_s > self._state.limits.push_quiet_s
            limits = self._state.limits
            patience_s = limits.push_quiet_s if quiet else limits.push_patience_s
            allowed &= content.known_s + patience_s <= now_s
        return allowed

    def _theta(self, content: Content) -> float:
        fetch = content.fetch
        assert fetch is not None
        if fetch.deadline_s == NEVER_S:
            return 0.0
        wanted, missing = int(fetch.wanted.sum()), int(content.missing.sum())
        return fetch.urgency(self._state.now_s, missing, wanted - missing)

    @staticmethod
    def _best(
        neighbour: Neighbour, sought: list[tuple[Content, NDArray[np.bool_], float]]
    ) -> tuple[Content, NDArray[np.bool_], int] | None:
        found: list[tuple[Candidate, int]] = []
        for number, (content, allowed, theta) in enumerate(sought):
            fetch = content.fetch
            assert fetch is not None
            may_help = fetch.swarm or neighbour.name == content.manifest.publisher
            if may_help and neighbour.may_ask(content.manifest.chunk_bytes):
                candidate = pick(content, neighbour.name, allowed, theta)
                if candidate is not None:
                    found.append((candidate, number))
        if not found:
            return None
        candidate, number = min(found)
        content, allowed, _ = sought[number]
        return content, allowed, candidate.chunk

    def _ask(self, neighbour: Neighbour, content: Content, index: int) -> bool:
        """Notes a request; False when the neighbour owes this answer already."""
        content.requests[index] += 1
        still_due = neighbour.asked.get((content.key, index))
        if still_due is not None:  # asked for before it stalled, and its answer may yet come
            still_due.released = False
            return False
        neighbour.ask(content.key, index, content.manifest.chunk_size(index), self._state.now_s)
        return True

    def end_game(self) -> None:
        """Repeats, once and elsewhere, the requests that are late although nothing else is left to ask for."""
        for slow in list(self._state.neighbours.values()):
            for (key, index), asked in list(slow.asked.items()):
                if asked.released or not slow.pace.overdue(self._state.now_s - asked.sent_s):
                    continue
                content = self._state.contents.get(key)
                if content is None or content.fetch is None or not content.fetch.swarm or content.requests[index] != 1:
                    continue
                if not content.askable().any():
                    self._repeat(content, slow, index)

    def _repeat(self, content: Content, slow: Neighbour, index: int) -> None:
        size = content.manifest.chunk_size(index)
        others = (self._state.neighbours[name] for name, member in content.members.items() if member.bits[index])
        ready = [other for other in others if other is not slow and other.may_ask(size)]
        if ready:
            best = min(ready, key=lambda other: (other.load, other.name))
            if self._ask(best, content, index):
                self._state.say(best, Want(content.key, (index,)))

    def take_back(self, content: Content, index: int, but: str) -> None:
        """A chunk came from ``but``: nobody else need send it."""
        if content.requests[index] <= 0:
            return
        for neighbour in self._state.neighbours.values():
            if neighbour.name != but and (content.key, index) in neighbour.asked:
                self._void(neighbour, content, index)
                self._state.say(neighbour, Cancel(content.key, (index,)))

    def take_all_back(self, content: Content) -> None:
        """Nothing more is wanted of these weights."""
        for neighbour in self._state.neighbours.values():
            self.take_back_from(neighbour, content)

    def take_back_from(self, neighbour: Neighbour, content: Content) -> None:
        """A neighbour need not send anything of these weights."""
        indices = [index for key, index in neighbour.asked if key == content.key]
        for index in indices:
            self._void(neighbour, content, index)
        if indices:
            self._state.say(neighbour, Cancel(content.key, tuple(indices)))

    def void_all(self, neighbour: Neighbour) -> None:
        """A neighbour will answer nothing of what it was asked for, or may not."""
        for key, index in list(neighbour.asked):
            content = self._state.contents.get(key)
            if content is None:
                neighbour.take_back(key, index)
            else:
                self._void(neighbour, content, index)

    def release(self, neighbour: Neighbour) -> None:
        """Others may now be asked for whatever this neighbour owes; its answers stay welcome."""
        for (key, index), asked in neighbour.asked.items():
            content = self._state.contents.get(key)
            if content is not None and not asked.released:
                content.requests[index] -= 1
            asked.released = True

    def _void(self, neighbour: Neighbour, content: Content, index: int) -> None:
        asked = neighbour.take_back(content.key, index)
        if asked is not None:
            neighbour.cancelled.add((content.key, index))
            content.requests[index] -= not asked.released


def _may_come_from(content: Content, peers: Collection[str]) -> bool:
    """Whether some of these peers may be asked for it: a sum of many has many fetches, of one publisher each."""
    return content.fetch is not None and (content.fetch.swarm or content.manifest.publisher in peers)
