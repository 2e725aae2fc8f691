"""A whole job in one process: the round machine with one training engine, no network and no other process.

The machine cannot tell: it is fed the same events as by a cluster, so the records and the final weights are the same.
What is missing is only what costs time without changing results.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from fedswarm.aggregation.grid import Grid, Sum
from fedswarm.aggregation.server_algorithm import ServerState, server_algorithm
from fedswarm.devices.worlds import open_world
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Vector
from fedswarm.records.schema import Record
from fedswarm.rounds import messages as msg
from fedswarm.rounds.executor_core import ExecutorCore
from fedswarm.rounds.machine import RoundMachine
from fedswarm.training.sequential import SequentialEngine

NAME = "only"


@dataclass
class SingleProcess:
    """Plays the aggregator's shell and one executor around a machine."""

    job: Job
    engine: SequentialEngine
    records: list[Record] = field(default_factory=list)

    def run(self) -> list[Record]:
        """Runs the job to its end and returns its records; raises what ended it early."""
        ids, samples = self.engine.clients()
        world = open_world(self.job).make(ids)
        alone = self.job.cluster.model_copy(update={"executors": 1})
        self._machine = RoundMachine(self.job.model_copy(update={"cluster": alone}), 0.0, lambda _: world)
        self._core = ExecutorCore(self.engine, world, Grid(self.job.aggregation.grid_bits))
        self._algorithm = server_algorithm(self.job.aggregation.algorithm)
        self._state: ServerState | None = None
        self._total: Sum = np.zeros(self.engine.layout.size)
        self._sums: dict[int, Sum] = {}
        clients = dict(zip(ids.tolist(), samples.tolist(), strict=True))
        joined = msg.ExecutorJoined(NAME, "here:0", self.engine.layout, clients, self.engine.test_blocks)
        events: deque[msg.Event] = deque([joined])
        while events:
            for instruction in self._machine.handle(events.popleft(), 0.0):
                if isinstance(instruction, msg.Finish):
                    if instruction.error is not None:
                        raise instruction.error
                    return self.records
                events += self._perform(instruction)
        raise RuntimeError(f"the machine waits for nothing in phase {self._machine.phase}")

    def _perform(self, instruction: msg.Instruction) -> list[msg.Event]:
        match instruction:
            case msg.RequestInitialModel(_, order_id):
                return [msg.InitialModelArrived(order_id)]
            case msg.AdoptModel():
                self._state = self._algorithm.init(self._core.initial_weights())
            case msg.SendTrain(_, lease_id, version, learning_rate, tasks):
                reports = self._core.train(lease_id, version, learning_rate, self._weights, tasks)
                return [msg.TrainReported(NAME, lease_id, tuple(reports))]
            case msg.SendTest(_, lease_id, version, blocks):
                scores = self._core.test(version, self._weights, blocks)
                return [msg.EvaluationReported(NAME, lease_id, tuple(scores))]
            case msg.OrderSum(order_id, round_index, (part,)):
                self._sums[order_id] = self._core.weighted_sum(round_index, part.lease_ids, dict(part.shares))
                return [msg.SumFetched(order_id)]
            case msg.AddSum(order_id):
                self._total += self._sums.pop(order_id)
            case msg.StepModel(version):
                assert self._state is not None
                self._state = self._algorithm.apply(self._state, self._total)
                self._total = np.zeros(self.engine.layout.size)
                return [msg.ModelStepped(version, msg.Traffic())]
            case msg.CloseRound(round_index):
                self._core.close_round(round_index)
            case msg.WriteRecord(record):
                self.records.append(record)
        return []

    @property
    def _weights(self) -> Vector:
        assert self._state is not None, "work comes only after the initial model"
        return self._state.weights


def run_job(job: Job) -> list[Record]:
    """The records of a job run in this process."""
    return SingleProcess(job, SequentialEngine(job)).run()
