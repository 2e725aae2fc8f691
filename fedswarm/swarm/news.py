"""What a peer tells of chunks that arrived and of its uplink, and when: soon, so that one message tells of many."""

from __future__ import annotations

from typing import Final

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

    def announce(self, content: Content, index: int, source: str) -> None:
        """A chunk was accepted: those who want to hear of it and do not hold it are told, soon."""
        if not content.shared:
            return
        for neighbour in self._state.neighbours.values():
            if content.key not in neighbour.wanted_here or neighbour.name == source:
                continue
            member = content.members.get(neighbour.name)
            if neighbour.name != content.manifest.publisher and member is not None and member.bits[index]:
                continue
            self._note_news(neighbour, content, index)
        publisher = self._state.neighbours.get(content.manifest.publisher)
        if publisher is not None and publisher.name == source and content.key in publisher.wanted_here:
            self._note_news(publisher, content, index)  # a receipt tells it too, but not which copies others sent

    def _note_news(self, neighbour: Neighbour, content: Content, index: int) -> None:
        limits = self._state.limits
        if neighbour.name == content.manifest.publisher:
            pause_s = limits.have_publisher_every_s
        else:
            is_pushed = content.fetch is not None and content.fetch.pushed
            pause_s = limits.have_pushed_every_s if is_pushed else limits.have_every_s
        news = neighbour.news.setdefault(content.key, [])
        if not news:  # otherwise it is to be told soon anyway
            self._state.agenda.put_unless_earlier(self._state.now_s + pause_s, Intention("news", neighbour.name))
        news.append(index)

    def tell(self, name: str) -> None:
        """Tells a neighbour what arrived since it was last told."""
        neighbour = self._state.neighbours.get(name)
        if neighbour is None:
            return
        for key, indices in neighbour.news.items():
            self._state.say(neighbour, Have(key, tuple(runs_of(indices))))
            content = self._state.contents.get(key)
            if content is not None and content.manifest.publisher == name:
                self._tell_load(neighbour)
        neighbour.news = {}

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
