"""The round in progress: its leases, the reports that came, the verdict, and the sums that are still to be fetched.

An update counts once its sum is *added* to the round's total. Until then it exists on one executor only, so when that
executor is lost its leases are trained again by others. Training is a function of (seed, round, client), hence the same
updates result, and the verdict with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from fedswarm.aggregation.grid import shares
from fedswarm.rounds.ledger import LeaseLedger
from fedswarm.rounds.messages import (
    AddSum,
    ClientReport,
    DiscardSums,
    Instruction,
    OrderUpload,
    SendTest,
    SendTrain,
)
from fedswarm.rounds.plan import RoundPlan
from fedswarm.training.task import BlockResult

Cohort = tuple[int, ...]
Blocks = tuple[int, ...]


@dataclass(frozen=True)
class UploadOrder:
    """One executor's partial sum: over which leases, with which shares."""

    executor: str
    lease_ids: tuple[int, ...]
    shares: dict[int, float]


class ActiveRound:
    """Drives one round from its plan to a complete sum; a round without a plan only tests the model."""

    def __init__(
        self, version: int, plan: RoundPlan | None, test: list[Blocks], weighting: str, ids: Iterator[int], now_s: float
    ) -> None:
        self.version = version
        self.plan = plan
        self.started_s = now_s
        self.reports: dict[int, ClientReport] = {}
        self.trained_by: dict[int, str] = {}
        self.tests: dict[int, BlockResult] = {}
        self._weighting = weighting
        self._ids = ids
        self._training: LeaseLedger[Cohort] = LeaseLedger(plan.cohorts if plan else (), ids)
        self._testing: LeaseLedger[Blocks] = LeaseLedger(test, ids)
        self._orders: dict[int, UploadOrder] = {}
        self._added: dict[int, UploadOrder] = {}
        self._test_recorded = not test

    # Work out

    def issue(self, executors: list[str], now_s: float) -> list[Instruction]:
        """Work for whoever can take some; tests first, they are short."""
        instructions: list[Instruction] = []
        for executor in executors:
            tests = self._testing.issue(executor, len(executors), now_s)
            instructions += [SendTest(executor, lease.lease_id, self.version, lease.piece) for lease in tests]
            plan = self.plan
            if plan is None:
                continue
            instructions += [
                SendTrain(
                    executor,
                    lease.lease_id,
                    plan.round_index,
                    plan.learning_rate,
                    tuple((client, plan.steps[client]) for client in lease.piece),
                )
                for lease in self._training.issue(executor, len(executors), now_s)
            ]
        return instructions

    # Reports in

    def trained(self, lease_id: int, reports: tuple[ClientReport, ...]) -> None:
        """Takes a training report, once a lease."""
        lease = self._training.complete(lease_id)
        if lease is None:
            return
        by_client = {report.client_id: report for report in reports}
        missing = ClientReport(0, False, "the executor sent no report of this client", 0.0, 0.0, 0.0, 0, 0)
        self.reports.update((client, by_client.get(client, missing)) for client in lease.piece)
        self.trained_by.update((client, lease.executor) for client in lease.piece)

    def tested(self, lease_id: int, blocks: tuple[BlockResult, ...]) -> None:
        """Takes a test report, once a lease."""
        if self._testing.complete(lease_id) is not None:
            self.tests.update((block.block, block) for block in blocks)

    @property
    def tests_done(self) -> bool:
        """Whether every test block has been reported."""
        return self._testing.finished

    def take_test_result(self) -> tuple[BlockResult, ...]:
        """The blocks of a finished test in order, the first time it is asked for after the test ended; else nothing."""
        if self._test_recorded or not self._testing.finished:
            return ()
        self._test_recorded = True
        return tuple(self.tests[block] for block in sorted(self.tests))

    # Verdict and sums

    @property
    def kept(self) -> dict[int, int]:
        """Clients that count, with their trained samples."""
        return {client: r.trained_samples for client, r in self.reports.items() if r.success and r.trained_samples > 0}

    @property
    def trained_all(self) -> bool:
        """Whether every cohort has reported."""
        return self._training.finished

    def order_sums(self) -> list[Instruction]:
        """Once everybody reported: has each executor sum what it holds and was not summed yet."""
        if not self._training.finished or not self.kept:
            return []
        verdict = shares(self.kept, self._weighting)
        instructions: list[Instruction] = []
        given = (*self._orders.values(), *self._added.values())
        if any(verdict.get(client) != share for order in given for client, share in order.shares.items()):
            self._orders.clear()
            self._added.clear()
            instructions.append(DiscardSums())
        return instructions + self._orders_for(verdict)

    def _orders_for(self, verdict: dict[int, float]) -> list[Instruction]:
        ordered = {lease for o in (*self._orders.values(), *self._added.values()) for lease in o.lease_ids}
        clients: dict[str, dict[int, float]] = defaultdict(dict)
        leases: dict[str, list[int]] = defaultdict(list)
        for lease in self._training.done:
            counted = {client: verdict[client] for client in lease.piece if client in verdict}
            if lease.lease_id not in ordered and counted:
                clients[lease.executor].update(counted)
                leases[lease.executor].append(lease.lease_id)
        instructions: list[Instruction] = []
        for executor in sorted(leases):
            order = UploadOrder(executor, tuple(leases[executor]), clients[executor])
            order_id = next(self._ids)
            self._orders[order_id] = order
            pairs = tuple(sorted(order.shares.items()))
            assert self.plan is not None
            instructions.append(OrderUpload(executor, order_id, self.plan.round_index, order.lease_ids, pairs))
        return instructions

    def sum_fetched(self, order_id: int) -> list[Instruction]:
        """A fetched sum is added unless its order was withdrawn meanwhile."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return []
        self._added[order_id] = order
        return [AddSum(order_id)]

    @property
    def complete(self) -> bool:
        """Whether all that counts is in the round's total and the test, if any, is over."""
        if not self._testing.finished or not self._training.finished or self._orders:
            return False
        added = {client for order in self._added.values() for client in order.shares}
        return added == self.kept.keys()

    # Faults

    def sum_failed(self, order_id: int) -> None:
        """An order that cannot be fetched: its leases are trained again."""
        order = self._orders.pop(order_id, None)
        for lease_id in order.lease_ids if order else ():
            self._training.withdraw(lease_id)

    def lease_failed(self, lease_id: int) -> None:
        """An executor gave a lease back."""
        _ = self._training.withdraw(lease_id) or self._testing.withdraw(lease_id)

    def lost(self, executor: str) -> int:
        """An executor is gone: takes back its leases and every update it had not delivered; returns how many."""
        for order_id in [order_id for order_id, order in self._orders.items() if order.executor == executor]:
            del self._orders[order_id]
        safe = {lease for order in self._added.values() for lease in order.lease_ids}
        gone = self._training.held_by(executor)
        gone += [lease for lease in self._training.done if lease.executor == executor and lease.lease_id not in safe]
        tests = self._testing.held_by(executor)
        for lease in gone:
            self._training.withdraw(lease.lease_id)
        for test in tests:
            self._testing.withdraw(test.lease_id)
        return len(gone) + len(tests)

    def withdraw_overdue(self, now_s: float, timeout_s: float) -> int:
        """Takes back leases that have been out too long; returns how many."""
        late = [*self._training.overdue(now_s, timeout_s), *self._testing.overdue(now_s, timeout_s)]
        for lease in late:
            self.lease_failed(lease.lease_id)
        return len(late)
