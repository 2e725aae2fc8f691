"""The job: everything that decides what a run computes, as frozen, strict models.

Unknown keys are errors. Every field carries its unit and meaning; ``fedswarm schema`` prints them as JSON schema.
Nothing here reads a file: see :mod:`fedswarm.jobs.load`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from fedswarm.jobs.exchange_sections import ExchangeSection
from fedswarm.jobs.rules import (
    Rule,
    beats_before_death,
    device_for_each_link,
    devices_without_an_aggregator,
    distinct_ports,
    map_with_path,
    name_of_one_run,
    own_models_without_an_aggregator,
    port_for_each_tracker,
    pyramidfl_in_fixed_steps,
    shard_for_each_device,
    simulated_budget,
    steps_or_epochs,
)
from fedswarm.jobs.section import Section, Text
from fedswarm.jobs.selection_sections import SelectionSection

NAME_RULE = "letters, digits, '.', '_' and '-', at most 100 of them, a letter or digit first"
Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", json_schema_extra={"patternErrorMessage": NAME_RULE})
]
Clients = Annotated[int, Field(ge=1)]


class ClusterSection(Section):
    """Which processes run, and where."""

    rules = (
        Rule((("dead_after_s",), ("heartbeat_s",)), beats_before_death),
        Rule((("trackers",), ("tracker_port",)), port_for_each_tracker),
        Rule((("aggregator_port",), ("tracker_port",)), distinct_ports),
    )

    launcher: Literal["local"] = Field("local", description="how processes are started")
    executors: int = Field(2, ge=1, le=4096, description="executor processes; in deployment the real clients")
    host: Text = Field("127.0.0.1", description="address to bind; loopback unless the cluster spans hosts")
    aggregator_port: int = Field(0, ge=0, le=65535, description="0 takes a free port")
    trackers: int = Field(1, ge=1, le=16, description="trackers; peers use all of them, and do with those left")
    tracker_port: int = Field(
        0, ge=0, le=65535, description="0 takes free ports; otherwise the first tracker's, the next port the second's"
    )
    cohort_clients: Clients | Literal["auto"] = Field("auto", description="clients in one lease of work")
    heartbeat_s: float = Field(1.0, ge=0.05, description="seconds between heartbeats on an executor's session")
    dead_after_s: float = Field(
        6.0, gt=0, description="silence after which an executor counts as dead; at least two heartbeats"
    )
    lease_timeout_s: float = Field(900.0, gt=0, description="a lease not reported by then is issued again")
    start_timeout_s: float = Field(180.0, gt=0, description="how long the run waits for its executors to come up")
    rejoin_timeout_s: float = Field(5.0, ge=0, description="how long an executor seeks a lost aggregator")


class PartitionSection(Section):
    """How training samples are dealt to clients."""

    rules = (Rule((("kind",), ("path",)), map_with_path),)

    kind: Literal["iid", "dirichlet", "shards", "natural", "data_map"] = Field(
        "iid", description="the rule of the deal"
    )
    alpha: float = Field(0.5, gt=0, description="dirichlet: concentration; small is skewed")
    shards_per_client: int = Field(2, ge=1, description="shards: label-sorted pieces each client gets")
    path: Text | None = Field(None, description="data_map: a CSV client_id,sample_path,label_name,label_id")


class DataSection(Section):
    """Which samples, and who holds them."""

    name: Text = Field("fashion_mnist", description="a built-in data set, or module:function of your own")
    folder: Text | None = Field(
        None, description="where the data lie, relative to the working directory; absent: the embedded subset"
    )
    clients: int = Field(100, ge=1, description="simulated clients; natural users and data maps bring their own number")
    partition: PartitionSection = Field(PartitionSection(), description="how samples are dealt to clients")
    min_samples: int = Field(1, ge=1, description="clients with fewer training samples are not admitted")
    max_samples: int | None = Field(None, ge=1, description="clients with more training samples are not admitted")


class ModelSection(Section):
    """The network."""

    name: Text = Field("cnn", description="lr, mlp, cnn, resnet18, or module:function of your own")
    options: dict[str, int | float | str | bool] = Field({}, description="keyword arguments of the model's builder")


class AdaptiveSection(Section):
    """Training as much as a client's time allows, then sending as much of the update as it still allows."""

    enabled: bool = Field(
        False, description="train until selection.t_budget_s is spent, in place of local_steps or local_epochs"
    )
    recheck_steps: int = Field(5, ge=1, description="phase 1: mini-batches between two looks at the time left")
    ewma_lambda: float = Field(0.7, ge=0, lt=1, description="phase 2: memory of the smoothed gain, 0 forgets at once")
    min_payload_frac: float = Field(0.3, gt=0, le=1, description="smallest share of the update that is worth sending")
    run_phase_2: bool = Field(True, description="go on step by step while the compressed update still grows")
    max_local_epochs: int | None = Field(None, ge=1, description="no more passes over a client's shard than these")


DEFAULT_STEPS: Final = 20  # where a job gives neither local_steps nor local_epochs


class TrainingSection(Section):
    """What a client does with the model it gets."""

    rules = (Rule((("local_epochs",), ("local_steps",)), steps_or_epochs),)

    local_steps: int | None = Field(
        None, ge=1, description="mini-batches a client trains; 20 if neither it nor local_epochs is given"
    )
    local_epochs: int | None = Field(None, ge=1, description="passes over a client's shard, instead of local_steps")
    batch_size: int = Field(16, ge=1, description="samples in a mini-batch")
    learning_rate: float = Field(0.05, gt=0, description="step size of the clients' SGD in the first round")
    min_learning_rate: float = Field(5e-5, ge=0, description="floor of the decay")
    decay_factor: float = Field(0.98, gt=0, le=1, description="learning rate multiplier every decay_round rounds")
    decay_round: int = Field(10, ge=1, description="rounds between decays")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the clients' SGD")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty of the clients' SGD")
    loss_decay: float = Field(0.2, ge=0, le=1, description="weight of the newest batch in the moving loss")
    proximal_mu: float = Field(0.0, ge=0, description="FedProx: strength of the pull to the round's start model")
    adaptive: AdaptiveSection = Field(AdaptiveSection(), description="training as much as a client's time allows")


class AggregationSection(Section):
    """How updates become the next model."""

    mode: Literal["centralized", "decentralized"] = Field(
        "centralized", description="who makes the next model: one aggregator, or every peer its own"
    )
    algorithm: Literal["fedavg"] = Field("fedavg", description="server algorithm")
    weighting: Literal["samples", "uniform"] = Field("samples", description="a client's weight in the mean")
    grid_bits: int = Field(40, ge=20, le=48, description="sums are exact on multiples of 2^-grid_bits")
    missing: Literal["renormalise", "shrink", "capped"] = Field(
        "renormalise", description="decentralized: how far a chunk moves when not everybody's arrived"
    )
    missing_cap: float = Field(2.5, ge=1, le=1e6, description="capped: how many times those that arrived may count")
    consensus_every: int = Field(
        0, ge=0, description="decentralized: rounds between averages of the peers' models, and one at the end; 0: never"
    )


class EvaluationSection(Section):
    """When and how the global model is tested."""

    interval: int = Field(5, ge=1, description="rounds between tests; the final model is always tested")
    batch_size: int = Field(250, ge=1, description="samples in a test block")
    ratio: float = Field(1.0, gt=0, le=1, description="share of the test set used")
    before_averaging: bool = Field(
        False, description="decentralized: also test each peer's own trained model, in the same rounds"
    )


class DevicesSection(Section):
    """The simulated devices' speeds."""

    population: Text = Field(
        "static", description="static (always on, one speed each), default, or a file that fedswarm devices wrote"
    )
    clock_factor: float = Field(1.0, gt=0, description="scales compute and network time alike")
    compute_scale: float | None = Field(None, gt=0, description="scales compute time; clock_factor when absent")
    network_scale: float | None = Field(None, gt=0, description="scales transfer time; clock_factor when absent")


class Job(Section):
    """A whole job, as ``job.yml`` in the run folder shows it resolved."""

    rules = (
        Rule((("job_name",),), name_of_one_run),
        Rule((("training", "adaptive", "enabled"), ("experiment_mode",)), simulated_budget),
        Rule(
            (("cluster", "executors"), ("data", "clients"), ("data", "partition", "kind"), ("experiment_mode",)),
            shard_for_each_device,
        ),
        Rule(
            (("selection", "policy"), ("training", "adaptive", "enabled"), ("training", "local_epochs")),
            pyramidfl_in_fixed_steps,
        ),
        Rule((("exchange", "shaping", "link"), ("experiment_mode",)), device_for_each_link),
        Rule((("aggregation", "mode"), ("experiment_mode",)), devices_without_an_aggregator),
        Rule((("evaluation", "before_averaging"), ("aggregation", "mode")), own_models_without_an_aggregator),
    )

    job_name: Name = Field("demo_job", description="names the run folder and <job_name>_logging")
    seed: int = Field(233, ge=0, le=2**63 - 1, description="every random draw of the run follows from it")
    experiment_mode: Literal["simulation", "deployment"] = Field(
        "simulation", description="executors emulate many clients, or each is one real device"
    )
    rounds: int = Field(50, ge=1, description="training rounds")
    cluster: ClusterSection = Field(ClusterSection(), description="which processes run, and where")
    data: DataSection = Field(DataSection(), description="which samples, and who holds them")
    model: ModelSection = Field(ModelSection(), description="the network")
    training: TrainingSection = Field(TrainingSection(), description="what a client does with the model it gets")
    selection: SelectionSection = Field(SelectionSection(), description="who takes part in a round")
    aggregation: AggregationSection = Field(AggregationSection(), description="how updates become the next model")
    evaluation: EvaluationSection = Field(EvaluationSection(), description="when and how the global model is tested")
    devices: DevicesSection = Field(DevicesSection(), description="the simulated devices' speeds")
    exchange: ExchangeSection = Field(ExchangeSection(), description="how weights travel")
