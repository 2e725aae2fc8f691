"""The adaptive path (Bliss): everybody sampled trains within a time budget, and who counts is known afterwards.

The aggregator simulates the download; what is left of the budget goes to the client with its task. The executor
simulates compute and upload on the client's traces *while* it trains and reports how long they took. Of those that
succeeded and were active during the whole of their round, the K fastest count. Only then do weights move.
"""

from __future__ import annotations

import numpy as np

from fedswarm.devices.time_model import Workload, megabits
from fedswarm.rounds.plan import (
    PlannedTask,
    PlannedTimes,
    RoundPlan,
    learning_rate,
    make_cohorts,
    sample,
)
from fedswarm.rounds.rules import Reports, Verdict, succeeded
from fedswarm.rounds.simulated import SimulatedRules


class AdaptiveRules(SimulatedRules):
    """Implements :class:`~fedswarm.rounds.rules.RoundRules`."""

    def plan(self, round_index: int, clock_s: float, draw: int) -> RoundPlan:
        """Samples, simulates the downloads, and gives everybody what the download leaves of the budget."""
        job = self._job
        sampled = sample(job, round_index, clock_s, draw, self._selector, self._devices)
        clients = sampled.clients
        none = np.zeros(len(clients), dtype=np.int64)
        work = Workload(megabits(self._layout.nbytes), self._layout.size, job.training.batch_size, none)
        downloads = self._devices.phase_times(clients, round_index, clock_s, work).download_s
        reached = {int(c): float(d) for c, d in zip(clients, downloads, strict=True) if np.isfinite(d)}
        budget_s = self._selector.t_budget_s or job.selection.t_budget_s
        return RoundPlan(
            round_index=round_index,
            start_clock_s=clock_s,
            learning_rate=learning_rate(job, round_index),
            online=tuple(map(int, sampled.online)),
            sampled=tuple(map(int, clients)),
            to_run=tuple(sorted(reached)),
            stragglers=(),
            inactive=tuple(int(client) for client in clients if int(client) not in reached),
            times={client: PlannedTimes(download_s=seconds) for client, seconds in reached.items()},
            tasks={
                client: PlannedTask(client, 0, start_s=clock_s + seconds, budget_s=max(0.0, budget_s - seconds))
                for client, seconds in reached.items()
            },
            cohorts=make_cohorts(reached, job.cluster.cohort_clients),
            predictions=sampled.predictions,
        )

    def decided(self, plan: RoundPlan, reports: Reports, all_reported: bool) -> bool:
        """Virtual time knows no order of arrival: the fastest may report last."""
        return all_reported

    def verdict(self, plan: RoundPlan, reports: Reports) -> Verdict:
        """The K fastest of those that succeeded and stayed; ties go to the smaller id."""
        good = sorted(succeeded(reports))
        walls = {client: plan.times[client].download_s + reports[client].busy_s for client in good}
        ids = np.asarray(good, dtype=np.int64)
        ends = plan.start_clock_s + np.asarray([walls[client] for client in good], dtype=np.float64)
        stays = self._devices.active_throughout(ids, plan.start_clock_s, ends)
        active = sorted((client for client, stayed in zip(good, stays, strict=True) if stayed), key=walls.__getitem__)
        kept = tuple(active[: self._job.selection.participants])
        return Verdict(
            kept=kept,
            stragglers=tuple(active[self._job.selection.participants :]),
            dropped=tuple(client for client in plan.sampled if client not in set(active)),
            duration_s=max((walls[client] for client in kept), default=0.0),
        )
