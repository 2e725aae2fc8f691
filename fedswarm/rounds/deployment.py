"""Deployment: each executor is one real client, so times are measured and the clock is the wall's.

All sampled clients train where their data are. The round is decided as soon as K of them succeeded; nobody waits for
the rest, who are stragglers. A client whose executor is lost is dropped: nobody else has its data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.time_model import PhaseTimes, Workload
from fedswarm.devices.world import ClientIds, ClientTime
from fedswarm.jobs.schema import Job
from fedswarm.rounds.plan import PlannedTimes, RoundPlan, fixed_task, learning_rate, sample
from fedswarm.rounds.roster import Roster
from fedswarm.rounds.rules import Reports, Verdict, succeeded
from fedswarm.selection.contract import Selector


class ConnectedDevices:
    """A :class:`~fedswarm.devices.world.DeviceWorld` of real clients: who is connected is online, no time is known."""

    def __init__(self, connected: Callable[[], ClientIds]) -> None:
        self._connected = connected

    def online(self, now_s: float) -> ClientIds:
        """Clients of the executors in the roster."""
        return self._connected()

    def phase_times(self, client_ids: ClientIds, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        """Unknown before they are measured: zero."""
        nothing = np.zeros(len(client_ids), dtype=np.float64)
        return PhaseTimes(nothing, nothing, nothing)

    def active_throughout(self, client_ids: ClientIds, start_s: float, end_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Nobody is known to leave."""
        return np.ones(len(client_ids), dtype=np.bool_)

    def next_online_s(self, now_s: float) -> float:
        """When somebody connects, an event will tell."""
        return now_s

    def client_time(self, client_id: int, round_index: int) -> ClientTime:
        """Real clients are measured, not asked."""
        raise NotImplementedError("deployment measures times; there is no simulated device to ask")


class DeploymentRules:
    """Implements :class:`~fedswarm.rounds.rules.RoundRules`."""

    pinned = True

    def __init__(self, job: Job, roster: Roster, selector: Selector, devices: ConnectedDevices) -> None:
        self._job = job
        self._roster = roster
        self._selector = selector
        self._devices = devices

    def plan(self, round_index: int, clock_s: float, draw: int) -> RoundPlan:
        """Samples among the connected clients; each is a cohort of its own."""
        job = self._job
        population = self._roster.population
        sampled = sample(job, round_index, clock_s, draw, self._selector, self._devices)
        clients = tuple(map(int, sampled.clients))
        return RoundPlan(
            round_index=round_index,
            start_clock_s=clock_s,
            learning_rate=learning_rate(job, round_index),
            online=tuple(map(int, sampled.online)),
            sampled=clients,
            to_run=clients,
            stragglers=(),
            inactive=(),
            times={client: PlannedTimes() for client in clients},
            tasks={client: fixed_task(job, population, sampled, client) for client in clients},
            cohorts=tuple((client,) for client in clients),
            predictions=sampled.predictions,
        )

    def decided(self, plan: RoundPlan, reports: Reports, all_reported: bool) -> bool:
        """K successes are enough."""
        return all_reported or len(succeeded(reports)) >= self._job.selection.participants

    def verdict(self, plan: RoundPlan, reports: Reports) -> Verdict:
        """The first K that succeeded count (reports are in order of arrival); who has not reported is a straggler."""
        good = succeeded(reports)
        arrived = [client for client in reports if client in good]
        kept = tuple(arrived[: self._job.selection.participants])
        unheard = [client for client in plan.sampled if client not in reports]
        return Verdict(
            kept=kept,
            stragglers=(*arrived[len(kept) :], *unheard),
            dropped=tuple(client for client in plan.sampled if client in reports and client not in good),
            duration_s=max((reports[client].busy_s for client in kept), default=0.0),
        )
