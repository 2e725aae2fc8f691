"""What a job will start and roughly move, worked out from the job alone: what ``submit --dry-run`` prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fedswarm.jobs.built_in import PARTITIONS_WITH_OWN_CLIENTS
from fedswarm.jobs.schema import ClusterSection, Job
from fedswarm.rounds.exchange_choice import Way, reduces_by_peers, spreads_by_peers, way

if TYPE_CHECKING:
    from fedswarm.launch.peer_plan import PeerPlan

MODEL_WEIGHT_BYTES: Final = 4  # a model version travels as float32
SUM_WEIGHT_BYTES: Final = 8  # a partial sum of updates as float64

# Weights of the zoo's models with their default options on Fashion-MNIST (28 x 28 grey pixels, 10 classes). Exact
# numbers need the model itself and therefore torch, which planning must not import.
TYPICAL_WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {"lr": 7_850, "mlp": 199_210, "cnn": 1_199_882, "resnet18": 11_172_810}
)


@dataclass(frozen=True)
class PlannedProcess:
    """One process; port 0 means a free one, ``None`` that the process chooses its own."""

    role: str
    module: str
    host: str
    port: int | None


@dataclass(frozen=True)
class ExpectedTraffic:
    """Bytes of one round, all processes together, without framing."""

    model: int  # one copy of the weights
    broadcast: int  # to bring one copy to every executor
    broadcast_by_aggregator: int  # its share of that at best; peers relay the rest
    updates: int  # partial sums back to the aggregator, one an executor
    broadcast_way: Way  # what the job's `auto` comes to
    reduce_way: Way


@dataclass(frozen=True)
class LaunchPlan:
    """The processes of a run, who takes part in a round if all are online, and what travels.

    ``clients`` is ``None`` if only the data know, ``traffic`` for a model of the user's own. A job without an
    aggregator has ``peers`` and no ``traffic``.
    """

    job_name: str
    rounds: int
    processes: tuple[PlannedProcess, ...]
    clients: int | None
    sampled_clients: int
    training_clients: int
    participants: int
    clients_per_executor: float  # of those that train
    traffic: ExpectedTraffic | None
    peers: PeerPlan | None = None


def module_of(services: str, role: str) -> str:
    """The module that is started for a role: for ``tracker`` as for ``tracker-2`` it is ``services.tracker.main``."""
    return f"{services}.{role.partition('-')[0]}.main"


def tracker_ports(cluster: ClusterSection) -> dict[str, int]:
    """The port of each tracker by its role, 0 for a free one. An only tracker has no number."""
    if cluster.trackers == 1:
        return {"tracker": cluster.tracker_port}
    first = cluster.tracker_port
    return {f"tracker-{number}": first and first + number - 1 for number in range(1, cluster.trackers + 1)}


def plan_launch(job: Job, services: str = "services") -> LaunchPlan:
    """The plan of a job. Pure: looks at nothing but the job.

    Raises:
        TopologyError: the form of the links between peers does not fit their number.
    """
    if job.aggregation.mode == "decentralized":
        return _plan_of_peers(job, services)
    clients = _clients(job)
    wanted = math.floor(job.selection.participants * job.selection.overcommitment)
    sampled = wanted if clients is None else min(wanted, clients)
    participants = min(job.selection.participants, sampled)
    # Fixed steps are timed beforehand, so only those train that will count; elsewhere that shows afterwards.
    is_foreseen = job.experiment_mode == "simulation" and not job.training.adaptive.enabled
    training = participants if is_foreseen else sampled
    return LaunchPlan(
        job_name=job.job_name,
        rounds=job.rounds,
        processes=_processes(job, services),
        clients=clients,
        sampled_clients=sampled,
        training_clients=training,
        participants=participants,
        clients_per_executor=training / job.cluster.executors,
        traffic=_traffic(job),
    )


def _plan_of_peers(job: Job, services: str) -> LaunchPlan:
    """Every executor is a client, and all train."""
    from fedswarm.launch.peer_plan import plan_peers  # numpy, for these jobs alone

    peers, weights = job.cluster.executors, TYPICAL_WEIGHTS.get(job.model.name)
    return LaunchPlan(
        job_name=job.job_name,
        rounds=job.rounds,
        processes=_processes(job, services),
        clients=peers,
        sampled_clients=peers,
        training_clients=peers,
        participants=peers,
        clients_per_executor=1.0,
        traffic=None,
        peers=plan_peers(job, None if weights is None else weights * MODEL_WEIGHT_BYTES),
    )


def _clients(job: Job) -> int | None:
    if job.experiment_mode == "deployment":
        return job.cluster.executors
    return None if job.data.partition.kind in PARTITIONS_WITH_OWN_CLIENTS else job.data.clients


def _processes(job: Job, services: str) -> tuple[PlannedProcess, ...]:
    cluster = job.cluster
    executors = (
        PlannedProcess(f"executor-{number}", module_of(services, "executor"), cluster.host, None)
        for number in range(1, cluster.executors + 1)
    )
    trackers = (
        PlannedProcess(role, module_of(services, role), cluster.host, port)
        for role, port in tracker_ports(cluster).items()
    )
    aggregator = PlannedProcess("aggregator", module_of(services, "aggregator"), cluster.host, cluster.aggregator_port)
    return (
        *trackers,
        *(() if job.aggregation.mode == "decentralized" else (aggregator,)),
        PlannedProcess("zygote", "fedswarm.launch.zygote", cluster.host, None),
        *executors,
    )


def _traffic(job: Job) -> ExpectedTraffic | None:
    weights = TYPICAL_WEIGHTS.get(job.model.name)
    if weights is None:
        return None
    model, executors = weights * MODEL_WEIGHT_BYTES, job.cluster.executors
    spreads = spreads_by_peers(job.exchange, model, executors)
    reduces = job.experiment_mode == "simulation" and reduces_by_peers(job.exchange, weights, executors)
    return ExpectedTraffic(
        model=model,
        broadcast=model * executors,
        broadcast_by_aggregator=model * (1 if spreads else executors),
        updates=weights * SUM_WEIGHT_BYTES * executors,
        broadcast_way=way(spreads),
        reduce_way=way(reduces),
    )
