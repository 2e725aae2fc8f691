"""Oort's second testing selector (section 5.2): so many samples of each class, tested as fast as the clients can.

It is a mixed integer program. With q[c, k] samples of class k tested by client c, and client c used or not,

    minimise t  subject to  sum_k q[c, k] sample_s[c] + used[c] transfer_s[c] <= t
                            sum_c q[c, k] = request[k],  q[c, k] <= counts[c, k],  sum_c used[c] <= budget

The paper solves it for some clients only, taken greedily by how many of the missing samples they hold. So do we.

Deviations. A solver works on that program for minutes, since using a client a little costs it almost no transfer. But
for a given t it says how many samples each client can test, and is a transportation problem, which is easy. So t is
bisected, and HiGHS solves one such problem for each; the authors' code gives the whole to a commercial solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fedswarm.errors import DataError, DependencyError
from fedswarm.selection.contract import Floats, Integers

# The authors' code: how many of the largest clients are looked at first, and how many are left to the solver at least.
FIRST_LOOK: Final = 5
SOLVER_CLIENTS: Final = 200
SMALLEST_GAP: Final = 1e-6


@dataclass(frozen=True)
class TestingClients:
    """What clients hold and how fast they are.

    Attributes:
        counts: samples of each class, ``(clients, classes)``.
        sample_s: seconds to test one sample, ``(clients,)``.
        transfer_s: seconds to get the model there, ``(clients,)``.
    """

    counts: Integers
    sample_s: Floats
    transfer_s: Floats

    def take(self, rows: Integers) -> TestingClients:
        """Some of them, in the order of ``rows``."""
        return TestingClients(self.counts[rows], self.sample_s[rows], self.transfer_s[rows])

    def duration_s(self, quantities: Integers) -> float:
        """When the slowest client is done, if they test these samples, ``(clients, classes)``."""
        samples = quantities.sum(axis=1)
        return float(np.max(samples * self.sample_s + (samples > 0) * self.transfer_s, initial=0.0))


@dataclass(frozen=True)
class TestingPlan:
    """Who tests how many samples of each class, ``(clients, classes)``, and how long that takes in seconds."""

    quantities: Integers
    duration_s: float


def select_by_category(
    clients: TestingClients, request: Integers, max_clients: int | None = None, relative_gap: float = 0.01
) -> TestingPlan:
    """A plan for ``request`` samples of each class, ``(classes,)``, by at most ``max_clients`` clients.

    ``relative_gap`` is how far the plan's duration may be from the shortest with the clients looked at. Raises
    :class:`DataError` if the clients do not hold what is requested or too many are needed, and
    :class:`DependencyError` without SciPy.
    """
    budget = len(clients.counts) if max_clients is None else max_clients
    needed = _greedy_rows(clients.counts, request, budget)
    rows = np.sort(_padded(needed, clients.counts, SOLVER_CLIENTS))
    quantities = np.zeros_like(clients.counts)
    greedy = _shared_out(clients.counts, needed, request)
    quantities[rows] = _fastest(clients.take(rows), greedy[rows], budget, relative_gap)
    return TestingPlan(quantities, clients.duration_s(quantities))


def _fastest(clients: TestingClients, plan: Integers, budget: int, relative_gap: float) -> Integers:
    """Bisects the duration, from that of a plan that is known to work."""
    request = plan.sum(axis=0)
    too_short_s, duration_s = 0.0, clients.duration_s(plan)
    while duration_s - too_short_s > max(relative_gap, SMALLEST_GAP) * duration_s:
        middle_s = (too_short_s + duration_s) / 2
        found = _within(clients, request, budget, middle_s)
        if found is None:
            too_short_s = middle_s
        else:
            plan, duration_s = found, clients.duration_s(found)
    return plan


def _greedy_rows(counts: Integers, request: Integers, budget: int) -> Integers:
    """Rows of clients that together hold the request, those with most of what is missing first."""
    held = counts.sum(axis=0)
    short = np.flatnonzero(held < request)
    if len(short):
        k = int(short[0])
        raise DataError(
            f"class {k}: {request[k]} samples requested, all clients together hold {held[k]}; ask for fewer"
        )
    share = np.max(request / np.maximum(held, 1), initial=0.0)
    look = min(math.floor(FIRST_LOOK * share * len(counts) + 1), len(counts))
    largest = np.argsort(-counts.sum(axis=1), kind="stable")
    while True:
        rows = _cover(counts, largest[:look], request, budget)
        if rows is not None:
            return rows
        if look == len(counts):
            raise DataError(
                f"no {budget} clients were found that hold the request; allow more clients, or ask for fewer samples"
            )
        look = min(2 * look, len(counts))


def _cover(counts: Integers, candidates: Integers, request: Integers, budget: int) -> Integers | None:
    """Candidates that hold the request, at most ``budget`` of them; None if they do not."""
    missing, left = request.copy(), candidates
    rows: list[int] = []
    while missing.any():
        useful = np.minimum(counts[left], missing).sum(axis=1)
        if len(rows) == budget or not useful.any():
            return None
        best = int(np.argmax(useful))
        rows.append(int(left[best]))
        missing = np.maximum(missing - counts[left[best]], 0)
        left = np.delete(left, best)
    return np.asarray(rows, dtype=np.int64)


def _padded(rows: Integers, counts: Integers, least: int) -> Integers:
    """With the largest of the other clients, so that the solver has some choice."""
    others = np.setdiff1d(np.argsort(-counts.sum(axis=1), kind="stable"), rows, assume_unique=True)
    return np.concatenate([rows, others[: max(0, least - len(rows))]])


def _shared_out(counts: Integers, rows: Integers, request: Integers) -> Integers:
    """The request, taken from clients in the order of ``rows``."""
    quantities, missing = np.zeros_like(counts), request.copy()
    for row in rows:
        quantities[row] = np.minimum(counts[row], missing)
        missing = missing - quantities[row]
    return quantities


def _within(clients: TestingClients, request: Integers, budget: int, deadline_s: float) -> Integers | None:
    """Quantities that all clients are through with by the deadline, ``(clients, classes)``; None if there are none."""
    optimize, sparse = _scipy()
    count, classes = clients.counts.shape
    able = np.floor(np.maximum(deadline_s - clients.transfer_s, 0) / clients.sample_s)
    # Variables: the quantities row by row, and whether each client is used.
    of_client = sparse.kron(sparse.eye(count), np.ones((1, classes)))
    of_class = sparse.kron(np.ones((1, count)), sparse.eye(classes))
    if_used = sparse.hstack([of_client, -sparse.diags(np.minimum(able, clients.counts.sum(axis=1)))])
    complete = sparse.hstack([of_class, sparse.csr_matrix((classes, count))])
    few = np.append(np.zeros(count * classes), np.ones(count))
    result = optimize.milp(
        c=np.zeros(count * (classes + 1)),
        integrality=np.ones(count * (classes + 1)),
        bounds=optimize.Bounds(0, np.append(clients.counts.ravel(), np.ones(count))),
        constraints=[
            optimize.LinearConstraint(if_used, -np.inf, 0),
            optimize.LinearConstraint(complete, request, request),
            optimize.LinearConstraint(few, 0, budget),
        ],
    )
    if result.x is None:
        return None
    quantities: Integers = np.rint(result.x[: count * classes]).astype(np.int64).reshape(count, classes)
    return quantities


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy import optimize, sparse
    except ImportError as error:
        raise DependencyError("testing by category needs SciPy: pip install 'fedswarm[selection]'") from error
    return optimize, sparse
