"""The round machine with executors that stay away, fail, are late or lie."""

from __future__ import annotations

import numpy as np

from fedswarm.devices.worlds import open_world
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from fedswarm.rounds.machine import RoundMachine
from fedswarm.rounds.phase import Phase
from tests.unit.rounds.rehearsal import CLIENTS, LAYOUT, Rehearsal, drain, job, playing


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
