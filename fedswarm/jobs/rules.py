"""Rules between the settings of a section, which no single one of them can break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fedswarm.jobs.built_in import PARTITIONS_WITH_OWN_CLIENTS


@dataclass(frozen=True)
class Rule:
    """``complaint`` gets the values at ``paths`` (below the section) and says what is wrong with them, if anything.

    A broken rule is told at the first of its paths that the job file has.
    """

    paths: tuple[tuple[str, ...], ...]
    complaint: Callable[..., str | None]


def beats_before_death(dead_after_s: float, heartbeat_s: float) -> str | None:
    """One late heartbeat is no death."""
    if dead_after_s >= 2 * heartbeat_s:
        return None
    return (
        f"dead_after_s {dead_after_s:g} is less than two heartbeats of {heartbeat_s:g} s, so an executor would be dead"
        f" as soon as one is late; write dead_after_s: {2 * heartbeat_s:g} or more, or a smaller heartbeat_s"
    )


def port_for_each_tracker(trackers: int, tracker_port: int) -> str | None:
    """Trackers take consecutive ports."""
    last = tracker_port + trackers - 1
    if tracker_port == 0 or last <= 65535:
        return None
    return (
        f"{trackers} trackers from port {tracker_port} on would need port {last};"
        f" write tracker_port: {65536 - trackers} or less"
    )


def distinct_ports(aggregator_port: int, tracker_port: int) -> str | None:
    """Two processes never listen on one port; 0 is none yet."""
    if not aggregator_port or aggregator_port != tracker_port:
        return None
    return f"aggregator and tracker cannot both listen on port {aggregator_port}; write 0 for a free one"


def name_of_one_run(job_name: str) -> str | None:
    """The command line has words for more than the runs of one job."""
    if job_name not in ("all", "latest"):
        return None
    return f"`fedswarm stop {job_name}` means other runs, too; write another name"


def map_with_path(kind: str, path: str | None) -> str | None:
    """A client map is a file."""
    if kind != "data_map" or path is not None:
        return None
    return "partition kind 'data_map' needs path: the CSV that maps clients to samples"


def steps_or_epochs(local_epochs: int | None, local_steps: int | None) -> str | None:
    """Two measures of the same thing."""
    return None if local_epochs is None or local_steps is None else "give local_steps or local_epochs, not both"


def reachable_minimum(min_clients: int, participants: int) -> str | None:
    """More than ``participants`` results never count."""
    if min_clients <= participants:
        return None
    return f"a round ends with {participants} results and never has {min_clients}; write {participants} or fewer"


def simulated_budget(adaptive: bool, experiment_mode: str) -> str | None:
    """A real device has no simulated time to spend."""
    if not adaptive or experiment_mode != "deployment":
        return None
    return (
        "training.adaptive spends simulated time, and deployment has real devices;"
        " write experiment_mode: simulation, or training.adaptive.enabled: false"
    )


def shard_for_each_device(executors: int, clients: int, partition: str, experiment_mode: str) -> str | None:
    """In deployment executor N holds shard N."""
    if experiment_mode != "deployment" or partition in PARTITIONS_WITH_OWN_CLIENTS or executors <= clients:
        return None
    return (
        f"{executors} executors cannot share {clients} shards: in deployment each is one client;"
        f" write cluster.executors: {clients} or fewer, or data.clients: {executors} or more"
    )


def pyramidfl_in_fixed_steps(policy: str, adaptive: bool, local_epochs: int | None) -> str | None:
    """PyramidFL sets each client's number of steps itself, from a common one."""
    if policy != "pyramidfl" or not (adaptive or local_epochs):
        return None
    if adaptive:
        return (
            "pyramidfl and training.adaptive both decide how long a client trains;"
            " write another selection.policy, or training.adaptive.enabled: false"
        )
    return "pyramidfl starts from a number of steps; write training.local_steps in place of training.local_epochs"


_TOPOLOGY_PARAMETERS: Final = {
    "degree": ("k_regular", "small_world"),
    "arity": ("tree",),
    "probability": ("erdos_renyi",),
    "rewiring": ("small_world",),
    "rows": ("torus",),
    "hub": ("star",),
    "links": ("custom",),
}
_NEEDED: Final = {"erdos_renyi": "probability", "custom": "links"}


def parameters_of_the_topology(kind: str, *values: object) -> str | None:
    """Each form has its own parameters, and two of them need one."""
    given = {name for name, value in zip(_TOPOLOGY_PARAMETERS, values, strict=True) if value is not None}
    needed = _NEEDED.get(kind)
    if needed is not None and needed not in given:
        return f"a topology of kind {kind!r} needs {needed}"
    strange = next((name for name in sorted(given) if kind not in _TOPOLOGY_PARAMETERS[name]), None)
    if strange is None:
        return None
    owners = " or ".join(_TOPOLOGY_PARAMETERS[strange])
    return f"{strange} says nothing about the topology {kind!r}; write kind: {owners}, or leave {strange} away"


def one_shape_of_a_link(link: str, up_mbps: float | None, down_mbps: float | None) -> str | None:
    """A link that is emulated has its own speeds."""
    if link == "none" or (up_mbps is None and down_mbps is None):
        return None
    given = "up_mbps" if up_mbps is not None else "down_mbps"
    return f"link {link!r} and {given} both say how fast a link is; leave {given} away, or write link: none"


def device_for_each_link(link: str, experiment_mode: str) -> str | None:
    """An executor of a simulation hosts many devices and has the link of none."""
    if link != "device" or experiment_mode == "deployment":
        return None
    return (
        "an executor has the link of its device only where it is one: write experiment_mode: deployment, or name a"
        " class of devices such as exchange.shaping.link: smartphone_low"
    )


def devices_without_an_aggregator(mode: str, experiment_mode: str) -> str | None:
    """A peer without an aggregator trains its own shard in its own time; nobody plans for simulated clients."""
    if mode != "decentralized" or experiment_mode == "deployment":
        return None
    return (
        "without an aggregator every executor is one real client: write experiment_mode: deployment,"
        " or aggregation.mode: centralized"
    )


def own_models_without_an_aggregator(before_averaging: bool, mode: str) -> str | None:
    """Where there is an aggregator, the clients' models are nowhere but in its sums."""
    if not before_averaging or mode == "decentralized":
        return None
    return (
        "an aggregator averages clients that nobody tests one by one: write aggregation.mode: decentralized,"
        " or before_averaging: false"
    )
