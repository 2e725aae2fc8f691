"""What the parts of one peer's state machine share, and how they speak to the outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fedswarm.swarm.agenda import Agenda
from fedswarm.swarm.content import Content
from fedswarm.swarm.instructions import Instruction, Send
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Address, Message
from fedswarm.swarm.neighbour import Neighbour


@dataclass(slots=True)
class State:
    """One peer: who it is, whom it is linked with, what it holds and fetches, what it means to do."""

    me: Address
    seed: int
    limits: Limits
    now_s: float = 0.0
    """The instant of the event in hand."""
    neighbours: dict[str, Neighbour] = field(default_factory=dict)
    contents: dict[Key, Content] = field(default_factory=dict)
    banned: dict[str, None] = field(default_factory=dict)
    """Whom we deal with no more, the earliest first; bounded, for a name costs its bearer nothing."""
    agenda: Agenda = field(default_factory=Agenda)
    out: list[Instruction] = field(default_factory=list)

    def say(self, neighbour: Neighbour, message: Message) -> None:
        """Says something to a neighbour."""
        neighbour.said_s = self.now_s
        self.out.append(Send(neighbour.name, message))

    def fetching(self) -> Iterator[Content]:
        """Weights that are being fetched."""
        return (content for content in self.contents.values() if content.fetch is not None)

    def drop_news(self, key: Key) -> None:
        """Nobody is told any more of what arrived of these weights until now."""
        for neighbour in self.neighbours.values():
            neighbour.news.pop(key, None)
