"""What a peer tells of chunks that arrived and of its uplink, and when: soon, so that one message tells of many."""

from __future__ import annotations

from typing import Final

import numpy as np

from fedswarm.swarm.agenda import Intention
from fedswarm.swarm.bitfield import runs_of
from fedswarm.swarm.content import Content
from fedswarm.swarm.messages import Have, Load
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.state import State
from fedswarm.swarm.uploads import Uploads

WORTH_TELLING: Final = 0.25
"""By what share the rate of our uplink changes before publishers are told out of turn."""


class News:
    """Part of a :class:`~fedswarm.swarm.peer.Peer`."""

    def __init__(self, state: State, uploads: Uploads) -> None:
        self._state = state
        self._uploads = uploads

    def announce(self, content: Content, index: int) -> None:
        """A chunk was accepted: those who want to hear of it and do not hold it are told, soon."""
        if not content.shared:
            return
        content.arrived.append(index)
        for neighbour in self._state.neighbours.values():
            if content.key in neighbour.wanted_here and content.key not in neighbour.news:
                neighbour.news[content.key] = len(content.arrived) - 1
                due_s = self._state.now_s + self._pause_s(neighbour, content)
                self._state.agenda.put_unless_earlier(due_s, Intention("news", neighbour.name))

    def _pause_s(self, neighbour: Neighbour, content: Content) -> float:
        """How long news may wait for more."""
        limits = self._state.limits
        if neighbour.name == content.manifest.publisher:
            return limits.have_publisher_every_s
        is_pushed = content.fetch is not None and content.fetch.pushed
        return limits.have_pushed_every_s if is_pushed else limits.have_every_s

    def tell(self, name: str) -> None:
        """Tells a neighbour what arrived since it was last told."""
        neighbour = self._state.neighbours.get(name)
        if neighbour is None:
            return
        for key, first in neighbour.news.items():
            content = self._state.contents.get(key)
            if content is not None:
                self._tell_of(neighbour, content, first)
        neighbour.news = {}

    def _tell_of(self, neighbour: Neighbour, content: Content, first: int) -> None:
        """Of what arrived from the ``first`` on; a publisher hears of all, whoever sent it, and of our load."""
        arrived = np.array(content.arrived[first:], dtype=np.intp)
        is_publisher = neighbour.name == content.manifest.publisher
        if not is_publisher and neighbour.name in content.members:
            arrived = arrived[~content.members[neighbour.name].bits[arrived]]
        if len(arrived):
            self._state.say(neighbour, Have(content.key, tuple(runs_of(arrived.tolist()))))
        if is_publisher:
            self._tell_load(neighbour)

    def _tell_load(self, publisher: Neighbour) -> None:
        publisher.told_bps = self._uploads.uplink.bps
        publisher.charged_us = False
        self._state.say(publisher, Load(publisher.told_bps, self._uploads.backlog_bytes))

    def tell_publishers(self) -> None:
        """Who charges us with relaying hears at once how fast we turn out to be, and that we are through with it."""
        bps, idles = self._uploads.uplink.bps, not self._uploads.backlog_bytes
        publishers = {content.manifest.publisher for content in self._state.contents.values() if content.duties}
        for name in sorted(publishers & self._state.neighbours.keys()):
            publisher = self._state.neighbours[name]
            changed = abs(bps - publisher.told_bps) > WORTH_TELLING * publisher.told_bps
            if changed or (idles and publisher.charged_us):
                self._tell_load(publisher)
