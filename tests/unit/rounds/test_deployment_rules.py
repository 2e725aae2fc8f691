from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedswarm.devices.time_model import Workload
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds.deployment import ConnectedDevices, DeploymentRules
from fedswarm.rounds.messages import ClientReport, ExecutorJoined
from fedswarm.rounds.roster import Roster
from fedswarm.selection.policies import make_selector

LAYOUT = Layout((TensorSpec("w", (4,)),))


def rules(executors: int = 6, participants: int = 2, **changes: Any) -> tuple[DeploymentRules, Roster]:
    """Executor ``n`` is client ``n``, with 16 n samples."""
    job = Job.model_validate(
        {
            "experiment_mode": "deployment",
            "selection": {"participants": participants, "overcommitment": 2.0},
            "training": {"local_epochs": 1, "batch_size": 16},
            **changes,
        }
    )
    roster = Roster(own_clients=True)
    for number in range(1, executors + 1):
        roster.add(ExecutorJoined(str(number), f"h:{number}", LAYOUT, {number: 16 * number}, 1))
    return DeploymentRules(job, roster, make_selector(job), ConnectedDevices(roster.connected_clients)), roster


def succeed(*clients: int, **fields: Any) -> dict[int, ClientReport]:
    return {client: ClientReport(client, True, trained_samples=16, **fields) for client in clients}


def test_all_sampled_clients_run_each_in_a_lease_of_its_own() -> None:
    plan = rules()[0].plan(3, 50.0, 0)
    assert len(plan.sampled) == 4 and plan.to_run == plan.sampled
    assert plan.cohorts == tuple((client,) for client in plan.sampled)
    assert (plan.round_index, plan.start_clock_s, plan.stragglers, plan.inactive) == (3, 50.0, (), ())


def test_steps_follow_each_clients_own_samples() -> None:
    plan = rules()[0].plan(0, 0.0, 0)
    assert {client: task.steps for client, task in plan.tasks.items()} == {client: client for client in plan.sampled}


def test_only_connected_clients_are_sampled() -> None:
    made, roster = rules()
    for name in ("1", "2", "3"):
        roster.remove(name)
    assert set(made.plan(0, 0.0, 0).sampled) == {4, 5, 6}


def test_nobody_connected_makes_an_empty_plan() -> None:
    assert rules(executors=0)[0].plan(0, 0.0, 0).to_run == ()


def test_k_successes_decide_and_failures_do_not(by_hand: Any) -> None:
    made, plan = rules()[0], by_hand((1, 2, 3, 4))
    failed = {3: ClientReport(3, False, "boom", trained_samples=16), 4: ClientReport(4, True, trained_samples=0)}
    assert not made.decided(plan, succeed(1) | failed, False)
    assert made.decided(plan, succeed(1, 2), False)
    assert made.decided(plan, failed, True)


def test_the_first_to_report_count_whatever_they_say_it_took(by_hand: Any) -> None:
    made, plan = rules()[0], by_hand((1, 2, 3, 4))
    reports = succeed(4, compute_s=90.0) | succeed(2, compute_s=5.0) | succeed(1, compute_s=1.0)
    verdict = made.verdict(plan, reports)
    assert (verdict.kept, verdict.stragglers, verdict.dropped) == ((4, 2), (1, 3), ())
    assert verdict.duration_s == 90.0


def test_everybody_sampled_has_exactly_one_fate(by_hand: Any) -> None:
    made, plan = rules()[0], by_hand((1, 2, 3, 4, 5))
    failed = replace(succeed(5)[5], success=False)
    verdict = made.verdict(plan, {5: failed, **succeed(1, 2, 3)})
    assert sorted((*verdict.kept, *verdict.stragglers, *verdict.dropped)) == [1, 2, 3, 4, 5]
    assert verdict.dropped == (5,)


def test_a_round_that_nobody_survives_takes_no_time(by_hand: Any) -> None:
    verdict = rules()[0].verdict(by_hand((1,)), {1: ClientReport(1, False, "boom")})
    assert (verdict.kept, verdict.duration_s) == ((), 0.0)


def test_the_plan_knows_no_times_of_real_devices() -> None:
    devices = ConnectedDevices(lambda: np.array([1, 2], dtype=np.int64))
    ids = devices.online(0.0)
    work = Workload(1.0, 1, 1, np.ones(2, dtype=np.int64))
    assert devices.phase_times(ids, 0, 0.0, work).total_s.tolist() == [0.0, 0.0]
    assert devices.active_throughout(ids, 0.0, np.array([1e9, 1e9])).all()
    assert devices.next_online_s(7.0) == 7.0
    with pytest.raises(NotImplementedError, match="measures times"):
        devices.client_time(1, 0)
