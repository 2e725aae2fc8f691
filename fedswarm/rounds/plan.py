"""Planning a round: whom to sample, whom the time model expects in time, and how the work is cut into cohorts.

This is the fixed-step path of the FedScale family: the aggregator simulates download, compute and upload of each
sampled client, keeps those that stay active throughout, and of these the K fastest. Only they are trained. Everything
is a function of the job, the round, the virtual clock and the selector's state; how many executors there are plays no
part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedswarm.devices.time_model import Workload, megabits
from fedswarm.devices.world import ClientIds, DeviceWorld
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout
from fedswarm.selection.contract import Selector
from fedswarm.training.steps import planned_steps

# Aim for this many leases a round, so that fast executors can take more and a lost one costs little.
LEASES_A_ROUND = 16


@dataclass(frozen=True)
class PlannedTimes:
    """What the time model expects of one client, in virtual seconds."""

    download_s: float
    compute_s: float
    upload_s: float

    @property
    def total_s(self) -> float:
        """From dispatch to result."""
        return self.download_s + self.compute_s + self.upload_s


@dataclass(frozen=True)
class RoundPlan:
    """One round, decided before anything runs; ``to_run`` and ``stragglers`` are in order of planned duration."""

    round_index: int
    start_clock_s: float
    learning_rate: float
    online: tuple[int, ...]
    sampled: tuple[int, ...]
    to_run: tuple[int, ...]
    stragglers: tuple[int, ...]
    inactive: tuple[int, ...]
    times: Mapping[int, PlannedTimes]
    steps: Mapping[int, int]
    cohorts: tuple[tuple[int, ...], ...]

    @property
    def duration_s(self) -> float:
        """Virtual seconds until the slowest client that runs is done; 0 when nobody runs."""
        return self.times[self.to_run[-1]].total_s if self.to_run else 0.0


@dataclass(frozen=True)
class Population:
    """The clients of a run: ids ascending, and training samples of each."""

    client_ids: ClientIds
    samples: Mapping[int, int]


def plan_round(
    job: Job,
    round_index: int,
    clock_s: float,
    population: Population,
    layout: Layout,
    selector: Selector,
    devices: DeviceWorld,
) -> RoundPlan:
    """Decides round ``round_index``, which starts at virtual instant ``clock_s``."""
    online = np.intersect1d(devices.online(clock_s), population.client_ids)
    count = math.floor(job.selection.participants * job.selection.overcommitment)
    sampled = selector.select_participants(count, online, round_index)
    steps = {int(client): planned_steps(job.training, population.samples[int(client)]) for client in sampled}
    work = Workload(
        model_mbit=megabits(layout.nbytes),
        weights=layout.size,
        batch_size=job.training.batch_size,
        steps=np.asarray([steps[int(client)] for client in sampled], dtype=np.int64),
    )
    phases = devices.phase_times(sampled, round_index, clock_s, work)
    totals = phases.total_s
    stays = np.isfinite(totals) & devices.active_throughout(sampled, clock_s, clock_s + totals)
    order = np.lexsort((sampled, totals))  # by duration, then by id
    finishing = [int(sampled[row]) for row in order if stays[row]]
    to_run = tuple(finishing[: job.selection.participants])
    return RoundPlan(
        round_index=round_index,
        start_clock_s=clock_s,
        learning_rate=learning_rate(job, round_index),
        online=tuple(map(int, online)),
        sampled=tuple(map(int, sampled)),
        to_run=to_run,
        stragglers=tuple(finishing[job.selection.participants :]),
        inactive=tuple(int(sampled[row]) for row in range(len(sampled)) if not stays[row]),
        times={
            int(client): PlannedTimes(*map(float, times))
            for client, *times in zip(sampled, phases.download_s, phases.compute_s, phases.upload_s, strict=True)
        },
        steps=steps,
        cohorts=make_cohorts(to_run, job.cluster.cohort_clients),
    )


def learning_rate(job: Job, round_index: int) -> float:
    """The clients' learning rate in a round: decayed every ``decay_round`` rounds, never below the minimum."""
    training = job.training
    decayed = training.learning_rate * training.decay_factor ** (round_index // training.decay_round)
    return max(decayed, min(training.min_learning_rate, training.learning_rate))


def make_cohorts(clients: tuple[int, ...], size: int | str) -> tuple[tuple[int, ...], ...]:
    """Cuts the clients, by id, into groups that are leased as one; the last may be smaller."""
    ordered = sorted(clients)
    step = max(1, math.ceil(len(ordered) / LEASES_A_ROUND)) if isinstance(size, str) else size
    return tuple(tuple(ordered[start : start + step]) for start in range(0, len(ordered), step))
