"""A whole cluster played in memory around one round machine: random orders, deaths, joins, failures, duplicates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from fedswarm.aggregation.grid import Grid
from fedswarm.aggregation.server_algorithm import FedAvg, ServerState
from fedswarm.devices.worlds import MakeWorld, open_world
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.randomness import generator
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from fedswarm.rounds.machine import RoundMachine
from fedswarm.rounds.plan import PlannedTask
from fedswarm.selection.contract import Feedback
from fedswarm.training.task import BlockResult

LAYOUT = Layout((TensorSpec("w", (6,)),))
CLIENTS = {client: 20 + client for client in range(30)}
TEST_BLOCKS = 3


def job(**changes: Any) -> Job:
    settings_: dict[str, Any] = {
        "rounds": 4,
        "cluster": {"executors": 2},
        "selection": {"participants": 8},
        "evaluation": {"interval": 2},
        **changes,
    }
    return Job.model_validate(settings_)


def toy_delta(round_index: int, client: int, weights: np.ndarray) -> np.ndarray:
    """Training, as far as the machine can tell: a function of the round, the client and the model."""
    draws = generator(1, round_index, "toy", client).standard_normal(LAYOUT.size)
    return (0.1 * draws - 0.05 * weights).astype(np.float32)


@dataclass
class Executor:
    """Holds updates until their verdict; answers wait in ``outbox`` until the rehearsal delivers them."""

    name: str
    outbox: deque[msg.Event] = field(default_factory=deque)
    updates: dict[tuple[int, int], dict[int, np.ndarray]] = field(default_factory=dict)


class Rehearsal:
    """Plays aggregator shell and executors around one machine; ``draws`` decides what happens next."""

    def __init__(
        self,
        the_job: Job,
        seed: int,
        fails: Callable[[int, int], bool] = lambda *_: False,
        make_world: MakeWorld | None = None,
    ) -> None:
        self.job = the_job
        self.machine = RoundMachine(the_job, 0.0, make_world or open_world(the_job).make)
        self.draws = np.random.default_rng(seed)
        self.fails = fails
        self.now_s = 0.0
        self.executors: dict[str, Executor] = {}
        self.records: list[records.Record] = []
        self.state: ServerState | None = None
        self.versions: dict[int, np.ndarray] = {}
        self.total = np.zeros(LAYOUT.size)
        self.sums: dict[int, np.ndarray] = {}
        self.finish: msg.Finish | None = None
        self.grid = Grid()
        self.joined = 0

    def join(self) -> None:
        self.joined += 1
        executor = Executor(f"e{self.joined}")
        self.executors[executor.name] = executor
        self.deliver(msg.ExecutorJoined(executor.name, "h:1", LAYOUT, dict(CLIENTS), TEST_BLOCKS))

    def kill(self, name: str) -> None:
        del self.executors[name]
        self.deliver(msg.ExecutorLost(name, "killed"))

    def deliver(self, event: msg.Event) -> None:
        self.now_s += 0.01
        pending = deque(self.machine.handle(event, self.now_s))
        while pending:
            follow_up = self.perform(pending.popleft())
            if follow_up is not None:
                pending.extend(self.machine.handle(follow_up, self.now_s))

    def perform(self, instruction: msg.Instruction) -> msg.Event | None:
        match instruction:
            case msg.RequestInitialModel(executor, order_id):
                self.executors[executor].outbox.append(msg.InitialModelArrived(order_id))
            case msg.AdoptModel():
                assert self.state is None, "the initial model must be adopted once"
                self.state = FedAvg().init(np.zeros(LAYOUT.size, dtype=np.float32))
            case msg.DropFetched(order_id):
                self.sums.pop(order_id, None)
            case msg.PublishModel(version):
                assert self.state is not None
                self.versions[version] = self.state.weights
            case msg.SendTrain(executor):
                self.train(self.executors[executor], instruction)
            case msg.SendTest(executor, lease_id, version, blocks):
                assert version in self.versions
                scores = tuple(BlockResult(b, 10, b, 2 * b, float(version)) for b in blocks)
                self.executors[executor].outbox.append(msg.EvaluationReported(executor, lease_id, scores))
            case msg.OrderSum():
                self.sum_up(instruction)
            case msg.AddSum(order_id):
                self.total += self.sums.pop(order_id)
            case msg.DiscardSums():
                self.total[:] = 0
            case msg.StepModel(version):
                assert self.state is not None
                self.state = FedAvg().apply(self.state, self.total)
                self.total = np.zeros(LAYOUT.size)
                traffic = msg.Traffic(sent=60 * version, received=40 * version, peers=10 * version)
                return msg.ModelStepped(version, traffic)
            case msg.WriteRecord(record):
                self.records.append(record)
            case msg.Finish():
                self.finish = instruction
        return None

    def train(self, executor: Executor, order: msg.SendTrain) -> None:
        reports = []
        held = executor.updates.setdefault((order.round_index, order.lease_id), {})
        for task in order.tasks:
            client, failed = task.client_id, self.fails(order.round_index, task.client_id)
            if not failed:
                held[client] = toy_delta(order.round_index, client, self.versions[order.round_index])
            reports.append(self.report(task, failed))
        executor.outbox.append(msg.TrainReported(executor.name, order.lease_id, tuple(reports)))

    def report(self, task: PlannedTask, failed: bool) -> msg.ClientReport:
        adaptive = task.budget_s is not None
        steps = task.steps or 5
        return msg.ClientReport(
            task.client_id,
            not failed,
            "boom" * failed,
            moving_loss=1.0,
            utility=2.0,
            steps=steps,
            trained_samples=16 * steps,
            compute_s=10.0 + task.client_id if adaptive else 0.0,
            upload_s=1.0 if adaptive else 0.0,
            steps_phase1=3 if adaptive else 0,
            steps_phase2=2 if adaptive else 0,
            dropout_fraction=0.25 if adaptive else task.dropout_fraction,
            went_away=failed and adaptive,
        )

    def sum_up(self, order: msg.OrderSum) -> None:
        """The first of those who add up reports."""
        total = np.zeros(LAYOUT.size)
        for part in order.parts:
            left = dict(part.shares)
            for lease_id in part.lease_ids:
                for client, delta in self.executors[part.executor].updates[order.round_index, lease_id].items():
                    if client in left:
                        self.grid.add_weighted(total, delta, left.pop(client))
            assert not left
        self.sums[order.order_id] = total
        self.executors[order.parts[0].executor].outbox.append(msg.SumFetched(order.order_id))

    def run(self, *, deaths: int = 0, duplicates: bool = False) -> np.ndarray:
        """Plays until the run finishes; returns the final weights."""
        for _ in range(self.job.cluster.executors):
            self.join()
        for _ in range(10_000):
            if self.finish is not None:
                assert self.state is not None
                return self.state.weights
            busy = [executor for executor in self.executors.values() if executor.outbox]
            if deaths and self.draws.random() < 0.1:
                deaths -= 1
                self.kill(str(self.draws.choice(sorted(self.executors))))
                self.join()
            elif busy:
                executor = busy[int(self.draws.integers(len(busy)))]
                event = executor.outbox.popleft()
                self.deliver(event)
                if duplicates and self.draws.random() < 0.3:
                    self.deliver(event)
            else:
                pytest.fail(f"nothing to do in phase {self.machine.phase}: the machine is stuck")
        pytest.fail("the run did not end")

    def tagged(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


class DeployedRehearsal(Rehearsal):
    """Executor number n is client n, and only client n."""

    def join(self) -> None:
        self.joined += 1
        executor = Executor(f"e{self.joined}")
        self.executors[executor.name] = executor
        self.deliver(msg.ExecutorJoined(executor.name, "h:1", LAYOUT, {self.joined: 50}, TEST_BLOCKS))


def adaptive_job(**changes: Any) -> Job:
    return job(training={"adaptive": {"enabled": True}}, **changes)


def overhear(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> list[Feedback]:
    """All the feedback that the policy gets, which it takes as ever."""
    heard: list[Feedback] = []
    selector = rehearsal.machine._selector
    learn = selector.register_feedback

    def listen(feedback: Feedback) -> None:
        heard.append(feedback)
        learn(feedback)

    monkeypatch.setattr(selector, "register_feedback", listen)
    return heard


def playing(executors: int, **changes: Any) -> Rehearsal:
    """A rehearsal at the moment when the first leases are out."""
    cluster = {"executors": executors, "lease_timeout_s": 5}
    rehearsal = Rehearsal(job(**{"rounds": 1, "cluster": cluster, **changes}), seed=0)
    for _ in range(executors):
        rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())  # the initial model
    return rehearsal


def drain(rehearsal: Rehearsal, name: str) -> None:
    while name in rehearsal.executors and rehearsal.executors[name].outbox:
        rehearsal.deliver(rehearsal.executors[name].outbox.popleft())
