"""The fixed-step path of the FedScale family: the aggregator simulates everybody beforehand and trains only who counts.

Each sampled client's download, compute and upload are simulated; those that stay active throughout are kept, and of
these the K fastest train. The surplus are stragglers and never train; the clock advances by the slowest of the K.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedswarm.devices.time_model import Workload, megabits
from fedswarm.rounds.plan import (
    PlannedTask,
    PlannedTimes,
    RoundPlan,
    fixed_task,
    learning_rate,
    make_cohorts,
    sample,
)
from fedswarm.rounds.rules import Reports, Verdict, succeeded
from fedswarm.rounds.simulated import SimulatedRules
from fedswarm.training.local_work import Payload


class FixedStepRules(SimulatedRules):
    """Implements :class:`~fedswarm.rounds.rules.RoundRules`."""

    def plan(self, round_index: int, clock_s: float, draw: int) -> RoundPlan:
        """Samples, simulates, filters by activity, and takes the K fastest."""
        job = self._job
        sampled = sample(job, round_index, clock_s, draw, self._selector, self._devices)
        clients = sampled.clients
        tasks = {client: fixed_task(job, self._population, sampled, client) for client in clients.tolist()}
        work = self._workload(list(tasks.values()))
        phases = self._devices.phase_times(clients, round_index, clock_s, work)
        totals = phases.total_s
        stays = np.isfinite(totals) & self._devices.active_throughout(clients, clock_s, clock_s + totals)
        order = np.lexsort((clients, totals))  # by duration, then by id
        finishing = [int(clients[row]) for row in order if stays[row]]
        to_run = tuple(finishing[: job.selection.participants])
        return RoundPlan(
            round_index=round_index,
            start_clock_s=clock_s,
            learning_rate=learning_rate(job, round_index),
            online=tuple(map(int, sampled.online)),
            sampled=tuple(map(int, clients)),
            to_run=to_run,
            stragglers=tuple(finishing[job.selection.participants :]),
            inactive=tuple(int(clients[row]) for row in range(len(clients)) if not stays[row]),
            times={
                int(client): PlannedTimes(*map(float, times))
                for client, *times in zip(clients, phases.download_s, phases.compute_s, phases.upload_s, strict=True)
            },
            tasks=tasks,
            cohorts=make_cohorts(to_run, job.cluster.cohort_clients),
            predictions=sampled.predictions,
        )

    def _workload(self, tasks: Sequence[PlannedTask]) -> Workload:
        """What the clients do, one entry a task; the bytes of an update of which a part is dropped are real ones."""
        payload = Payload.of(self._layout)
        return Workload(
            model_mbit=megabits(self._layout.nbytes),
            weights=self._layout.size,
            batch_size=self._job.training.batch_size,
            steps=np.asarray([task.steps for task in tasks], dtype=np.int64),
            dropout=np.asarray([1 - payload.share(1 - task.dropout_fraction) for task in tasks], dtype=np.float64),
        )

    def decided(self, plan: RoundPlan, reports: Reports, all_reported: bool) -> bool:
        """Everybody that trains was planned to count, so all must report."""
        return all_reported

    def verdict(self, plan: RoundPlan, reports: Reports) -> Verdict:
        """All that trained without failing count; the clock was settled by the plan."""
        good = succeeded(reports)
        return Verdict(
            kept=tuple(client for client in plan.to_run if client in good),
            stragglers=plan.stragglers,
            dropped=(*plan.inactive, *(client for client in plan.to_run if client not in good)),
            duration_s=plan.times[plan.to_run[-1]].total_s,
        )
