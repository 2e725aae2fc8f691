"""What a run tells the world: one frozen class a record, its payload in the spelling of the FedScale family.

Keys that the family's logs had keep their names and meaning (``t_dl``, ``loss_avg``, ``<mode>_client_information``);
new keys are added beside them. Every time says which clock it is on: *virtual* seconds are those of the simulated
devices since the start of the job, *wall* seconds are those of the machine that runs fedswarm.

A round counts from 0. ``round`` follows the family's habit: in ROUND_BEGIN and TEST_RESULT it is the round about to
run, in the two summaries it is the round after that. ``completed_round`` in the summaries is the one they describe, so
ROUND_BEGIN joins to a summary by ``round == completed_round``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from fedswarm.records.client_outcome import ClientOutcome, ClientTimes, Payload
from fedswarm.records.spread import Spread, spread_keys

SCHEMA = 1
"""Version of the record format; it grows when a key changes its meaning (a new key is no change)."""


class Record(Protocol):
    """Anything that can be written to the round log."""

    tag: ClassVar[str]

    def payload(self) -> Payload:
        """The record's keys and values, ready for JSON but for NumPy scalars and numbers that are not finite."""
        ...


@dataclass(frozen=True)
class JobConfig:
    """First record of a run: the resolved job, the version that runs it, the seed all randomness follows from."""

    tag: ClassVar[str] = "JOB_CONFIG"
    job: Mapping[str, Any]
    version: str
    seed: int

    def payload(self) -> Payload:
        """``job`` (nested object), ``version``, ``seed``."""
        return {"job": dict(self.job), "version": self.version, "seed": self.seed}


@dataclass(frozen=True)
class DevicesExcluded:
    """Devices of the job's population that cannot be used; clients are dealt to the others."""

    tag: ClassVar[str] = "DEVICES_EXCLUDED"
    reasons: Sequence[str]

    def payload(self) -> Payload:
        """``count``, and the first ten ``reasons`` (file, device, field, fault)."""
        return {"count": len(self.reasons), "reasons": list(self.reasons[:10])}


@dataclass(frozen=True)
class Federation:
    """Written once all executors are up: who can take part, and how large the model is.

    ``broadcast`` and ``reduce`` say which ways weights go with these executors: ``swarm`` or ``direct``.

    Without an aggregator the clients are the peers that begin the job, the samples those of their shards, and the
    other four say how the job has them linked, should all have come up.
    """

    tag: ClassVar[str] = "FEDERATION"
    clients: int
    samples: int
    model_parameters: int
    model_bytes: int
    topology: str | None = None
    links: int | None = None
    mean_degree: float | None = None
    diameter: int | None = None
    broadcast: str | None = None
    reduce: str | None = None

    def payload(self) -> Payload:
        """``clients`` and ``samples`` that are admitted, ``model_parameters`` (weights), ``model_bytes``.

        With an aggregator ``broadcast`` and ``reduce``; without one ``topology`` (its form), ``links`` (between how
        many pairs of peers), ``mean_degree`` (links of a peer) and ``diameter`` (how far apart two peers are at most).
        """
        ways = ("topology", "links", "mean_degree", "diameter", "broadcast", "reduce")
        return {
            **{key: value for key in ways if (value := getattr(self, key)) is not None},
            "clients": self.clients,
            "samples": self.samples,
            "model_parameters": self.model_parameters,
            "model_bytes": self.model_bytes,
        }


@dataclass(frozen=True)
class ExecutorJoin:
    """An executor registered (again, after a loss)."""

    tag: ClassVar[str] = "EXECUTOR_JOIN"
    executor_id: str
    target: str
    clients: int

    def payload(self) -> Payload:
        """``executor_id``, ``target`` (host:port), ``clients`` (how many it can host)."""
        return {"executor_id": self.executor_id, "target": self.target, "clients": self.clients}


@dataclass(frozen=True)
class ExecutorLost:
    """An executor is gone; the leases it held were given to others."""

    tag: ClassVar[str] = "EXECUTOR_LOST"
    executor_id: str
    reason: str
    leases: int

    def payload(self) -> Payload:
        """``executor_id``, ``reason``, ``leases`` (pieces of work issued again)."""
        return {"executor_id": self.executor_id, "reason": self.reason, "leases": self.leases}


@dataclass(frozen=True)
class LeasesOverdue:
    """Work took longer than ``cluster.lease_timeout_s`` and was offered to other executors as well."""

    tag: ClassVar[str] = "LEASES_OVERDUE"
    round: int
    executor_id: str
    leases: int

    def payload(self) -> Payload:
        """``round``, ``executor_id`` (who is late), ``leases`` (pieces of work)."""
        return {"round": self.round, "executor_id": self.executor_id, "leases": self.leases}


@dataclass(frozen=True)
class RoundBegin:
    """A round was planned and is about to be dispatched.

    ``online`` are the clients available at ``clock_start_s``, ``sampled`` those the policy chose (over-commitment
    included), ``to_run`` those that will train, ``planned_stragglers`` the surplus that the time model rules out.
    """

    tag: ClassVar[str] = "ROUND_BEGIN"
    round: int
    clock_start_s: float
    pacer: Mapping[str, Any]
    online: Sequence[int]
    sampled: Sequence[int]
    to_run: Sequence[int]
    planned_stragglers: Sequence[int] = ()
    planned_times: Mapping[int, ClientTimes] = field(default_factory=dict)
    executors: Sequence[str] = ()
    feasible_clients: int | None = None
    predictions: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def payload(self) -> Payload:
        """``start_clock`` is virtual; lists hold client ids; ``feasible_clients`` counts online and offline ones.

        A policy that expects utilities adds its own keys (``pre_util``, ``bliss_pred_seen``, ``bliss_pred_unseen``).
        """
        return {
            **_by_client(self.predictions),
            "round": self.round,
            "start_clock": self.clock_start_s,
            "pacer": dict(self.pacer),
            "online": _ids(self.online),
            "sampled_overcommitted": _ids(self.sampled),
            "to_run": _ids(self.to_run),
            "planned_stragglers": _ids(self.planned_stragglers),
            "client_times_planned": {str(client): times.payload() for client, times in self.planned_times.items()},
            "executors": list(self.executors),
            "feasible_clients": self.feasible_clients,
        }


@dataclass(frozen=True)
class RoundSummary:
    """A round is over and its model is made.

    ``sampled_clients`` and ``planned_clients`` count the sampled and the dispatched clients. Bytes are those of chunks
    during the round: sent and received by the aggregator, moved directly between executors, and received in vain.
    Without an aggregator every peer has its own figures: ``over_peers`` holds some of them.
    """

    tag: ClassVar[str] = "ROUND_SUMMARY"
    completed_round: int
    clock_start_s: float
    duration_s: float
    completed: Sequence[int]
    stragglers: Sequence[int]
    dropped: Sequence[int]
    loss_avg: float
    client_times: Mapping[int, ClientTimes]
    wall_s: float
    bytes_sent: int
    bytes_received: int
    bytes_peers: int
    bytes_wasted: int
    sampled_clients: int
    planned_clients: int
    utilities: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    over_peers: Mapping[str, Spread] = field(default_factory=dict)

    def payload(self) -> Payload:
        """``clock_start``, ``clock_end``, ``duration`` are virtual s; ``wall_s`` is how long the round really took.

        A policy that expects utilities adds what it expected and what came of it, under keys of its own
        (``oort_pyr_util_before`` and ``_after``, ``bliss_pred_seen`` and ``bliss_actual_seen``, ``..._unseen``).
        """
        return {
            **_by_client(self.utilities),
            **spread_keys(self.over_peers),
            "round": self.completed_round + 1,
            "completed_round": self.completed_round,
            "clock_start": self.clock_start_s,
            "clock_end": self.clock_start_s + self.duration_s,
            "duration": self.duration_s,
            "completed": _ids(self.completed),
            "stragglers": _ids(self.stragglers),
            "dropped": _ids(self.dropped),
            "loss_avg": self.loss_avg,
            "client_times": {str(client): times.payload() for client, times in self.client_times.items()},
            "wall_s": self.wall_s,
            "bytes_aggregator": self.bytes_sent + self.bytes_received,
            "bytes_aggregator_sent": self.bytes_sent,
            "bytes_aggregator_received": self.bytes_received,
            "bytes_peers": self.bytes_peers,
            "bytes_wasted": self.bytes_wasted,
            "sampled_clients": self.sampled_clients,
            "planned_clients": self.planned_clients,
        }


@dataclass(frozen=True)
class ClientInfo:
    """What every client of a finished round did, twice: by position for old notebooks, by name for new ones.

    The family wrote 0 where a policy ignores utility or steps; here the positions always hold what was measured.
    """

    tag: ClassVar[str] = "CLIENT_INFO"
    completed_round: int
    clock_start_s: float
    duration_s: float
    loss_avg: float
    mode: str
    clients: Mapping[int, ClientOutcome]

    def payload(self) -> Payload:
        """``<mode>_client_information``: id to nine positions; ``clients``: id to named keys; clocks are virtual s."""
        return {
            "round": self.completed_round + 1,
            "completed_round": self.completed_round,
            "clock_start": self.clock_start_s,
            "clock_end": self.clock_start_s + self.duration_s,
            "duration": self.duration_s,
            "loss_avg": self.loss_avg,
            f"{self.mode}_client_information": {str(c): outcome.positional() for c, outcome in self.clients.items()},
            "clients": {str(client): outcome.payload() for client, outcome in self.clients.items()},
        }


@dataclass(frozen=True)
class SelectionMetrics:
    """What a policy knows after a round, summed up by itself."""

    tag: ClassVar[str] = "SELECTION_METRICS"
    completed_round: int
    policy: str
    metrics: Mapping[str, Any]

    def payload(self) -> Payload:
        """``metrics`` in the policy's own words; those of Bliss are the family's ``getAllMetrics``."""
        return {"completed_round": self.completed_round, "policy": self.policy, "metrics": dict(self.metrics)}


@dataclass(frozen=True)
class TestResult:
    """The global model on the test set, before round ``round`` is trained (that is, after ``round`` rounds).

    Without an aggregator there is a model at each peer: the figures are means, and ``over_peers`` holds their spreads.
    """

    __test__: ClassVar[bool] = False  # the name is the family's; pytest must not collect it
    tag: ClassVar[str] = "TEST_RESULT"
    round: int
    clock_s: float
    loss: float
    top1: float
    top5: float
    samples: int
    over_peers: Mapping[str, Spread] = field(default_factory=dict)

    def payload(self) -> Payload:
        """``clock`` virtual s; ``top1`` and ``top5`` shares of ``samples`` in 0..1; ``loss`` mean over samples."""
        return {
            **spread_keys(self.over_peers),
            "round": self.round,
            "clock": self.clock_s,
            "loss": self.loss,
            "top1": self.top1,
            "top5": self.top5,
            "samples": self.samples,
        }


@dataclass(frozen=True)
class RoundSkipped:
    """Nobody could take part, so the virtual clock moved on without a round."""

    tag: ClassVar[str] = "ROUND_SKIPPED"
    round: int
    clock_from_s: float
    clock_to_s: float
    reason: str

    def payload(self) -> Payload:
        """``clock_from`` and ``clock_to`` are virtual s."""
        return {
            "round": self.round,
            "clock_from": self.clock_from_s,
            "clock_to": self.clock_to_s,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class CheckpointSaved:
    """The model after ``round`` rounds lies complete at ``path`` (relative to the run folder)."""

    tag: ClassVar[str] = "CHECKPOINT"
    round: int
    path: str

    def payload(self) -> Payload:
        """``round``, ``path``."""
        return {"round": self.round, "path": self.path}


@dataclass(frozen=True)
class Shutdown:
    """Last record of a run: how it ended, after ``round`` completed rounds."""

    tag: ClassVar[str] = "SHUTDOWN"
    reason: Literal["finished", "stopped", "failed"]
    round: int
    clock_s: float
    wall_s: float
    message: str = ""

    def payload(self) -> Payload:
        """``clock`` virtual s at the end; ``wall_s`` of the whole run; ``message`` says why it failed."""
        return {
            "reason": self.reason,
            "round": self.round,
            "clock": self.clock_s,
            "wall_s": self.wall_s,
            "message": self.message,
        }


def _by_client(groups: Mapping[str, Mapping[int, float]]) -> Payload:
    return {key: {str(client): value for client, value in group.items()} for key, group in groups.items()}


def _ids(clients: Sequence[int]) -> list[int]:
    return [int(client) for client in clients]
