"""The round machine and the policies that choose its clients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.jobs.built_in import POLICIES
from fedswarm.jobs.schema import Job
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from tests.unit.rounds.rehearsal import Executor, Rehearsal, job, overhear


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
