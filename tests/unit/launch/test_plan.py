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


@pytest.mark.parametrize(("port", "ports"), [(0, [0, 0, 0]), (7000, [7000, 7001, 7002])])
def test_several_trackers_have_numbers_and_consecutive_ports(port, ports):
    trackers = plan_launch(job(cluster={"trackers": 3, "tracker_port": port})).processes[:3]
    assert [tracker.role for tracker in trackers] == ["tracker-1", "tracker-2", "tracker-3"]
    assert {tracker.module for tracker in trackers} == {"services.tracker.main"}
    assert [tracker.port for tracker in trackers] == ports


@pytest.mark.parametrize(
    ("sections", "sampled", "training"),
    [
        ({}, 9, 7),
        ({"training": {"adaptive": {"enabled": True}}}, 9, 9),
        ({"data": {"clients": 8}}, 8, 7),
        ({"data": {"clients": 5}}, 5, 5),
        ({"data": {"clients": 5}, "training": {"adaptive": {"enabled": True}}}, 5, 5),
        ({"data": {"clients": 5, "partition": {"kind": "natural"}}}, 9, 7),
        ({"experiment_mode": "deployment"}, 2, 2),
    ],
    ids=["fixed", "adaptive", "fewer clients than samples", "few clients", "few, adaptive", "natural", "deployment"],
)
def test_who_is_sampled_and_who_trains(sections, sampled, training):
    plan = plan_launch(job(selection={"participants": 7, "overcommitment": 1.3}, cluster={"executors": 2}, **sections))
    assert (plan.sampled_clients, plan.training_clients) == (sampled, training)
    assert plan.participants == min(7, sampled)
    assert plan.clients_per_executor == training / 2


@pytest.mark.parametrize("partition", [{"kind": "natural"}, {"kind": "data_map", "path": "map.csv"}])
def test_only_the_data_know_how_many_clients_they_bring(partition):
    assert plan_launch(job(data={"partition": partition})).clients is None


def test_in_deployment_the_clients_are_the_executors():
    assert plan_launch(job(experiment_mode="deployment", cluster={"executors": 3})).clients == 3


@pytest.mark.parametrize(
    ("broadcast", "model", "executors", "copies"),
    [
        ("swarm", "lr", 4, 1),
        ("direct", "cnn", 4, 4),
        ("auto", "lr", 4, 4),  # 0.1 MB in all
        ("auto", "cnn", 4, 1),  # 19 MB
        ("auto", "cnn", 1, 1),
    ],
)
def test_the_aggregator_sends_one_copy_to_peers_that_relay_and_one_each_to_those_that_do_not(
    broadcast, model, executors, copies
):
    traffic = plan_launch(
        job(model={"name": model}, cluster={"executors": executors}, exchange={"broadcast": broadcast})
    ).traffic
    assert traffic is not None
    assert traffic.model == 4 * TYPICAL_WEIGHTS[model]
    assert traffic.broadcast == executors * traffic.model
    assert traffic.broadcast_by_aggregator == copies * traffic.model
    assert traffic.updates == 2 * executors * traffic.model  # float64 sums of float32 weights


@pytest.mark.parametrize(("reach", "copies"), [("everyone", 4 * 3), ("neighbours", 4 * 2)])
def test_peers_without_an_aggregator_all_train_and_exchange_along_their_links(reach, copies):
    plan = plan_launch(
        job(
            experiment_mode="deployment",
            aggregation={"mode": "decentralized"},
            cluster={"executors": 4},
            model={"name": "lr"},
            exchange={"topology": {"kind": "ring"}, "reach": reach},
        )
    )
    assert "aggregator" not in [process.role for process in plan.processes]
    assert (plan.clients, plan.training_clients, plan.participants, plan.traffic) == (4, 4, 4, None)
    assert plan.peers is not None
    assert (plan.peers.topology, plan.peers.links, plan.peers.diameter) == ("ring", 4, 2)
    assert plan.peers.received_bytes == copies * 4 * TYPICAL_WEIGHTS["lr"]


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
