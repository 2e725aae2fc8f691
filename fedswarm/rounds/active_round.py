"""The round in progress: its leases, the reports that came, the verdict, and the sums that are still to be fetched.

An update counts once its sum is *added* to the round's total. Until then it exists on one executor only, so when that
executor is lost its leases are trained again by others. Training is a function of (seed, round, client), hence the same
updates result, and the verdict with them. Where clients are pinned to their executor (deployment) nobody else can train
them: they are reported as failed instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from fedswarm.aggregation.grid import shares
from fedswarm.rounds.ledger import Lease, LeaseLedger
from fedswarm.rounds.messages import (
    ClientReport,
    DiscardSums,
    Instruction,
    OrderSum,
    SendTest,
    SendTrain,
    SumPart,
)
from fedswarm.rounds.plan import RoundPlan
from fedswarm.rounds.rules import RoundRules, Verdict
from fedswarm.training.task import BlockResult

TEST_LEASES: Final = 8

Cohort = tuple[int, ...]
Blocks = tuple[int, ...]


Parts = dict[str, SumPart]
"""What is ordered in one sum, by executor."""


class ActiveRound:
    """Drives one round from its plan to a complete sum.

    Args:
        plan: what was decided beforehand.
        rules: how it is judged.
        weighting: how shares follow from samples (``aggregation.weighting``).
        hosts: with pinned clients, the executor of each.
        ids: where lease and order numbers come from; they never repeat in a run.
        now_s: the present instant.
        reduces: whether executors add up among themselves what they hold, as long as that works.
    """

    def __init__(
        self,
        plan: RoundPlan,
        rules: RoundRules,
        weighting: str,
        hosts: Mapping[int, str],
        ids: Iterator[int],
        now_s: float,
        *,
        reduces: bool = False,
    ) -> None:
        self.plan = plan
        self.started_s = now_s
        self.reports: dict[int, ClientReport] = {}
        self.trained_by: dict[int, str] = {}
        self._rules = rules
        self._weighting = weighting
        self._hosts = hosts
        self._ids = ids
        self._reduces = reduces
        self._training: LeaseLedger[Cohort] = LeaseLedger(plan.cohorts, ids)
        self._orders: dict[int, Parts] = {}
        self._added: dict[int, Parts] = {}

    def issue(self, executors: list[str], now_s: float) -> list[Instruction]:
        """Work for whoever can take some."""
        plan = self.plan
        return [
            SendTrain(
                executor,
                lease.lease_id,
                plan.round_index,
                plan.learning_rate,
                tuple(plan.tasks[client] for client in lease.piece),
            )
            for executor in executors
            for lease in self._leases_for(executor, len(executors), now_s)
        ]

    def _leases_for(self, executor: str, executors: int, now_s: float) -> list[Lease[Cohort]]:
        if not self._rules.pinned:
            return self._training.issue(executor, executors, now_s)
        return self._training.issue(executor, executors, now_s, lambda piece: self._hosts.get(piece[0]) == executor)

    def trained(self, executor: str, lease_id: int, reports: tuple[ClientReport, ...], now_s: float) -> None:
        """Takes a training report, the first for its piece."""
        lease = self._training.complete(lease_id, executor, now_s)
        if lease is None:
            return
        by_client = {report.client_id: report for report in reports}
        for client in lease.piece:
            missing = ClientReport(client, False, "the executor sent no report of this client")
            self.reports[client] = by_client.get(client, missing)
            self.trained_by[client] = lease.executor

    def executor_of(self, client: int) -> str | None:
        """Who trained a client, or is the only one who could; ``None`` while that is open."""
        return self.trained_by.get(client) or (self._hosts.get(client) if self._rules.pinned else None)

    # Verdict and sums

    @property
    def decided(self) -> bool:
        """Whether who counts is known."""
        return self._rules.decided(self.plan, self.reports, self._training.finished)

    @property
    def verdict(self) -> Verdict:
        """Who counts; only once :attr:`decided`."""
        return self._rules.verdict(self.plan, self.reports)

    def order_sums(self) -> list[Instruction]:
        """Once decided: has each executor sum what it holds and was not summed yet."""
        if not self.decided:
            return []
        kept = self.verdict.kept
        if not kept:
            return []
        given = shares({client: self.reports[client].trained_samples for client in kept}, self._weighting)
        instructions: list[Instruction] = []
        if any(given.get(client) != share for part in self._parts for client, share in part.shares):
            self._orders.clear()
            self._added.clear()
            instructions.append(DiscardSums())
        return instructions + self._orders_for(given)

    @property
    def _parts(self) -> list[SumPart]:
        """Everything that was ordered and counts."""
        return [part for parts in (*self._orders.values(), *self._added.values()) for part in parts.values()]

    def _orders_for(self, given: dict[int, float]) -> list[Instruction]:
        ordered = {lease for part in self._parts for lease in part.lease_ids}
        clients: dict[str, dict[int, float]] = defaultdict(dict)
        leases: dict[str, list[int]] = defaultdict(list)
        for lease in self._training.done:
            counted = {client: given[client] for client in lease.piece if client in given}
            if lease.lease_id not in ordered and counted:
                clients[lease.executor].update(counted)
                leases[lease.executor].append(lease.lease_id)
        parts = [SumPart(name, tuple(leases[name]), tuple(sorted(clients[name].items()))) for name in sorted(leases)]
        groups = [parts] if self._reduces and parts else [[part] for part in parts]
        return [self._order(group) for group in groups]

    def _order(self, parts: list[SumPart]) -> OrderSum:
        order_id = next(self._ids)
        self._orders[order_id] = {part.executor: part for part in parts}
        return OrderSum(order_id, self.plan.round_index, tuple(parts))

    def sum_fetched(self, order_id: int, upload_s: float = 0.0) -> list[str]:
        """A fetched sum is to be added unless its order was withdrawn meanwhile; returns who delivered it.

        Where each client has an executor of its own, the way of its sum is its upload, and part of its measured time.
        """
        parts = self._orders.pop(order_id, None)
        if parts is None:
            return []
        for part in parts.values() if self._rules.pinned else ():
            for client, _ in part.shares:
                self.reports[client] = replace(self.reports[client], upload_s=upload_s)
        self._added[order_id] = parts
        return list(parts)

    @property
    def summed(self) -> bool:
        """Whether all that counts is in the round's total."""
        if self._orders or not self.decided:
            return False
        added = {client for parts in self._added.values() for part in parts.values() for client, _ in part.shares}
        return added == set(self.verdict.kept)

    # Faults

    def sum_failed(self, order_id: int, error: str, culprit: str) -> bool:
        """A sum cannot be had; returns whether it still counted.

        The leases of the culprit are trained again. The others are summed anew, and when nobody is to blame, each
        executor's by itself: adding up among themselves does not work.
        """
        parts = self._orders.pop(order_id, None)
        if parts is None:
            return False
        if culprit in parts:
            for lease_id in parts[culprit].lease_ids:
                self._take_back(lease_id, error)
        else:
            self._reduces = False
        return True

    def lease_failed(self, executor: str, lease_id: int, error: str) -> bool:
        """An executor gave a lease back; False when it had no such lease."""
        return self._training.belongs(lease_id, executor) and self._take_back(lease_id, error)

    def lost(self, executor: str, reason: str) -> int:
        """An executor is gone: takes back its leases and every update it had not delivered; returns how many."""
        for order_id in [order_id for order_id, parts in self._orders.items() if executor in parts]:
            del self._orders[order_id]
        self._training.forget(executor)
        safe = {lease for parts in self._added.values() for part in parts.values() for lease in part.lease_ids}
        gone = self._training.held_by(executor)
        gone += [lease for lease in self._training.done if lease.executor == executor and lease.lease_id not in safe]
        for lease in gone:
            self._take_back(lease.lease_id, reason)
        return len(gone)

    def expire(self, now_s: float, timeout_s: float) -> list[str]:
        """Offers work that takes too long to others; returns the executors that are late, one for each lease.

        A pinned client has nobody else: its executor is waited for as long as it lives.
        """
        late = [] if self._rules.pinned else self._training.expire(now_s, timeout_s)
        return [lease.executor for lease in late]

    def _take_back(self, lease_id: int, reason: str) -> bool:
        """To be issued again; a pinned client has nobody else, so it failed."""
        if not self._rules.pinned:
            return self._training.void(lease_id)
        lease = self._training.drop(lease_id)
        for client in lease.piece if lease else ():
            self.reports[client] = ClientReport(client, False, reason, went_away=True)
        return lease is not None


def pieces_of(blocks: int) -> list[Blocks]:
    """The blocks of a test set in as many pieces as a test has leases, or fewer."""
    size = max(1, -(-blocks // TEST_LEASES))
    return [tuple(range(first, min(first + size, blocks))) for first in range(0, blocks, size)]


class ActiveTest:
    """A test of one model version: its leases and the blocks that came back."""

    def __init__(self, version: int, pieces: list[Blocks], ids: Iterator[int]) -> None:
        self.version = version
        self.blocks: dict[int, BlockResult] = {}
        self._leases: LeaseLedger[Blocks] = LeaseLedger(pieces, ids)

    def issue(self, executors: list[str], now_s: float) -> list[Instruction]:
        """Work for whoever can take some."""
        return [
            SendTest(executor, lease.lease_id, self.version, lease.piece)
            for executor in executors
            for lease in self._leases.issue(executor, len(executors), now_s)
        ]

    def tested(self, executor: str, lease_id: int, blocks: tuple[BlockResult, ...], now_s: float) -> bool:
        """Takes a report, the first for its piece; False when it does not fit the lease, which is then issued again."""
        lease = self._leases.complete(lease_id, executor, now_s)
        if lease is None:
            return True
        if sorted(block.block for block in blocks) != sorted(lease.piece) or any(b.samples < 1 for b in blocks):
            self._leases.void(lease_id)
            return False
        self.blocks.update((block.block, block) for block in blocks)
        return True

    @property
    def finished(self) -> bool:
        """Whether every block is in."""
        return self._leases.finished

    def lease_failed(self, executor: str, lease_id: int) -> bool:
        """An executor gave a lease back; False when it had no such lease."""
        return self._leases.belongs(lease_id, executor) and self._leases.void(lease_id)

    def lost(self, executor: str) -> int:
        """An executor is gone: takes back its leases; returns how many."""
        self._leases.forget(executor)
        gone = self._leases.held_by(executor)
        for lease in gone:
            self._leases.void(lease.lease_id)
        return len(gone)

    def expire(self, now_s: float, timeout_s: float) -> list[str]:
        """Offers work that takes too long to others; returns the executors that are late, one for each lease."""
        return [lease.executor for lease in self._leases.expire(now_s, timeout_s)]
