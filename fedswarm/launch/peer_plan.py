"""Who will exchange with whom in a job without an aggregator, and what that moves, worked out from the job alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fedswarm.jobs.schema import Job
from fedswarm.swarm.positional_topologies import Complete
from fedswarm.swarm.topology import Topology
from fedswarm.swarm.topology_choice import family_of, topology_of_job
from fedswarm.swarm.topology_statistics import statistics_of

TRACKER_SEED: Final = 0  # what trackers draw links with; they know no job's seed


@dataclass(frozen=True)
class PeerPlan:
    """The links between the founders, and the bytes of updates that all of them together receive in a round.

    Bytes are without framing, and ``None`` for a model of the user's own.
    """

    topology: str
    links: int
    mean_degree: float
    diameter: int
    received_bytes: int | None


def founding_topology(job: Job) -> Topology:
    """The links when every executor is up; raises :class:`TopologyError` if the form does not fit their number."""
    names = [str(number) for number in range(1, job.cluster.executors + 1)]
    return (family_of(topology_of_job(job)) or Complete()).build(names, TRACKER_SEED)


def plan_peers(job: Job, model_bytes: int | None) -> PeerPlan:
    """The plan; raises like :func:`founding_topology`."""
    statistics = statistics_of(founding_topology(job))
    pairs = statistics.peers * (statistics.peers - 1)
    copies = pairs if job.exchange.reach == "everyone" else 2 * statistics.edges
    return PeerPlan(
        topology=topology_of_job(job).kind,
        links=statistics.edges,
        mean_degree=statistics.mean_degree,
        diameter=statistics.diameter,
        received_bytes=None if model_bytes is None else copies * model_bytes,
    )
