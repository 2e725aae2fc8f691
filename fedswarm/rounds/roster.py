"""Who takes part: the executors of a run, what they all must agree on, and the clients they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedswarm.devices.world import ClientIds
from fedswarm.models.layout import Layout
from fedswarm.rounds.messages import ExecutorJoined
from fedswarm.rounds.plan import Population


@dataclass(frozen=True)
class Member:
    """An executor that is here."""

    target: str
    clients: tuple[int, ...]


class Roster:
    """In simulation every executor can train every client, so all must hold the same ones; in deployment each has its
    own, and the population grows with every newcomer."""

    def __init__(self, *, own_clients: bool) -> None:
        self.layout: Layout | None = None
        self.test_blocks = 0
        self._own_clients = own_clients
        self._members: dict[str, Member] = {}
        self._samples: dict[int, int] = {}
        self._hosts: dict[int, str] = {}

    def __contains__(self, executor: str) -> bool:
        return executor in self._members

    def __len__(self) -> int:
        return len(self._members)

    @property
    def executors(self) -> list[str]:
        """Names of those that are here, in order."""
        return sorted(self._members)

    @property
    def population(self) -> Population:
        """All clients ever registered."""
        return Population.of(self._samples)

    @property
    def hosts(self) -> dict[int, str]:
        """The executor that last held each client, when clients have one of their own."""
        return self._hosts

    def connected_clients(self) -> ClientIds:
        """Clients of the executors that are here, ascending."""
        return np.unique(np.asarray([c for m in self._members.values() for c in m.clients], dtype=np.int64))

    def misfit(self, newcomer: ExecutorJoined) -> str:
        """Why an executor cannot take part; empty when it can."""
        if self.layout is None:
            return ""
        if newcomer.layout.schema_hash != self.layout.schema_hash:
            return "its model has other tensors than the run's: do all executors run the same code and job?"
        if newcomer.test_blocks != self.test_blocks:
            return "it holds other test data than the run: do all executors read the same data?"
        if not self._own_clients:
            same = newcomer.clients == self._samples
            return "" if same else "it holds other clients than the run: do all executors read the same data?"
        for client in newcomer.clients:
            host = self._hosts.get(client, newcomer.executor)
            if host != newcomer.executor and host in self._members:
                return f"its client {client} is held by executor {host} already: give each executor its own id"
        return ""

    def add(self, newcomer: ExecutorJoined) -> None:
        """Takes an executor in; it must not be a misfit."""
        if self.layout is None:
            self.layout = newcomer.layout
            self.test_blocks = newcomer.test_blocks
        self._members[newcomer.executor] = Member(newcomer.target, tuple(newcomer.clients))
        self._samples.update(newcomer.clients)
        if self._own_clients:
            self._hosts.update(dict.fromkeys(newcomer.clients, newcomer.executor))

    def remove(self, executor: str) -> bool:
        """Strikes an executor off; False when it was not here."""
        return self._members.pop(executor, None) is not None
