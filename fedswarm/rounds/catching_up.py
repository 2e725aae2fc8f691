"""Whose model a peer takes over when it came late or fell behind."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple


class OfferedModel(NamedTuple):
    """The model with which a neighbour begins an exchange."""

    exchange: int
    peer: str


class CatchingUp:
    """One peer's search for a newer model than its own: the newest first, each but once."""

    def __init__(self) -> None:
        self.deadline_s = 0.0
        self.fetching: OfferedModel | None = None
        self._models: dict[str, int] = {}
        self._tried: set[OfferedModel] = set()

    def offered(self, peer: str, exchange: int) -> None:
        """A neighbour offers its model; only its latest counts, and those before the last it has forgotten."""
        self._models[peer] = max(exchange, self._models.get(peer, exchange))
        if self.fetching is not None and self.fetching.peer == peer and self.fetching.exchange < exchange - 1:
            self.fetching = None

    def keep(self, linked: Set[str]) -> None:
        """Models of others than these peers cannot be had."""
        self._models = {peer: exchange for peer, exchange in self._models.items() if peer in linked}
        if self.fetching is not None and self.fetching.peer not in linked:
            self.fetching = None

    def lost(self, model: OfferedModel) -> None:
        """This model cannot be had; that of a fetch which was given up already changes nothing."""
        if self.fetching == model:
            self.fetching = None

    def start(self, deadline_s: float) -> None:
        """A search begins; it ends at the instant ``deadline_s``."""
        self.deadline_s = deadline_s
        self.fetching = None
        self._tried.clear()

    def next(self, above: int) -> OfferedModel | None:
        """The model to try next: one of an exchange after ``above``, or ``None`` if there is none (yet)."""
        untried = {OfferedModel(exchange, peer) for peer, exchange in self._models.items()} - self._tried
        self.fetching = max((model for model in untried if model.exchange > above), default=None)
        if self.fetching is not None:
            self._tried.add(self.fetching)
        return self.fetching
