import sys
from importlib import import_module

import pytest

from fedswarm.jobs.schema import Job
from fedswarm.launch.plan import TYPICAL_WEIGHTS, plan_launch


def job(**sections):
    return Job.model_validate(sections)


def test_a_plan_lists_every_process():
    plan = plan_launch(job(cluster={"executors": 3, "tracker_port": 7000}))
    assert [process.role for process in plan.processes] == [
        "tracker", "aggregator", "zygote", "executor-1", "executor-2", "executor-3"
    ]  # fmt: skip
    assert [process.port for process in plan.processes[:3]] == [7000, 0, None]


def test_sampled_clients_are_the_participants_times_the_overcommitment_rounded_down():
    plan = plan_launch(job(selection={"participants": 7, "overcommitment": 1.3}, cluster={"executors": 2}))
    assert (plan.sampled_clients, plan.clients_per_executor) == (9, 4.5)


def test_a_swarm_broadcast_costs_the_aggregator_one_copy_and_a_direct_one_a_copy_an_executor():
    model = 4 * TYPICAL_WEIGHTS["lr"]
    swarm = plan_launch(job(model={"name": "lr"}, cluster={"executors": 4})).traffic
    direct = plan_launch(job(model={"name": "lr"}, cluster={"executors": 4}, exchange={"broadcast": "direct"})).traffic
    assert swarm is not None and direct is not None
    assert (swarm.broadcast_by_aggregator, direct.broadcast_by_aggregator) == (model, 4 * model)
    assert swarm.broadcast == direct.broadcast == 4 * model
    assert swarm.updates == 2 * 4 * model  # float64 sums of float32 weights


def test_bytes_of_a_model_of_the_users_own_are_unknown():
    assert plan_launch(job(model={"name": "my_models:build"})).traffic is None


def test_planning_needs_no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert plan_launch(Job()).rounds == 50


@pytest.mark.parametrize("name", TYPICAL_WEIGHTS)
def test_typical_weights_are_those_of_the_zoo(name):
    builders = import_module("fedswarm.models.zoo").BUILDERS
    layout_of = import_module("fedswarm.models.weights").layout_of
    assert layout_of(builders[name]((1, 28, 28), 10)).size == TYPICAL_WEIGHTS[name]
