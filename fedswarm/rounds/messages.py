"""What the round machine hears (events) and what it asks for (instructions).

Both are plain values: tests feed events by hand, the aggregator's shell translates them from and to the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from fedswarm.errors import RunFailedError
from fedswarm.models.layout import Layout
from fedswarm.records.schema import Record
from fedswarm.rounds.plan import PlannedTask
from fedswarm.training.task import BlockResult

EndReason = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class ClientReport:
    """How a client's training went. Its weights are not here: they stay with the executor until the verdict.

    Times are virtual seconds that the executor simulated (adaptive training) or wall seconds that it measured
    (deployment, where the aggregator adds the upload); they are zero where the plan already knows them.
    """

    client_id: int
    success: bool
    error: str = ""
    moving_loss: float = 0.0
    utility: float = 0.0
    delta_norm: float = 0.0
    steps: int = 0
    trained_samples: int = 0
    download_s: float = 0.0
    compute_s: float = 0.0
    upload_s: float = 0.0
    steps_phase1: int = 0
    steps_phase2: int = 0
    dropout_fraction: float = 0.0
    went_away: bool = False  # it failed because its device went offline or had too little time: nobody's fault

    @property
    def busy_s(self) -> float:
        """What the executor found the client to take."""
        return self.download_s + self.compute_s + self.upload_s


# Events


@dataclass(frozen=True)
class ExecutorJoined:
    """An executor registered: what it can reach, its clients (ids to sample counts) and its model's layout."""

    executor: str
    target: str
    layout: Layout
    clients: dict[int, int]
    test_blocks: int


@dataclass(frozen=True)
class ExecutorLost:
    """An executor's session ended or went silent."""

    executor: str
    reason: str


@dataclass(frozen=True)
class InitialModelArrived:
    """The initial model is here and verified, not yet adopted."""

    order_id: int


@dataclass(frozen=True)
class InitialModelFailed:
    """The executor that was asked could not deliver the initial model."""

    order_id: int
    error: str


@dataclass(frozen=True)
class TrainReported:
    """A lease of training is done."""

    executor: str
    lease_id: int
    clients: tuple[ClientReport, ...]


@dataclass(frozen=True)
class EvaluationReported:
    """A lease of testing is done."""

    executor: str
    lease_id: int
    blocks: tuple[BlockResult, ...]


@dataclass(frozen=True)
class LeaseFailed:
    """An executor could not do a lease at all."""

    executor: str
    lease_id: int
    error: str


@dataclass(frozen=True)
class SumFetched:
    """The partial sum of an upload order is here and verified, not yet added to the round's total.

    ``upload_s`` is how long it was on its way, in wall seconds.
    """

    order_id: int
    upload_s: float = 0.0


@dataclass(frozen=True)
class SumFailed:
    """The sum that was ordered cannot be had: through the fault of one executor, or nobody's in particular."""

    order_id: int
    error: str
    culprit: str = ""


@dataclass(frozen=True)
class Traffic:
    """Chunk bytes since the run began: through the aggregator, directly between executors, and in vain."""

    sent: int = 0
    received: int = 0
    peers: int = 0
    wasted: int = 0

    def since(self, before: Traffic) -> Traffic:
        """What came after ``before``; never negative, though executors' reports of it may lag behind."""
        return Traffic(
            sent=max(0, self.sent - before.sent),
            received=max(0, self.received - before.received),
            peers=max(0, self.peers - before.peers),
            wasted=max(0, self.wasted - before.wasted),
        )


@dataclass(frozen=True)
class ModelStepped:
    """The server algorithm made the next model version.

    ``traffic`` are totals so far.
    """

    version: int
    traffic: Traffic


@dataclass(frozen=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True)
class ShellBroke:
    """Something in the shell failed that never should: the run cannot go on."""

    error: str


@dataclass(frozen=True)
class StopRequested:
    """Somebody wants the run to end early."""

    reason: str


Event: TypeAlias = (
    ExecutorJoined
    | ExecutorLost
    | InitialModelArrived
    | InitialModelFailed
    | TrainReported
    | EvaluationReported
    | LeaseFailed
    | SumFetched
    | SumFailed
    | ModelStepped
    | Tick
    | ShellBroke
    | StopRequested
)


# Instructions


@dataclass(frozen=True)
class RefuseExecutor:
    """Send an executor away: it does not fit this run, or fails again and again."""

    executor: str
    reason: str


@dataclass(frozen=True)
class RequestInitialModel:
    """Ask this executor to build and offer the initial model, and fetch it."""

    executor: str
    order_id: int


@dataclass(frozen=True)
class AdoptModel:
    """Make what this order fetched the server's model, version 0."""

    order_id: int


@dataclass(frozen=True)
class DropFetched:
    """What this order fetched is not wanted any more."""

    order_id: int


@dataclass(frozen=True)
class PublishModel:
    """Offer the server's current weights to everybody as this model version."""

    version: int


@dataclass(frozen=True)
class SendModel:
    """Tell one executor (a late joiner) of the current model version."""

    executor: str


@dataclass(frozen=True)
class SendTrain:
    """Lease a cohort."""

    executor: str
    lease_id: int
    round_index: int
    learning_rate: float
    tasks: tuple[PlannedTask, ...]


@dataclass(frozen=True)
class SendTest:
    """Lease test blocks of this model version."""

    executor: str
    lease_id: int
    version: int
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class SumPart:
    """What one executor adds to a sum: the updates of these leases with these shares."""

    executor: str
    lease_ids: tuple[int, ...]
    shares: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class OrderSum:
    """Have executors sum their updates, and fetch the sum of it all; several executors add up among themselves."""

    order_id: int
    round_index: int
    parts: tuple[SumPart, ...]


@dataclass(frozen=True)
class AddSum:
    """Add a fetched sum to the round's total."""

    order_id: int


@dataclass(frozen=True)
class DiscardSums:
    """Forget the round's total and every sum fetched for it: the shares they were made with changed."""


@dataclass(frozen=True)
class StepModel:
    """Apply the round's total to the server's model, giving this version."""

    version: int


@dataclass(frozen=True)
class CloseRound:
    """Nobody needs the updates of this round any more."""

    round_index: int


@dataclass(frozen=True)
class WriteRecord:
    """Append to the run's records."""

    record: Record


@dataclass(frozen=True)
class SaveModel:
    """Write the server's weights as a checkpoint."""


@dataclass(frozen=True)
class Finish:
    """The run is over; tell the executors, then end."""

    reason: EndReason
    error: RunFailedError | None = None


Instruction: TypeAlias = (
    RefuseExecutor
    | RequestInitialModel
    | AdoptModel
    | DropFetched
    | PublishModel
    | SendModel
    | SendTrain
    | SendTest
    | OrderSum
    | AddSum
    | DiscardSums
    | StepModel
    | CloseRound
    | WriteRecord
    | SaveModel
    | Finish
)
