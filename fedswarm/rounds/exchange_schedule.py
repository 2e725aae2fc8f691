"""The exchanges of a job without an aggregator, numbered through: one after every round, more for consensus.

A number tells all peers the same without a word, so it is what manifests carry in place of the round. The one after the
last is the farewell: nothing is exchanged any more, peers only tell each other that they are done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What peers exchange."""

    UPDATES = "updates"
    """Weights trained in this round, averaged by samples."""
    MODELS = "models"
    """Aggregates of this round, averaged uniformly: consensus."""
    FAREWELL = "farewell"


@dataclass(frozen=True)
class Step:
    """One exchange: in which round, and of what."""

    round: int
    kind: Kind


@dataclass(frozen=True)
class ExchangeSchedule:
    """The exchanges of ``rounds`` rounds.

    With ``consensus_every`` above 0 there is one of models after every so many rounds, and after the last round.
    """

    rounds: int
    consensus_every: int = 0

    @property
    def farewell(self) -> int:
        """The number of the farewell: that of all exchanges before it."""
        every = self.consensus_every
        return self.rounds + (-(-self.rounds // every) if every else 0)

    def step(self, exchange: int) -> Step:
        """What exchange number ``exchange``, from 0, is."""
        if exchange >= self.farewell:
            return Step(self.rounds, Kind.FAREWELL)
        if not self.consensus_every:
            return Step(exchange, Kind.UPDATES)
        block, place = divmod(exchange, self.consensus_every + 1)
        round_index = block * self.consensus_every + place
        if place == self.consensus_every or round_index == self.rounds:
            return Step(round_index - 1, Kind.MODELS)
        return Step(round_index, Kind.UPDATES)

    def ends_round(self, exchange: int) -> bool:
        """Whether the round is over after this exchange."""
        return self.step(exchange + 1).round > self.step(exchange).round
