"""The run as a state machine: events in, instructions out, no socket, no clock, no thread.

::

    GATHERING --all executors joined--> STARTING --initial model--> ROUND --all summed, tested--> STEPPING
                                                                      ^                              |
                                                                      +------- next version ---------+
    ROUND of the last version only tests; then DONE. DONE is also where a stop or a fatal error leads.

Rules to re-check when changing anything here:

- Work goes only to executors in the roster; losing one takes back everything it had not delivered.
- An update counts once, when its sum is added; late, duplicate or withdrawn reports change nothing.
- Every sampled client gets exactly one feedback a round, with the round it was sampled in.
- The virtual clock advances once a round, by the planned duration; wall time never enters a decision about the model.
- The final model is always tested, and nothing is planned for a round that will not run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import numpy as np

from fedswarm import __version__
from fedswarm.devices.static import StaticDevices
from fedswarm.devices.world import ClientIds, DeviceWorld
from fedswarm.errors import NoParticipantsError, RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from fedswarm.rounds import story
from fedswarm.rounds.active_round import ActiveRound
from fedswarm.rounds.messages import Event, Instruction
from fedswarm.rounds.plan import Population, RoundPlan, plan_round
from fedswarm.selection.contract import Feedback
from fedswarm.selection.policies import make_selector

# How far the virtual clock moves when somebody is online but nobody can finish a round from here.
IDLE_STEP_S: Final = 60.0
# Leases that executors may give back in a row before the run is given up as broken.
MOST_LEASE_FAILURES: Final = 20
TEST_LEASES: Final = 8

EndReason = Literal["finished", "stopped", "failed"]
DevicesFactory = Callable[[ClientIds, Job], DeviceWorld]


class Phase(StrEnum):
    """Where a run stands."""

    GATHERING = "gathering"
    STARTING = "starting"
    ROUND = "round"
    STEPPING = "stepping"
    DONE = "done"


@dataclass(frozen=True)
class Member:
    """An executor of the roster."""

    target: str
    clients: int


def static_devices(client_ids: ClientIds, job: Job) -> DeviceWorld:
    """The default world: always-on devices drawn from the published speeds."""
    return StaticDevices.draw(client_ids, job.seed, job.devices)


class RoundMachine:
    """Decides everything about a run; its shell only carries messages, bytes and files.

    Args:
        job: the resolved job.
        now_s: the present instant on the shell's monotonic clock.
        make_devices: builds the device world once the clients are known.
    """

    def __init__(self, job: Job, now_s: float, make_devices: DevicesFactory = static_devices) -> None:
        self.job = job
        self.phase = Phase.GATHERING
        self.round_index = 0
        self.clock_s = 0.0
        self.roster: dict[str, Member] = {}
        self._started_s = now_s
        self._empty_since_s: float | None = None
        self._make_devices = make_devices
        self._selector = make_selector(job)
        self._devices: DeviceWorld | None = None
        self._population = Population(np.empty(0, np.int64), {})
        self._layout: Layout | None = None
        self._test_blocks = 0
        self._asked_for_model: str | None = None
        self._active: ActiveRound | None = None
        self._ids = itertools.count(1)
        self._skipped = 0
        self._lease_failures = 0
        self._bytes = (0, 0)
        self._utilities: dict[int, float] = {}

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        """Takes one event at instant ``now_s`` and returns what to do, in order."""
        if self.phase is Phase.DONE:
            return []
        match event:
            case msg.ExecutorJoined():
                return self._joined(event, now_s)
            case msg.ExecutorLost(executor, reason):
                return self._lost(executor, reason, now_s)
            case msg.InitialModelArrived():
                return self._initial_model(now_s)
            case msg.InitialModelFailed(executor, error):
                return self._fail(
                    RunFailedError(f"executor {executor} could not build the initial model: {error}"), now_s
                )
            case msg.ModelStepped():
                return self._stepped(event, now_s)
            case msg.StopRequested(reason):
                return self._finish("stopped", reason, now_s)
            case msg.Tick():
                return self._tick(now_s)
            case _:
                return self._progress(event, now_s)

    # The roster

    def _joined(self, event: msg.ExecutorJoined, now_s: float) -> list[Instruction]:
        misfit = self._misfit(event)
        if misfit:
            return [msg.RefuseExecutor(event.executor, misfit)]
        instructions: list[Instruction] = []
        if event.executor in self.roster:
            instructions += self._lost(event.executor, "it registered again", now_s)
        if self._layout is None:
            self._welcome_first(event)
        self.roster[event.executor] = Member(event.target, len(event.clients))
        self._empty_since_s = None
        joined = records.ExecutorJoin(event.executor, event.target, len(event.clients))
        instructions.append(msg.WriteRecord(joined))
        if self.phase is Phase.GATHERING and len(self.roster) >= self.job.cluster.executors:
            return instructions + self._start()
        if self.phase in (Phase.ROUND, Phase.STEPPING):
            instructions.append(msg.SendModel(event.executor))
        return instructions + self._issue(now_s)

    def _misfit(self, event: msg.ExecutorJoined) -> str:
        if self._layout is None:
            return ""
        if event.layout.schema_hash != self._layout.schema_hash:
            return "its model has other tensors than the run's: do all executors run the same code and job?"
        if event.clients != self._population.samples or event.test_blocks != self._test_blocks:
            return "it holds other clients or test data than the run: do all executors read the same data?"
        return ""

    def _welcome_first(self, event: msg.ExecutorJoined) -> None:
        self._layout = event.layout
        self._test_blocks = event.test_blocks
        ids = np.asarray(sorted(event.clients), dtype=np.int64)
        self._population = Population(ids, event.clients)
        self._devices = self._make_devices(ids, self.job)
        self._selector.register_clients(ids, np.asarray([event.clients[int(c)] for c in ids], dtype=np.int64))

    def _lost(self, executor: str, reason: str, now_s: float) -> list[Instruction]:
        if self.roster.pop(executor, None) is None:
            return []
        withdrawn = self._active.lost(executor) if self._active else 0
        instructions: list[Instruction] = [msg.WriteRecord(records.ExecutorLost(executor, reason, withdrawn))]
        if not self.roster:
            self._empty_since_s = now_s
        if self.phase is Phase.STARTING and executor == self._asked_for_model and self.roster:
            return instructions + self._start()
        return instructions + self._issue(now_s)

    # From the first executor to the first round

    def _start(self) -> list[Instruction]:
        first = self.phase is Phase.GATHERING
        self.phase = Phase.STARTING
        self._asked_for_model = min(self.roster)
        assert self._layout is not None
        instructions: list[Instruction] = []
        if first:
            federation = records.Federation(
                clients=len(self._population.client_ids),
                samples=sum(self._population.samples.values()),
                model_parameters=self._layout.size,
                model_bytes=self._layout.nbytes,
            )
            instructions.append(msg.WriteRecord(federation))
        return [*instructions, msg.RequestInitialModel(self._asked_for_model)]

    def _initial_model(self, now_s: float) -> list[Instruction]:
        if self.phase is not Phase.STARTING:
            return []
        return [msg.PublishModel(0), *self._begin_round(now_s)]

    # A round

    def _begin_round(self, now_s: float) -> list[Instruction]:
        self.phase = Phase.ROUND
        version = self.round_index
        last = version == self.job.rounds
        plan: RoundPlan | None = None
        instructions: list[Instruction] = []
        if not last:
            try:
                plan, instructions = self._plan()
            except NoParticipantsError as error:
                return self._fail(error, now_s)
            executors = sorted(self.roster)
            begin = story.round_begin(plan, self._selector.describe(), executors, len(self._population.client_ids))
            instructions.append(msg.WriteRecord(begin))
        tests = self._test_pieces() if last or version % self.job.evaluation.interval == 0 else []
        weighting = self.job.aggregation.weighting
        self._active = ActiveRound(version, plan, tests, weighting, self._ids, now_s)
        return instructions + self._advance(now_s)

    def _plan(self) -> tuple[RoundPlan, list[Instruction]]:
        """Plans the round, moving the virtual clock on while nobody could finish one."""
        assert self._layout is not None and self._devices is not None
        skips: list[Instruction] = []
        while True:
            plan = plan_round(
                self.job, self.round_index, self.clock_s, self._population, self._layout, self._selector, self._devices
            )
            if plan.to_run:
                self._skipped = 0
                return plan, skips
            skips.append(msg.WriteRecord(self._skip(plan, self._devices)))

    def _skip(self, plan: RoundPlan, devices: DeviceWorld) -> records.RoundSkipped:
        self._skipped += 1
        reason = "nobody is online" if not plan.online else "nobody online stays for a whole round"
        following = max(devices.next_online_s(self.clock_s), self.clock_s + (IDLE_STEP_S if plan.online else 0.0))
        if self._skipped > self.job.selection.max_skipped_rounds or math.isinf(following):
            raise NoParticipantsError(
                f"round {self.round_index}: {reason} at virtual second {self.clock_s:g}, "
                f"after {self._skipped - 1} skipped rounds (selection.max_skipped_rounds limits these)"
            )
        skipped = records.RoundSkipped(self.round_index, self.clock_s, following, reason)
        self.clock_s = following
        return skipped

    def _test_pieces(self) -> list[tuple[int, ...]]:
        size = max(1, math.ceil(self._test_blocks / TEST_LEASES))
        blocks = range(self._test_blocks)
        return [tuple(blocks[start : start + size]) for start in range(0, self._test_blocks, size)]

    def _issue(self, now_s: float) -> list[Instruction]:
        if self.phase is not Phase.ROUND or self._active is None:
            return []
        return self._active.issue(sorted(self.roster), now_s)

    def _progress(self, event: Event, now_s: float) -> list[Instruction]:
        """Everything that an executor tells about the round in progress."""
        active = self._active
        if active is None:
            return []
        instructions: list[Instruction] = []
        match event:
            case msg.TrainReported(_, lease_id, clients):
                self._lease_failures = 0
                active.trained(lease_id, clients)
            case msg.EvaluationReported(_, lease_id, blocks):
                self._lease_failures = 0
                active.tested(lease_id, blocks)
            case msg.SumFetched(order_id):
                instructions += active.sum_fetched(order_id)
            case msg.SumFailed(order_id, _):
                active.sum_failed(order_id)
            case msg.LeaseFailed(executor, lease_id, error):
                active.lease_failed(lease_id)
                self._lease_failures += 1
                if self._lease_failures > MOST_LEASE_FAILURES:
                    failure = (
                        f"{self._lease_failures} leases in a row failed; the last, on executor {executor}: {error}"
                    )
                    return self._fail(RunFailedError(failure), now_s)
        return instructions + self._advance(now_s)

    def _advance(self, now_s: float) -> list[Instruction]:
        """What follows from the present state of the round: tests to record, sums to order, a step, more work."""
        active = self._active
        assert active is not None
        instructions: list[Instruction] = []
        blocks = active.take_test_result()
        if blocks:
            result = story.evaluation_result(active.version, self.clock_s, blocks)
            instructions.append(msg.WriteRecord(result))
        if active.plan is None:
            return instructions + (self._finish("finished", "", now_s) if active.tests_done else self._issue(now_s))
        if active.trained_all and not active.kept:
            return [*instructions, *self._fail(self._nobody_succeeded(active), now_s)]
        instructions += active.order_sums()
        if self.phase is Phase.ROUND and active.complete:
            self.phase = Phase.STEPPING
            return [*instructions, msg.StepModel(self.round_index + 1)]
        return instructions + self._issue(now_s)

    def _nobody_succeeded(self, active: ActiveRound) -> RunFailedError:
        errors = sorted({report.error for report in active.reports.values() if report.error})
        first = errors[0] if errors else "no reason given"
        return RunFailedError(f"round {self.round_index}: all {len(active.reports)} clients failed: {first}")

    def _stepped(self, event: msg.ModelStepped, now_s: float) -> list[Instruction]:
        active = self._active
        if self.phase is not Phase.STEPPING or active is None or active.plan is None:
            return []
        spent = (event.aggregator_bytes - self._bytes[0], event.peer_bytes - self._bytes[1])
        self._bytes = (event.aggregator_bytes, event.peer_bytes)
        summary = story.round_summary(active, now_s - active.started_s, *spent)
        info = story.client_info(active, self.job.selection.policy, self._utilities)
        self._give_feedback(active, active.plan)
        self.clock_s += active.plan.duration_s
        self.round_index += 1
        return [
            msg.CloseRound(active.plan.round_index),
            msg.PublishModel(event.version),
            msg.WriteRecord(summary),
            msg.WriteRecord(info),
            *self._begin_round(now_s),
        ]

    def _give_feedback(self, active: ActiveRound, plan: RoundPlan) -> None:
        """One feedback a sampled client; failures and the inactive teach nothing about speed."""
        kept = active.kept
        mean = sum(active.reports[client].utility for client in sorted(kept)) / len(kept)
        for client in plan.sampled:
            success = client in kept
            utility = active.reports[client].utility if success else mean if client in plan.stragglers else 0.0
            duration = plan.times[client].total_s if success or client in plan.stragglers else None
            self._selector.register_feedback(Feedback(client, plan.round_index, success, utility, duration))
            if success:
                self._utilities[client] = utility

    # Time and ends

    def _tick(self, now_s: float) -> list[Instruction]:
        cluster = self.job.cluster
        if self.phase is Phase.GATHERING and now_s - self._started_s > cluster.start_timeout_s:
            if self.roster:
                return self._start()
            waited = f"no executor registered within {cluster.start_timeout_s:g} s (cluster.start_timeout_s)"
            return self._fail(RunFailedError(f"{waited}; see logs/executor-*.log"), now_s)
        patience_s = cluster.rejoin_timeout_s + cluster.dead_after_s
        if self._empty_since_s is not None and now_s - self._empty_since_s > patience_s:
            return self._fail(RunFailedError("all executors are gone and none came back"), now_s)
        if self._active is not None and self._active.withdraw_overdue(now_s, cluster.lease_timeout_s):
            return self._issue(now_s)
        return []

    def _fail(self, error: RunFailedError, now_s: float) -> list[Instruction]:
        return self._finish("failed", str(error), now_s, error)

    def _finish(
        self, reason: EndReason, message: str, now_s: float, error: RunFailedError | None = None
    ) -> list[Instruction]:
        has_model = self.phase in (Phase.ROUND, Phase.STEPPING)
        self.phase = Phase.DONE
        wall_s = now_s - self._started_s
        shutdown = records.Shutdown(reason, self.round_index, self.clock_s, wall_s, message)
        saved: list[Instruction] = [msg.SaveModel(self.round_index)] if has_model else []
        return [*saved, msg.WriteRecord(shutdown), msg.Finish(error)]


def job_config(job: Job) -> records.JobConfig:
    """JOB_CONFIG: the first record of a run."""
    return records.JobConfig(job=job.model_dump(mode="json"), version=__version__, seed=job.seed)
