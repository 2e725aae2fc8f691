"""Whose model a peer takes over when it came late or fell behind."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple


class OfferedModel(NamedTuple):
    """The model with which a neighbour begins an exchange."""

    exchange: int
    peer: str


class CatchingUp:
    """One peer's search for a newer model than its own, each tried but once.

    The newest comes first. Who has lost one is too slow for those that are forgotten soon, so from then on the ones
    that last come first (:mod:`~fedswarm.rounds.lasting_models`).
    """

    def __init__(self) -> None:
        self.deadline_s = 0.0
        self.fetching: OfferedModel | None = None
        self._latest: dict[str, int] = {}
        self._lasting: dict[str, int] = {}
        self._tried: set[OfferedModel] = set()
        self._has_lost = False
        self._fetched_lasts = False

    def offered(self, peer: str, exchange: int, lasts: bool) -> None:
        """A neighbour offers its model: its latest counts, and the latest that lasts.

        Those before the last it has forgotten, unless they last.
        """
        self._latest[peer] = max(exchange, self._latest.get(peer, exchange))
        if lasts:
            self._lasting[peer] = max(exchange, self._lasting.get(peer, exchange))
        fetching = None if self._fetched_lasts else self.fetching
        if fetching is not None and fetching.peer == peer and fetching.exchange < exchange - 1:
            self.lost(fetching)

    def keep(self, linked: Set[str]) -> None:
        """Models of others than these peers cannot be had."""
        self._latest = {peer: exchange for peer, exchange in self._latest.items() if peer in linked}
        self._lasting = {peer: exchange for peer, exchange in self._lasting.items() if peer in linked}
        if self.fetching is not None and self.fetching.peer not in linked:
            self.fetching = None

    def lost(self, model: OfferedModel) -> None:
        """This model cannot be had; that of a fetch which was given up already changes nothing."""
        if self.fetching == model:
            self.fetching = None
            self._has_lost = True

    def start(self, deadline_s: float) -> None:
        """A search begins; it ends at the instant ``deadline_s``."""
        self.deadline_s = deadline_s
        self.fetching = None
        self._tried.clear()
        self._has_lost = False

    def next(self, above: int) -> OfferedModel | None:
        """The model to try next: one of an exchange after ``above``, or ``None`` if there is none (yet)."""
        latest = {OfferedModel(exchange, peer) for peer, exchange in self._latest.items()}
        lasting = {OfferedModel(exchange, peer) for peer, exchange in self._lasting.items()}
        untried = {model for model in latest | lasting if model.exchange > above} - self._tried
        if self._has_lost:
            untried = untried & lasting or untried
        self.fetching = max(untried, default=None)
        self._fetched_lasts = self.fetching in lasting
        if self.fetching is not None:
            self._tried.add(self.fetching)
        return self.fetching
