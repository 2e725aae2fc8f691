"""A round decided before anything runs: whom to sample, who is to train, and how the work is cut into cohorts.

How that is decided differs between the three ways a round can go (:mod:`~fedswarm.rounds.fixed_step`,
:mod:`~fedswarm.rounds.adaptive`, :mod:`~fedswarm.rounds.deployment`); what comes out is the same :class:`RoundPlan`.
It is a function of the job, the round, the clock and the selector's state; how many executors there are plays no part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fedswarm.devices.world import ClientIds, DeviceWorld
from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.references import is_reference
from fedswarm.selection.choice import check_choice
from fedswarm.selection.contract import Moment, Override, Selector
from fedswarm.training.steps import planned_steps

# Aim for this many leases a round, so that fast executors can take more and a lost one costs little.
LEASES_A_ROUND: Final = 16


@dataclass(frozen=True)
class PlannedTimes:
    """What the time model expects of one client, in virtual seconds; zero where nothing is expected beforehand."""

    download_s: float = 0.0
    compute_s: float = 0.0
    upload_s: float = 0.0

    @property
    def total_s(self) -> float:
        """From dispatch to result."""
        return self.download_s + self.compute_s + self.upload_s


@dataclass(frozen=True)
class PlannedTask:
    """What one client is to do: a number of mini-batches, or as many as a time budget allows.

    ``start_s`` is the virtual instant at which it holds the model and ``budget_s`` what it may spend from there on.
    Without a budget, ``dropout_fraction`` is the share of the trainable weights' changes that it is not to send.
    """

    client_id: int
    steps: int
    start_s: float = 0.0
    budget_s: float | None = None
    dropout_fraction: float = 0.0


@dataclass(frozen=True)
class RoundPlan:
    """One round; ``to_run`` and ``stragglers`` are in order of planned duration where there is one.

    ``predictions`` are the utilities that the policy expects, under the key that ROUND_BEGIN gives them.
    """

    round_index: int
    start_clock_s: float
    learning_rate: float
    online: tuple[int, ...]
    sampled: tuple[int, ...]
    to_run: tuple[int, ...]
    stragglers: tuple[int, ...]
    inactive: tuple[int, ...]
    times: Mapping[int, PlannedTimes]
    tasks: Mapping[int, PlannedTask]
    cohorts: tuple[tuple[int, ...], ...]
    predictions: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def shortage(self, needed: int) -> str:
        """Why the round cannot run, when fewer clients than needed could."""
        if not self.online:
            return "nobody is online"
        able = f"{len(self.to_run)} of the clients online stay" if self.to_run else "nobody online stays"
        return f"{able} for a whole round" + (f", {needed} are needed" if needed > 1 else "")


@dataclass(frozen=True)
class Population:
    """The clients of a run: ids ascending, and training samples of each."""

    client_ids: ClientIds
    samples: Mapping[int, int]

    @classmethod
    def of(cls, samples: Mapping[int, int]) -> Population:
        """From sample counts by id."""
        return cls(np.asarray(sorted(samples), dtype=np.int64), dict(samples))


@dataclass(frozen=True)
class Sampled:
    """Who was there, who was chosen, and what the policy asks and expects of them."""

    online: ClientIds
    clients: ClientIds
    overrides: Mapping[int, Override]
    predictions: Mapping[str, Mapping[int, float]]


def sample(
    job: Job,
    round_index: int,
    clock_s: float,
    draw: int,
    selector: Selector,
    devices: DeviceWorld,
) -> Sampled:
    """Has the selector choose ``floor(K x overcommitment)`` of the clients online.

    ``draw`` counts the selections made before: the key of the selector's randomness, so that a round that had to be
    skipped is not drawn the same way again. Raises :class:`~fedswarm.errors.RunFailedError` if the policy breaks its
    contract or, being the user's own, fails.
    """
    online = devices.online(clock_s)
    count = math.floor(job.selection.participants * job.selection.overcommitment)
    moment = Moment(clock_s, round_index, draw, online)
    try:
        clients = np.asarray(selector.select_participants(count, moment), dtype=np.int64)
        check_choice(clients, count, online)
        return Sampled(online, clients, selector.overrides(), selector.predicted_utilities())
    except Exception as problem:  # the user's class runs its own code here: anything may go wrong
        if isinstance(problem, FedswarmError) or not is_reference(job.selection.policy):
            raise
        fault = f"selection.policy {job.selection.policy}: {type(problem).__name__}: {problem}"
        raise RunFailedError(fault) from problem


def fixed_task(job: Job, population: Population, sampled: Sampled, client: int) -> PlannedTask:
    """What one client is to do without a budget: what the job says, or what the policy asks of this client."""
    override = sampled.overrides.get(client)
    if override is None:
        return PlannedTask(client, planned_steps(job.training, population.samples[client]))
    return PlannedTask(client, override.local_steps, dropout_fraction=override.dropout_fraction)


def learning_rate(job: Job, round_index: int) -> float:
    """The clients' learning rate in a round: decayed every ``decay_round`` rounds, never below the minimum."""
    training = job.training
    decayed = training.learning_rate * training.decay_factor ** (round_index // training.decay_round)
    return max(decayed, min(training.min_learning_rate, training.learning_rate))


def make_cohorts(clients: Iterable[int], size: int | str) -> tuple[tuple[int, ...], ...]:
    """Cuts the clients, by id, into groups that are leased as one; the last may be smaller."""
    ordered = sorted(clients)
    step = max(1, math.ceil(len(ordered) / LEASES_A_ROUND)) if isinstance(size, str) else size
    return tuple(tuple(ordered[start : start + step]) for start in range(0, len(ordered), step))
