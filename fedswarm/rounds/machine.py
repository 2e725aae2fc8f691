"""The run as a state machine: events in, instructions out, no socket, no clock, no thread.

::

    GATHERING --all executors joined--> STARTING --initial model--> ROUND --all summed, tested--> STEPPING
                                                                    ^  |                             |
                                              nobody is available   |  v                             |
                                                                  WAITING            next version ---+
    After the last round the machine only tests; then DONE. DONE is also where a stop or a fatal error leads.

Rules to re-check when changing anything here:

- Work goes only to executors in the roster; losing one takes back everything it had not delivered.
- An update counts once, when its sum is added; late, duplicate or withdrawn reports change nothing.
- Every sampled client gets exactly one feedback a round, with the round it was sampled in.
- The virtual clock advances once a round, by the verdict's duration; wall time never enters a decision about the model
  (but in deployment, where it *is* the clock).
- The final model is always tested, and nothing is planned for a round that will not run.
- A round in which too few could take part, or too few clients' work counts, moves the clock on and is drawn anew.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final

import numpy as np

from fedswarm.devices.world import DeviceWorld
from fedswarm.devices.worlds import MakeWorld
from fedswarm.errors import RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from fedswarm.rounds import story
from fedswarm.rounds.active_round import ActiveRound, ActiveTest, pieces_of
from fedswarm.rounds.exchange_choice import reduces_by_peers
from fedswarm.rounds.feedback import feedback_on, introduce
from fedswarm.rounds.messages import EndReason, Event, Instruction, Traffic
from fedswarm.rounds.phase import Phase
from fedswarm.rounds.plan import RoundPlan
from fedswarm.rounds.roster import Roster
from fedswarm.rounds.rules import RoundRules
from fedswarm.rounds.skipping import Skipping
from fedswarm.rounds.ways import make_rules
from fedswarm.selection.bliss.collection import RowSink
from fedswarm.selection.contract import Feedback
from fedswarm.selection.policies import make_selector

# What an executor may fail, without delivering a sum in between, before it is sent away.
MOST_STRIKES: Final = 3
# A run does not wait longer than this for executors that are still missing after the last one that came: whoever comes
# later takes part from then on.
LATECOMERS_S: Final = 10.0


class RoundMachine:
    """Decides everything about a run; its shell only carries messages, bytes and files.

    Args:
        job: the resolved job.
        now_s: the present instant on the shell's monotonic clock.
        make_world: builds the device world once the clients are known.
        sink: takes the rows that a learning policy's regressors see, if the job collects them.
    """

    def __init__(self, job: Job, now_s: float, make_world: MakeWorld, sink: RowSink | None = None) -> None:
        self.job = job
        self.phase = Phase.GATHERING
        self.round_index = 0
        self.clock_s = 0.0
        self.roster = Roster(own_clients=job.experiment_mode == "deployment")
        self._started_s = now_s
        self._joined_s = now_s
        self._deserted_s: float | None = None
        self._make_world = make_world
        self._selector = make_selector(job, sink)
        self._rules: RoundRules | None = None
        self._world: DeviceWorld | None = None
        self._skipping: Skipping | None = None
        self._model_order = 0
        self._asked_for_model = ""
        self._active: ActiveRound | None = None
        self._test: ActiveTest | None = None
        self._tested = -1  # the version last put to the test
        self._ids = itertools.count(1)
        self._draws = 0
        self._strikes: Counter[str] = Counter()
        self._last_fault = ""
        self._traffic = Traffic()

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        """Takes one event at instant ``now_s`` and returns what to do, in order."""
        match event:
            case _ if self.phase is Phase.DONE:
                return []
            case msg.ExecutorJoined():
                return self._joined(event, now_s)
            case msg.ExecutorLost(executor, reason):
                return self._lost(executor, reason, now_s)
            case msg.InitialModelArrived(order_id):
                return self._initial_model(order_id, now_s)
            case msg.InitialModelFailed(order_id, error):
                return self._no_initial_model(order_id, error, now_s)
            case msg.ModelStepped():
                return self._stepped(event, now_s)
            case msg.StopRequested(reason):
                return self._finish("stopped", reason, now_s)
            case msg.ShellBroke(error):
                return self._fail(RunFailedError(f"internal error: {error}"), now_s)
            case msg.Tick():
                return self._tick(now_s)
            case _:
                return self._reported(event, now_s)

    # The roster

    def _joined(self, event: msg.ExecutorJoined, now_s: float) -> list[Instruction]:
        misfit = self.roster.misfit(event)
        if misfit:
            return [msg.RefuseExecutor(event.executor, misfit)]
        instructions: list[Instruction] = []
        if event.executor in self.roster:
            instructions += self._lost(event.executor, "it registered again", now_s)
        known = self.roster.population.samples
        self.roster.add(event)
        if self._world is not None:
            newcomers = {client: size for client, size in event.clients.items() if client not in known}
            introduce(self._selector, newcomers, self._world)
        self._deserted_s = None
        self._joined_s = now_s
        instructions.append(msg.WriteRecord(records.ExecutorJoin(event.executor, event.target, len(event.clients))))
        if self.phase is Phase.GATHERING and len(self.roster) >= self.job.cluster.executors:
            return instructions + self._start()
        if self.phase is Phase.STARTING and self._asked_for_model not in self.roster:
            return instructions + self._ask_for_model()
        if self.phase is Phase.WAITING:
            return [*instructions, msg.SendModel(event.executor), *self._begin_round(now_s)]
        if self.phase in (Phase.ROUND, Phase.STEPPING):
            instructions.append(msg.SendModel(event.executor))
        return instructions + self._issue(now_s)

    def _lost(self, executor: str, reason: str, now_s: float) -> list[Instruction]:
        if not self.roster.remove(executor):
            return []
        withdrawn = self._active.lost(executor, reason) if self._active else 0
        withdrawn += self._test.lost(executor) if self._test else 0
        instructions: list[Instruction] = [msg.WriteRecord(records.ExecutorLost(executor, reason, withdrawn))]
        if not self.roster:
            self._deserted_s = now_s
        if self.phase is Phase.STARTING and executor == self._asked_for_model:
            self._asked_for_model = ""
            return instructions + (self._ask_for_model() if self.roster else [])
        return instructions + self._advance(now_s)

    # From the first executor to the first round

    def _start(self) -> list[Instruction]:
        self.phase = Phase.STARTING
        self._rules, self._world = make_rules(self.job, self.roster, self._selector, self._make_world)
        self._skipping = Skipping(self.job.selection, self._world)
        population, layout = self.roster.population, self.roster.layout
        assert layout is not None
        introduce(self._selector, population.samples, self._world)
        federation = story.federation(self.job, population, layout, len(self.roster), reduces=self._reduces())
        return [msg.WriteRecord(federation), *self._ask_for_model()]

    def _ask_for_model(self) -> list[Instruction]:
        """Asks an executor, the one with the fewest failures; an answer to an earlier request counts no more."""
        self._asked_for_model = min(self.roster.executors, key=lambda executor: self._strikes[executor])
        self._model_order = next(self._ids)
        return [msg.RequestInitialModel(self._asked_for_model, self._model_order)]

    def _initial_model(self, order_id: int, now_s: float) -> list[Instruction]:
        if self.phase is not Phase.STARTING or order_id != self._model_order:
            return [msg.DropFetched(order_id)]
        return [msg.AdoptModel(order_id), msg.PublishModel(0), *self._begin_round(now_s)]

    def _no_initial_model(self, order_id: int, error: str, now_s: float) -> list[Instruction]:
        if self.phase is not Phase.STARTING or order_id != self._model_order:
            return []
        dismissal = self._strike(self._asked_for_model, f"no initial model: {error}", now_s)
        again = self._ask_for_model() if self.roster and self.phase is Phase.STARTING and not dismissal else []
        return dismissal + again

    # A round

    def _begin_round(self, now_s: float) -> list[Instruction]:
        """Plans the next round, or only tests the model when all rounds are over."""
        last = self.round_index == self.job.rounds
        tests_due = last or self.round_index % self.job.evaluation.interval == 0
        if tests_due and self._tested != self.round_index:
            self._tested = self.round_index
            self._test = ActiveTest(self.round_index, pieces_of(self.roster.test_blocks), self._ids)
        if last:
            self.phase = Phase.ROUND
            return self._advance(now_s)
        try:
            plan, instructions = self._plan()
        except RunFailedError as error:
            return self._fail(error, now_s)
        if plan is None:
            self.phase = Phase.WAITING
            return instructions
        self.phase = Phase.ROUND
        feasible = len(self.roster.population.client_ids)
        begin = story.round_begin(plan, self._selector.describe(), self.roster.executors, feasible)
        assert self._rules is not None
        weighting = self.job.aggregation.weighting
        self._active = ActiveRound(
            plan, self._rules, weighting, self.roster.hosts, self._ids, now_s, reduces=self._reduces()
        )
        return [*instructions, msg.WriteRecord(begin), *self._advance(now_s)]

    def _reduces(self) -> bool:
        """Whether executors add up among themselves; measured uploads have to be each client's own."""
        layout, executors = self.roster.layout, len(self.roster)
        assert layout is not None and self._rules is not None
        return not self._rules.pinned and reduces_by_peers(self.job.exchange, layout.size, executors)

    def _plan(self) -> tuple[RoundPlan | None, list[Instruction]]:
        """Plans the round, moving the virtual clock on while too few could take part; None to wait for more."""
        assert self._rules is not None
        section = self.job.selection
        skips: list[Instruction] = []
        while True:
            plan = self._rules.plan(self.round_index, self.clock_s, self._draws)
            self._draws += 1
            if len(plan.to_run) >= section.min_clients:
                return plan, skips
            if self._rules.pinned:
                return None, skips  # real clients come when they come
            self._selector.register_feedback(Feedback.of(self.round_index, np.asarray(plan.sampled, dtype=np.int64)))
            skips.append(self._skip(plan.shortage(section.min_clients), section.idle_step_s if plan.online else 0.0))

    def _skip(self, reason: str, at_least_s: float) -> Instruction:
        """Moves the clock on without a round; raises :class:`NoParticipantsError` when that happens too often."""
        assert self._skipping is not None
        skipped = self._skipping.skip(self.round_index, self.clock_s, reason, at_least_s)
        self.clock_s = skipped.clock_to_s
        return msg.WriteRecord(skipped)

    def _issue(self, now_s: float) -> list[Instruction]:
        if self.phase is not Phase.ROUND:
            return []
        executors = self.roster.executors
        tests = self._test.issue(executors, now_s) if self._test else []
        return tests + (self._active.issue(executors, now_s) if self._active else [])

    def _reported(self, event: Event, now_s: float) -> list[Instruction]:
        """Everything that an executor tells about the work in progress."""
        active, test = self._active, self._test
        instructions: list[Instruction] = []
        match event:
            case msg.TrainReported(executor, lease_id, clients) if active:
                active.trained(executor, lease_id, clients, now_s)
            case msg.EvaluationReported(executor, lease_id, blocks) if test:
                if not test.tested(executor, lease_id, blocks, now_s):
                    instructions += self._strike(executor, "it reported other test blocks than it was given", now_s)
            case msg.SumFetched(order_id, upload_s):
                deliverers = active.sum_fetched(order_id, upload_s) if active else []
                for deliverer in deliverers:
                    self._strikes[deliverer] = 0
                instructions.append(msg.AddSum(order_id) if deliverers else msg.DropFetched(order_id))
            case msg.SumFailed(order_id, error, culprit) if active:
                if active.sum_failed(order_id, error, culprit) and culprit:
                    instructions += self._strike(culprit, f"no sum: {error}", now_s)
            case msg.LeaseFailed(executor, lease_id, error):
                known = (active and active.lease_failed(executor, lease_id, error)) or (
                    test and test.lease_failed(executor, lease_id)
                )
                instructions += self._strike(executor, error, now_s) if known else []
        return instructions + self._advance(now_s)

    def _strike(self, executor: str, fault: str, now_s: float) -> list[Instruction]:
        """Counts a failure against an executor, and sends it away after too many."""
        self._strikes[executor] += 1
        self._last_fault = f"executor {executor}: {fault}"
        if self._strikes[executor] < MOST_STRIKES or executor not in self.roster:
            return []
        reason = f"{MOST_STRIKES} failures; the last: {fault}"
        return [msg.RefuseExecutor(executor, reason), *self._lost(executor, reason, now_s)]

    def _advance(self, now_s: float) -> list[Instruction]:
        """What follows from where things stand: a test to record, sums to order, a step, the end, or more work."""
        if self.phase is not Phase.ROUND:
            return []
        instructions: list[Instruction] = []
        if self._test is not None and self._test.finished:
            if self._test.blocks:
                result = story.evaluation_result(self._test.version, self.clock_s, self._test.blocks.values())
                instructions.append(msg.WriteRecord(result))
            self._test = None
        active = self._active
        if active is None:
            over = self.round_index == self.job.rounds and self._test is None
            return instructions + (self._finish("finished", "", now_s) if over else self._issue(now_s))
        if active.decided and len(active.verdict.kept) < self.job.selection.min_clients:
            return [*instructions, *self._too_few_count(active, now_s)]
        instructions += active.order_sums()
        if active.summed and self._test is None:
            self.phase = Phase.STEPPING
            return [*instructions, msg.StepModel(self.round_index + 1)]
        return instructions + self._issue(now_s)

    def _too_few_count(self, active: ActiveRound, now_s: float) -> list[Instruction]:
        """A round in vain is skipped; but if nobody's work counts and training is at fault, the run ends with that."""
        verdict = active.verdict
        faults = sorted({report.error for report in active.reports.values() if not report.went_away})
        if faults and not verdict.kept:
            first = faults[0] or "no reason given"
            failure = f"round {self.round_index}: all {len(active.reports)} clients failed: {first}"
            return self._fail(RunFailedError(failure), now_s)
        self._give_feedback(active)
        self._active = None
        closed = msg.CloseRound(active.plan.round_index)
        assert self._rules is not None
        budget_s = 0.0 if self._rules.pinned else self._selector.t_budget_s or self.job.selection.t_budget_s
        whose = f"only {len(verdict.kept)} clients'" if verdict.kept else "nobody's"
        try:
            skip = self._skip(f"{whose} training counted", verdict.duration_s or budget_s)
        except RunFailedError as error:
            return self._fail(error, now_s)
        return [closed, skip, *self._begin_round(now_s)]

    def _stepped(self, event: msg.ModelStepped, now_s: float) -> list[Instruction]:
        active = self._active
        if self.phase is not Phase.STEPPING or active is None:
            return []
        verdict = active.verdict
        summary = story.round_summary(active, verdict, now_s - active.started_s, event.traffic.since(self._traffic))
        self._traffic = event.traffic
        info = story.client_info(active, verdict, self.job.selection.policy)
        self._give_feedback(active)
        self._active = None
        assert self._skipping is not None
        self._skipping.ran()
        self.clock_s += verdict.duration_s
        self.round_index += 1
        return [
            msg.CloseRound(active.plan.round_index),
            msg.PublishModel(event.version),
            msg.WriteRecord(summary),
            msg.WriteRecord(info),
            *self._metrics(active.plan.round_index),
            *self._begin_round(now_s),
        ]

    def _metrics(self, completed_round: int) -> list[Instruction]:
        """What the policy knows now, if it says."""
        known = self._selector.metrics()
        policy = self.job.selection.policy
        return [msg.WriteRecord(records.SelectionMetrics(completed_round, policy, known))] if known else []

    def _give_feedback(self, active: ActiveRound) -> None:
        times = story.client_times(active)
        self._selector.register_feedback(feedback_on(active.plan, active.verdict, active.reports, times))

    # Time and ends

    def _tick(self, now_s: float) -> list[Instruction]:
        cluster = self.job.cluster
        overdue = now_s - self._started_s > cluster.start_timeout_s
        if self.phase is Phase.GATHERING and self.roster and (overdue or now_s - self._joined_s > LATECOMERS_S):
            return self._start()
        if self.phase is Phase.GATHERING and overdue:
            waited = f"no executor registered within {cluster.start_timeout_s:g} s (cluster.start_timeout_s)"
            return self._fail(RunFailedError(f"{waited}; see logs/executor-*.log"), now_s)
        patience_s = cluster.rejoin_timeout_s + cluster.dead_after_s
        if self._deserted_s is not None and now_s - self._deserted_s > patience_s:
            fault = f" (the last failure was of {self._last_fault})" if self._last_fault else ""
            return self._fail(RunFailedError(f"all executors are gone and none came back{fault}"), now_s)
        late = self._active.expire(now_s, cluster.lease_timeout_s) if self._active else []
        late += self._test.expire(now_s, cluster.lease_timeout_s) if self._test else []
        told: list[Instruction] = [
            msg.WriteRecord(records.LeasesOverdue(self.round_index, executor, leases))
            for executor, leases in sorted(Counter(late).items())
        ]
        return told + (self._advance(now_s) if late else [])

    def _fail(self, error: RunFailedError, now_s: float) -> list[Instruction]:
        return self._finish("failed", str(error), now_s, error)

    def _finish(
        self, reason: EndReason, message: str, now_s: float, error: RunFailedError | None = None
    ) -> list[Instruction]:
        has_model = self.phase in (Phase.ROUND, Phase.STEPPING, Phase.WAITING)
        self.phase = Phase.DONE
        wall_s = now_s - self._started_s
        shutdown = records.Shutdown(reason, self.round_index, self.clock_s, wall_s, message)
        saved: list[Instruction] = [msg.SaveModel()] if has_model else []
        return [*saved, msg.WriteRecord(shutdown), msg.Finish(reason, error)]
