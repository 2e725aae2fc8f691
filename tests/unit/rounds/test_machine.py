"""The round machine against a whole cluster played in memory: random orders, deaths, joins, failures, duplicates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.aggregation.grid import Grid
from fedswarm.aggregation.server_algorithm import FedAvg, ServerState
from fedswarm.devices.time_model import PhaseTimes, Workload
from fedswarm.devices.worlds import MakeWorld, open_world
from fedswarm.jobs.built_in import POLICIES
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.randomness import generator
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from fedswarm.rounds.machine import RoundMachine
from fedswarm.rounds.phase import Phase
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


REFERENCE = Rehearsal(job(cluster={"executors": 1}), seed=0).run()


@given(
    seed=st.integers(0, 10_000),
    executors=st.integers(1, 5),
    deaths=st.integers(0, 6),
    duplicates=st.booleans(),
    reduce=st.sampled_from(["direct", "swarm"]),
)
@settings(max_examples=80, deadline=None)
def test_the_final_weights_do_not_depend_on_executors_order_deaths_duplicates_or_who_adds_up(
    seed: int, executors: int, deaths: int, duplicates: bool, reduce: str
) -> None:
    rehearsal = Rehearsal(job(cluster={"executors": executors}, exchange={"reduce": reduce}), seed)
    assert np.array_equal(rehearsal.run(deaths=deaths, duplicates=duplicates), REFERENCE)


def test_the_model_changes_in_a_round_with_a_single_client() -> None:
    """Defect D1 of the reference: one result was never applied."""
    rehearsal = Rehearsal(job(rounds=1, selection={"participants": 1}), seed=0)
    assert np.any(rehearsal.run() != 0)


def test_a_failed_client_is_left_out_and_the_others_share_its_weight() -> None:
    """Defect D2: failed results entered the average."""
    failing = Rehearsal(job(rounds=1), seed=0, fails=lambda _, client: client % 5 == 0)
    weights = failing.run()
    summary = failing.tagged(records.RoundSummary)[0]
    kept = summary.completed
    assert summary.dropped and all(client % 5 == 0 for client in summary.dropped)
    deltas = [toy_delta(0, client, np.zeros(LAYOUT.size)) for client in kept]
    assert weights == pytest.approx(np.mean(deltas, axis=0), abs=1e-7)


def test_a_client_that_fails_only_when_trained_again_restarts_the_sum() -> None:
    """The numbered story: 1. both executors train, 2. the verdict is out, 3. one sum is added, 4. the other executor
    dies, 5. its cohort is trained again and now one client fails, 6. the shares of all others change, so the sum that
    was added is worthless and everything is summed anew."""
    failing: set[int] = set()
    rehearsal = Rehearsal(job(rounds=1), seed=0, fails=lambda _, client: client in failing)
    rehearsal.join()
    rehearsal.join()

    def step(name: str) -> None:
        rehearsal.deliver(rehearsal.executors[name].outbox.popleft())

    while not rehearsal.sums:
        step(next(name for name, executor in rehearsal.executors.items() if executor.outbox))
    while rehearsal.sums.keys() and not any(isinstance(e, msg.SumFetched) for e in rehearsal.executors["e1"].outbox):
        step("e1")
    while any(rehearsal.executors["e1"].outbox):
        step("e1")
    failing.update(sorted({client for held in rehearsal.executors["e2"].updates.values() for client in held})[:1])
    rehearsal.kill("e2")
    while rehearsal.finish is None:
        step("e1")
    kept = rehearsal.tagged(records.RoundSummary)[0].completed
    assert not failing & set(kept)
    assert rehearsal.state is not None
    expected = np.mean([toy_delta(0, client, np.zeros(LAYOUT.size)) for client in kept], axis=0)
    assert rehearsal.state.weights == pytest.approx(expected, abs=1e-7)


def test_a_round_in_which_everybody_fails_ends_the_run_with_the_first_error() -> None:
    rehearsal = Rehearsal(job(), seed=0, fails=lambda *_: True)
    rehearsal.run()
    assert rehearsal.finish is not None and "boom" in str(rehearsal.finish.error)
    assert rehearsal.tagged(records.Shutdown)[0].reason == "failed"


def test_the_model_is_tested_before_training_every_interval_and_at_the_end() -> None:
    """Defect D17: the final model was never evaluated."""
    rehearsal = Rehearsal(job(rounds=5, evaluation={"interval": 2}), seed=3)
    rehearsal.run()
    assert [result.round for result in rehearsal.tagged(records.TestResult)] == [0, 2, 4, 5]


def test_test_results_add_up_all_blocks() -> None:
    rehearsal = Rehearsal(job(rounds=1), seed=3)
    rehearsal.run()
    first = rehearsal.tagged(records.TestResult)[0]
    assert (first.samples, first.top1, first.top5) == (30, 3 / 30, 6 / 30)


def test_nothing_is_planned_for_a_round_that_will_not_run() -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    rehearsal.run()
    assert [begin.round for begin in rehearsal.tagged(records.RoundBegin)] == [0, 1, 2]
    assert [summary.completed_round for summary in rehearsal.tagged(records.RoundSummary)] == [0, 1, 2]


def test_the_clock_advances_once_a_round_by_the_slowest_client_that_ran() -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    rehearsal.run()
    begins, summaries = rehearsal.tagged(records.RoundBegin), rehearsal.tagged(records.RoundSummary)
    for begin, summary, following in zip(begins, summaries, begins[1:], strict=False):
        slowest = max(begin.planned_times[client].total_s for client in begin.to_run)
        assert summary.duration_s == pytest.approx(slowest)
        assert following.clock_start_s == pytest.approx(begin.clock_start_s + slowest)


def test_bytes_in_a_summary_are_those_of_its_round() -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    rehearsal.run()
    summaries = rehearsal.tagged(records.RoundSummary)
    assert [(s.bytes_sent, s.bytes_received, s.bytes_peers) for s in summaries] == [(60, 40, 10)] * 3


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


@pytest.mark.parametrize("policy", POLICIES)
def test_every_sampled_client_gets_exactly_one_feedback_with_its_own_round(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defects D6 and 1.4: stragglers were fed back twice, and under the next round's number."""
    chosen_by = job(rounds=6, selection={"participants": 8, "policy": policy})
    rehearsal = Rehearsal(chosen_by, seed=3, fails=lambda _, client: client == 7)
    heard = overhear(rehearsal, monkeypatch)
    rehearsal.run()
    sampled = [(b.round, client) for b in rehearsal.tagged(records.RoundBegin) for client in b.sampled]
    assert sorted((f.round_index, client) for f in heard for client in f.client_ids.tolist()) == sorted(sampled)


@pytest.mark.parametrize("policy", POLICIES)
def test_failures_say_nothing_about_speed(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen_by = job(rounds=6, selection={"participants": 8, "policy": policy})
    rehearsal = Rehearsal(chosen_by, seed=3, fails=lambda _, client: client % 2 == 0)
    heard = overhear(rehearsal, monkeypatch)
    rehearsal.run()
    for feedback, begin in zip(heard, rehearsal.tagged(records.RoundBegin), strict=True):
        failed = (feedback.client_ids % 2 == 0) & np.isin(feedback.client_ids, begin.to_run)
        assert failed.any()
        assert not feedback.success[failed].any()
        assert np.isnan([feedback.duration_s[failed], feedback.utility[failed]]).all()


@pytest.mark.parametrize("policy", ["oort", "pyramidfl"])
def test_what_a_policy_expects_stands_in_the_records(policy: str) -> None:
    rehearsal = Rehearsal(job(rounds=12, selection={"participants": 8, "policy": policy}), seed=3)
    rehearsal.run()
    begins, infos = rehearsal.tagged(records.RoundBegin), rehearsal.tagged(records.ClientInfo)
    for begin, info in zip(begins, infos, strict=True):
        before = begin.payload()["pre_util"]
        assert set(before) == {str(client) for client in begin.sampled}
        assert begin.payload()["pacer"]["algo"] == policy
        assert info.payload()[f"{policy}_client_information"].keys() <= before.keys()
        assert all(outcome.predicted_utility == before[str(client)] for client, outcome in info.clients.items())
    assert {value for begin in begins for value in begin.payload()["pre_util"].values()} == {0.0, 2.0}


def test_pyramidfl_changes_what_clients_do() -> None:
    selection = {"participants": 8, "policy": "pyramidfl", "pyramidfl": {"max_local_epochs": None}}
    rehearsal = Rehearsal(job(rounds=15, selection=selection), seed=3)
    rehearsal.run()
    planned = [times for begin in rehearsal.tagged(records.RoundBegin) for times in begin.planned_times.values()]
    assert {times.steps for times in planned} > {20}
    assert max(times.dropout_fraction for times in planned) > 0.3


def test_what_pyramidfl_asks_is_in_the_task_and_in_both_records() -> None:
    selection = {"participants": 8, "policy": "pyramidfl", "pyramidfl": {"max_local_epochs": None}}
    rehearsal = Rehearsal(job(rounds=15, selection=selection), seed=3)
    ordered: dict[int, dict[int, tuple[int, float]]] = {}
    train = rehearsal.train

    def note(executor: Executor, order: msg.SendTrain) -> None:
        tasks = {task.client_id: (task.steps, task.dropout_fraction) for task in order.tasks}
        ordered.setdefault(order.round_index, {}).update(tasks)
        train(executor, order)

    rehearsal.train = note  # type: ignore[method-assign]
    rehearsal.run()
    assert len({asked for tasks in ordered.values() for asked in tasks.values()}) > 10
    for begin, info in zip(rehearsal.tagged(records.RoundBegin), rehearsal.tagged(records.ClientInfo), strict=True):
        for client, asked in ordered[begin.round].items():
            planned, done = begin.planned_times[client], info.clients[client].times
            assert (planned.steps, planned.dropout_fraction) == asked
            assert (done.steps, done.dropout_fraction) == asked


def test_a_policy_that_breaks_its_contract_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    nobody_known = np.asarray([999], dtype=np.int64)
    monkeypatch.setattr(rehearsal.machine._selector, "select_participants", lambda *_: nobody_known)
    rehearsal.run()
    assert rehearsal.finish is not None
    assert rehearsal.finish.reason == "failed"
    assert "not online" in str(rehearsal.finish.error)


class Sleepers:
    """A world in which nobody is online before virtual second 3600."""

    def __init__(self, base: Any, first_s: float = 3600.0) -> None:
        self.base, self.first_s = base, first_s

    def online(self, now_s: float) -> np.ndarray:
        everybody: np.ndarray = self.base.online(now_s)
        return everybody if now_s >= self.first_s else everybody[:0]

    def next_online_s(self, now_s: float) -> float:
        return max(now_s, self.first_s)

    def phase_times(self, ids: np.ndarray, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        times: PhaseTimes = self.base.phase_times(ids, round_index, start_s, work)
        return times

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        return np.ones(len(ids), dtype=np.bool_)


def test_when_nobody_is_online_the_clock_moves_to_the_first_who_is() -> None:
    """Defect D16 and acceptance test 3: the run used to hang."""
    rehearsal = Rehearsal(job(rounds=1), seed=0, make_world=lambda ids: Sleepers(open_world(job()).make(ids)))
    rehearsal.run()
    skips = rehearsal.tagged(records.RoundSkipped)
    assert [(skip.clock_from_s, skip.clock_to_s) for skip in skips] == [(0.0, 3600.0)]
    assert rehearsal.tagged(records.RoundBegin)[0].clock_start_s == 3600.0


class Restless(Sleepers):
    """A world in which everybody is online and nobody stays before virtual second 3600."""

    def online(self, now_s: float) -> np.ndarray:
        everybody: np.ndarray = self.base.online(now_s)
        return everybody

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        return np.full(len(ids), start_s >= self.first_s)


def test_who_was_sampled_for_a_round_that_could_not_run_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = Rehearsal(job(rounds=1), seed=0, make_world=lambda ids: Restless(open_world(job()).make(ids)))
    heard: list[Feedback] = []
    monkeypatch.setattr(rehearsal.machine._selector, "register_feedback", heard.append)
    rehearsal.run()
    skipped, played = heard[:-1], heard[-1]
    assert len(skipped) == len(rehearsal.tagged(records.RoundSkipped)) > 0
    assert all(len(feedback.client_ids) == 10 and not feedback.success.any() for feedback in skipped)
    assert all(np.isnan(feedback.duration_s).all() for feedback in skipped)
    assert played.success.sum() == 8


class Filling(Sleepers):
    """A world in which one more client stays for a round every minute."""

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        return np.arange(len(ids)) < start_s / 60.0


def test_a_round_waits_for_as_many_clients_as_the_job_needs() -> None:
    """Reference 1.6, TARGET: ``min_clients`` and a configurable idle step."""
    needing = job(rounds=1, selection={"participants": 8, "min_clients": 3, "idle_step_s": 90.0})
    rehearsal = Rehearsal(needing, seed=0, make_world=lambda ids: Filling(open_world(needing).make(ids), 0.0))
    rehearsal.run()
    skips = rehearsal.tagged(records.RoundSkipped)
    assert [(skip.clock_from_s, skip.clock_to_s) for skip in skips] == [(0.0, 90.0), (90.0, 180.0)]
    assert skips[1].reason == "2 of the clients online stay for a whole round, 3 are needed"
    assert len(rehearsal.tagged(records.RoundBegin)[0].to_run) == 3


def test_adaptive_a_round_with_too_few_results_is_skipped_and_the_model_stays() -> None:
    failing = iter(range(8))  # of the first round's ten clients, eight go away
    needing = adaptive_job(rounds=1, selection={"participants": 8, "min_clients": 3})
    rehearsal = Rehearsal(needing, seed=0, fails=lambda _round, _client: next(failing, None) is not None)
    rehearsal.run()
    (skip,) = rehearsal.tagged(records.RoundSkipped)
    assert skip.reason == "only 2 clients' training counted"
    assert 10.0 < skip.clock_to_s < 300.0
    assert [summary.completed_round for summary in rehearsal.tagged(records.RoundSummary)] == [0]
    assert sorted(rehearsal.versions) == [0, 1]


def test_a_world_where_nobody_ever_comes_ends_the_run() -> None:
    never = float("inf")
    rehearsal = Rehearsal(job(rounds=1), seed=0, make_world=lambda ids: Sleepers(open_world(job()).make(ids), never))
    rehearsal.run()
    assert rehearsal.finish is not None and "nobody is online" in str(rehearsal.finish.error)
    assert rehearsal.finish.error is not None and rehearsal.finish.error.exit_code == 31


def test_an_executor_with_another_model_is_sent_away() -> None:
    machine = RoundMachine(job(), 0.0, open_world(job()).make)
    machine.handle(msg.ExecutorJoined("a", "h:1", LAYOUT, CLIENTS, 3), 0.0)
    other = Layout((TensorSpec("w", (7,)),))
    answer = machine.handle(msg.ExecutorJoined("b", "h:2", other, CLIENTS, 3), 0.1)
    assert isinstance(answer[0], msg.RefuseExecutor) and "tensors" in answer[0].reason


def test_an_executor_with_other_data_is_sent_away() -> None:
    machine = RoundMachine(job(), 0.0, open_world(job()).make)
    machine.handle(msg.ExecutorJoined("a", "h:1", LAYOUT, CLIENTS, 3), 0.0)
    answer = machine.handle(msg.ExecutorJoined("b", "h:2", LAYOUT, {1: 5}, 3), 0.1)
    assert isinstance(answer[0], msg.RefuseExecutor) and "clients" in answer[0].reason


def test_the_run_starts_without_executors_that_stay_away() -> None:
    machine = RoundMachine(job(cluster={"executors": 3}), 0.0, open_world(job()).make)
    machine.handle(msg.ExecutorJoined("a", "h:1", LAYOUT, CLIENTS, 3), 1.0)
    machine.handle(msg.ExecutorJoined("b", "h:2", LAYOUT, CLIENTS, 3), 8.0)
    assert machine.handle(msg.Tick(), 17.0) == []
    assert any(isinstance(i, msg.RequestInitialModel) for i in machine.handle(msg.Tick(), 19.0))


def test_a_short_start_timeout_ends_the_wait_for_the_missing() -> None:
    machine = RoundMachine(job(cluster={"executors": 3, "start_timeout_s": 4}), 0.0, open_world(job()).make)
    machine.handle(msg.ExecutorJoined("a", "h:1", LAYOUT, CLIENTS, 3), 1.0)
    assert any(isinstance(i, msg.RequestInitialModel) for i in machine.handle(msg.Tick(), 5.0))


def test_a_run_that_no_executor_joins_fails_with_a_clear_message() -> None:
    machine = RoundMachine(job(cluster={"start_timeout_s": 10}), 0.0, open_world(job()).make)
    finish = machine.handle(msg.Tick(), 11.0)[-1]
    assert isinstance(finish, msg.Finish) and "no executor registered" in str(finish.error)


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


def test_work_that_takes_too_long_is_offered_to_others_and_recorded() -> None:
    rehearsal = playing(2)
    rehearsal.executors["e2"].outbox.clear()  # works for ever
    drain(rehearsal, "e1")
    assert rehearsal.machine.phase is Phase.ROUND
    for _ in range(2):  # training, and then the final test
        rehearsal.now_s += 6
        rehearsal.deliver(msg.Tick())
        drain(rehearsal, "e1")
    assert rehearsal.finish is not None and rehearsal.finish.error is None
    assert {record.executor_id for record in rehearsal.tagged(records.LeasesOverdue)} == {"e2"}


def test_a_report_that_comes_late_but_first_counts() -> None:
    """A lease longer than the time-out used to be issued again and again, and every report of it thrown away."""
    rehearsal = playing(1)
    executor = rehearsal.executors["e1"]
    rounds = 0
    while rehearsal.finish is None and rounds < 200:
        rounds += 1
        rehearsal.now_s += 6
        rehearsal.deliver(msg.Tick())
        rehearsal.deliver(executor.outbox.popleft())
    assert rehearsal.finish is not None and rehearsal.finish.error is None


def test_an_executor_that_fails_again_and_again_is_sent_away_and_the_others_finish() -> None:
    rehearsal = playing(2)
    sent_away: list[str] = []
    perform = rehearsal.perform

    def watch(instruction: msg.Instruction) -> msg.Event | None:
        if isinstance(instruction, msg.RefuseExecutor):
            sent_away.append(instruction.executor)
        return perform(instruction)

    rehearsal.perform = watch  # type: ignore[method-assign]
    while "e1" not in sent_away:
        event = rehearsal.executors["e1"].outbox.popleft()
        assert isinstance(event, msg.TrainReported | msg.EvaluationReported)
        rehearsal.deliver(msg.LeaseFailed("e1", event.lease_id, "disk full"))
        if not rehearsal.executors["e1"].outbox:
            drain(rehearsal, "e2")
    del rehearsal.executors["e1"]
    drain(rehearsal, "e2")
    assert rehearsal.finish is not None and rehearsal.finish.error is None
    assert rehearsal.state is not None
    assert np.array_equal(rehearsal.state.weights, Rehearsal(job(rounds=1, cluster={"executors": 1}), 0).run())


def test_when_the_last_executor_fails_for_good_the_run_ends_with_its_fault() -> None:
    machine = RoundMachine(job(cluster={"executors": 1}), 0.0, open_world(job()).make)
    machine.handle(msg.ExecutorJoined("a", "h:1", LAYOUT, CLIENTS, 3), 0.0)
    order = machine._model_order or 1
    instructions = machine.handle(msg.ExecutorJoined("a", "h:1", LAYOUT, CLIENTS, 3), 0.0)
    (request,) = [i for i in instructions if isinstance(i, msg.RequestInitialModel)]
    assert request.order_id > order
    for _ in range(3):
        instructions = machine.handle(msg.InitialModelFailed(machine._model_order, "disk full"), 0.0)
    assert isinstance(instructions[0], msg.RefuseExecutor)
    finish = machine.handle(msg.Tick(), 60.0)[-1]
    assert isinstance(finish, msg.Finish) and "disk full" in str(finish.error)


def test_sums_that_never_arrive_cost_the_executor_its_place() -> None:
    rehearsal = playing(2, rounds=9)
    for _ in range(10_000):
        if "e1" not in rehearsal.machine.roster:
            break
        busy = next(e for e in rehearsal.executors.values() if e.outbox)
        event = busy.outbox.popleft()
        if busy.name == "e1" and isinstance(event, msg.SumFetched):
            event = msg.SumFailed(event.order_id, "connection reset", "e1")
        rehearsal.deliver(event)
    assert "e1" not in rehearsal.machine.roster
    del rehearsal.executors["e1"]
    drain(rehearsal, "e2")
    assert rehearsal.finish is not None and rehearsal.finish.error is None


def test_a_late_initial_model_is_dropped_and_does_not_touch_the_run() -> None:
    """It used to overwrite the trained model without a word."""
    rehearsal = Rehearsal(job(rounds=1), seed=0)
    rehearsal.join()
    rehearsal.join()
    late = rehearsal.executors["e1"].outbox.popleft()
    rehearsal.kill("e1")
    rehearsal.deliver(rehearsal.executors["e2"].outbox.popleft())
    assert rehearsal.machine.handle(late, 1.0) == [msg.DropFetched(late.order_id)]  # type: ignore[attr-defined]


def test_a_late_failure_of_the_initial_model_changes_nothing() -> None:
    rehearsal = playing(2)
    assert rehearsal.machine.handle(msg.InitialModelFailed(1, "too slow"), 1.0) == []
    assert rehearsal.machine.phase is Phase.ROUND


def test_a_test_report_without_its_blocks_is_refused_and_the_lease_issued_again() -> None:
    rehearsal = playing(1)
    executor = rehearsal.executors["e1"]
    event = executor.outbox.popleft()
    assert isinstance(event, msg.EvaluationReported)
    rehearsal.deliver(msg.EvaluationReported("e1", event.lease_id, ()))
    drain(rehearsal, "e1")
    assert len(rehearsal.tagged(records.TestResult)) == 2  # before training and after


def test_another_executors_lease_cannot_be_reported() -> None:
    rehearsal = playing(2)
    stolen = rehearsal.executors["e2"].outbox[0]
    assert isinstance(stolen, msg.TrainReported | msg.EvaluationReported)
    before = dict(rehearsal.machine._active.reports) if rehearsal.machine._active else {}
    rehearsal.deliver(type(stolen)("e1", stolen.lease_id, ()))  # type: ignore[arg-type]
    assert rehearsal.machine._active is not None and rehearsal.machine._active.reports == before


def test_byte_counts_of_a_round_are_never_negative() -> None:
    before, after = msg.Traffic(sent=10, peers=50), msg.Traffic(sent=30, peers=20)
    assert after.since(before) == msg.Traffic(sent=20, peers=0)


def test_a_stop_saves_the_model_and_says_so() -> None:
    rehearsal = Rehearsal(job(), seed=0)
    rehearsal.join()
    rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())
    answer = rehearsal.machine.handle(msg.StopRequested("enough"), 1.0)
    assert [type(i) for i in answer] == [msg.SaveModel, msg.WriteRecord, msg.Finish]
    assert answer[-1] == msg.Finish("stopped")


def test_events_after_the_end_change_nothing() -> None:
    rehearsal = Rehearsal(job(), seed=0)
    rehearsal.run()
    assert rehearsal.machine.handle(msg.ExecutorLost("e1", "late"), 99.0) == []


# The adaptive path


def adaptive_job(**changes: Any) -> Job:
    return job(training={"adaptive": {"enabled": True}}, **changes)


def test_adaptive_everybody_sampled_trains_and_the_fastest_count() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=1), seed=0)
    rehearsal.run()
    begin, summary = rehearsal.tagged(records.RoundBegin)[0], rehearsal.tagged(records.RoundSummary)[0]
    assert sorted(begin.to_run) == sorted(begin.sampled) and len(begin.sampled) == 10
    times = summary.client_times
    slowest_kept = max(times[client].total_s for client in summary.completed)
    assert len(summary.completed) == 8
    assert all(times[client].total_s >= slowest_kept for client in summary.stragglers)
    assert summary.duration_s == pytest.approx(slowest_kept)


def test_adaptive_tasks_start_after_the_download_with_what_it_leaves_of_the_budget() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=2), seed=0)
    orders: list[msg.SendTrain] = []
    train = rehearsal.train
    rehearsal.train = lambda executor, order: (orders.append(order), train(executor, order))[1]  # type: ignore[method-assign]
    rehearsal.run()
    begins = {begin.round: begin for begin in rehearsal.tagged(records.RoundBegin)}
    for order in orders:
        for task in order.tasks:
            download_s = begins[order.round_index].planned_times[task.client_id].download_s
            assert task.start_s == pytest.approx(begins[order.round_index].clock_start_s + download_s)
            assert task.budget_s == pytest.approx(300 - download_s)


def test_adaptive_only_the_weights_of_clients_that_count_are_ever_asked_for() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=2), seed=0)
    asked: list[tuple[int, int]] = []
    sum_up = rehearsal.sum_up

    def noted(order: msg.OrderSum) -> None:
        asked.extend((order.round_index, client) for part in order.parts for client, _ in part.shares)
        sum_up(order)

    rehearsal.sum_up = noted  # type: ignore[method-assign]
    rehearsal.run()
    summaries = rehearsal.tagged(records.RoundSummary)
    assert all(summary.stragglers for summary in summaries)
    assert sorted(asked) == [(summary.completed_round, client) for summary in summaries for client in summary.completed]


def test_adaptive_records_carry_both_phases_and_the_dropout() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=1), seed=0)
    rehearsal.run()
    info = rehearsal.tagged(records.ClientInfo)[0]
    outcome = next(iter(info.clients.values()))
    assert (outcome.times.steps, outcome.times.steps_phase2, outcome.times.dropout_fraction) == (3, 2, 0.25)


@pytest.mark.parametrize("policy", ["random", "oort", "bliss"])
def test_adaptive_nobody_gets_feedback_twice(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect D6."""
    rehearsal = Rehearsal(adaptive_job(rounds=3, selection={"participants": 8, "policy": policy}), seed=3)
    heard = overhear(rehearsal, monkeypatch)
    rehearsal.run()
    sampled = [(b.round, client) for b in rehearsal.tagged(records.RoundBegin) for client in b.sampled]
    assert sorted((f.round_index, client) for f in heard for client in f.client_ids.tolist()) == sorted(sampled)


def test_adaptive_a_round_whose_devices_all_went_away_is_skipped_and_drawn_anew() -> None:
    """Defect D16: the same round was selected at the same clock for ever."""
    first: list[int] = []

    def fails(round_index: int, client: int) -> bool:
        if len(first) < 10:
            first.append(client)
        return client in first

    rehearsal = Rehearsal(adaptive_job(rounds=1), seed=0, fails=fails)
    rehearsal.run()
    skip = rehearsal.tagged(records.RoundSkipped)[0]
    assert (skip.clock_from_s, skip.clock_to_s) == (0.0, 300.0)
    begins = rehearsal.tagged(records.RoundBegin)
    assert [begin.round for begin in begins] == [0, 0]
    assert begins[0].sampled != begins[1].sampled
    assert len(rehearsal.tagged(records.TestResult)) == 2  # the skipped round was not tested again


@given(seed=st.integers(0, 10_000), executors=st.integers(1, 4), deaths=st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_adaptive_final_weights_do_not_depend_on_executors_order_or_deaths(
    seed: int, executors: int, deaths: int
) -> None:
    reference = Rehearsal(adaptive_job(cluster={"executors": 1}), seed=0).run()
    rehearsal = Rehearsal(adaptive_job(cluster={"executors": executors}), seed)
    assert np.array_equal(rehearsal.run(deaths=deaths), reference)


# Deployment


class DeployedRehearsal(Rehearsal):
    """Executor number n is client n, and only client n."""

    def join(self) -> None:
        self.joined += 1
        executor = Executor(f"e{self.joined}")
        self.executors[executor.name] = executor
        self.deliver(msg.ExecutorJoined(executor.name, "h:1", LAYOUT, {self.joined: 50}, TEST_BLOCKS))


def deployed_job(**changes: Any) -> Job:
    return job(
        **{"experiment_mode": "deployment", "cluster": {"executors": 5}, "selection": {"participants": 3}, **changes}
    )


def test_deployed_clients_train_on_their_own_executor_only() -> None:
    rehearsal = DeployedRehearsal(deployed_job(selection={"participants": 5}), seed=0)
    rehearsal.run()
    for info in rehearsal.tagged(records.ClientInfo):
        assert all(o.executor_id in (f"e{client}", None) for client, o in info.clients.items())


def test_a_deployed_round_ends_with_the_kth_success_and_the_rest_are_stragglers() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=3), seed=0)
    rehearsal.run()
    for summary in rehearsal.tagged(records.RoundSummary):
        assert len(summary.completed) == 3
        assert summary.sampled_clients == 3 + len(summary.stragglers) + len(summary.dropped)


def test_a_deployed_client_that_dies_is_dropped_and_the_round_goes_on() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=1, selection={"participants": 5}), seed=0)
    for _ in range(5):
        rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())
    rehearsal.kill("e4")
    while rehearsal.finish is None:
        busy = next(e for e in rehearsal.executors.values() if e.outbox)
        rehearsal.deliver(busy.outbox.popleft())
    summary = rehearsal.tagged(records.RoundSummary)[0]
    assert list(summary.dropped) == [4]
    assert summary.completed == [1, 2, 3, 5]


def test_a_deployed_run_waits_for_clients_when_all_have_left() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=1, cluster={"executors": 1}), seed=0)
    rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())
    rehearsal.kill("e1")
    assert rehearsal.machine.phase is Phase.WAITING
    rehearsal.join()
    while rehearsal.finish is None:
        rehearsal.deliver(rehearsal.executors["e2"].outbox.popleft())
    assert rehearsal.tagged(records.RoundSummary)[0].completed == [2]


def bliss_job(**changes: Any) -> Job:
    selection = {"policy": "bliss", "participants": 8}
    return job(rounds=6, selection=selection, devices={"population": "default"}, **changes)


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_run_with_bliss_does_not_depend_on_executors_or_deaths(adaptive: bool) -> None:
    training = {"adaptive": {"enabled": adaptive}}
    alone = Rehearsal(bliss_job(cluster={"executors": 1}, training=training), seed=0).run()
    assert np.array_equal(
        Rehearsal(bliss_job(cluster={"executors": 3}, training=training), seed=5).run(deaths=3), alone
    )


def test_bliss_tells_its_predictions_before_and_its_metrics_after_a_round() -> None:
    rehearsal = Rehearsal(bliss_job(), seed=0)
    rehearsal.run()
    begins, metrics = rehearsal.tagged(records.RoundBegin), rehearsal.tagged(records.SelectionMetrics)
    assert [record.completed_round for record in metrics] == list(range(6))
    assert set(begins[-1].predictions) == {"bliss_pred_seen", "bliss_pred_unseen"}
    assert set(begins[1].predictions["bliss_pred_seen"]) <= set(begins[0].sampled)
    assert any(begins[-1].predictions["bliss_pred_seen"].values())
    assert len(metrics[-1].metrics["utils_last_round"]) == len(begins[-1].sampled)


def test_a_deployed_clients_upload_is_the_measured_way_of_its_sum() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=1), seed=0)
    deliver = rehearsal.deliver

    def timed(event: msg.Event) -> None:
        deliver(msg.SumFetched(event.order_id, 2.5) if isinstance(event, msg.SumFetched) else event)

    rehearsal.deliver = timed  # type: ignore[method-assign]
    rehearsal.run()
    info, summary = rehearsal.tagged(records.ClientInfo)[0], rehearsal.tagged(records.RoundSummary)[0]
    assert {info.clients[client].times.upload_s for client in summary.completed} == {2.5}
    assert summary.duration_s == max(info.clients[client].times.total_s for client in summary.completed)
