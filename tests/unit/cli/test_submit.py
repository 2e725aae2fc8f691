import json

import pytest


@pytest.fixture
def job(tmp_path):
    (tmp_path / "job.yml").write_text("job_name: demo\nmodel: {name: lr}\ncluster: {executors: 3}\n")
    return "job.yml"


def test_a_dry_run_shows_the_plan_and_leaves_nothing_behind(fedswarm, job, tmp_path):
    code, stdout, _ = fedswarm("submit", job, "--dry-run")
    assert code == 0
    assert "executor-3" in stdout and "127.0.0.1:free" in stdout and "model 31.4 kB" in stdout
    assert [path.name for path in tmp_path.iterdir()] == ["job.yml"]


def test_a_dry_run_for_programs(fedswarm, job):
    plan = json.loads(fedswarm("submit", job, "--dry-run", "--json", "--set", "cluster.executors=1")[1])
    assert [process["role"] for process in plan["processes"]] == ["tracker", "aggregator", "zygote", "executor-1"]
    assert plan["traffic"]["model"] == 31_400


def test_a_dry_run_says_who_trains(fedswarm, job):
    assert (
        "clients: 100; each round 26 are sampled, 20 train (about 6.7 on each executor), 20 count"
        in fedswarm("submit", job, "--dry-run")[1]
    )
    natural = fedswarm("submit", job, "--dry-run", "--set", "data.partition.kind=natural")[1]
    assert "clients: as many as the data have; each round 26" in natural


def test_a_dry_run_without_an_aggregator_says_who_exchanges_with_whom(fedswarm, job):
    decentralized = ("--set", "aggregation.mode=decentralized", "--set", "experiment_mode=deployment")
    stdout = fedswarm("submit", job, "--dry-run", *decentralized, "--set", "exchange.topology.kind=line")[1]
    assert "aggregator" not in stdout
    assert "3 peers, each with a shard of its own; line: 2 links, 1.33 a peer, any two peers at most 2 apart" in stdout
    assert "bytes a round, all peers together, roughly: 188.4 kB" in stdout
    own = fedswarm("submit", job, "--dry-run", *decentralized, "--set", "model.name=fedswarm.errors:JobError")[1]
    assert "bytes: unknown" in own


def test_a_model_of_the_users_own_has_unknown_bytes(fedswarm, job, tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemError('imported')")
    assert "unknown" in fedswarm("submit", job, "--dry-run", "--set", "model.name=mine:build")[1]


def test_runs_that_cannot_be_written_are_exit_code_20(fedswarm, job, tmp_path):
    (tmp_path / "runs").write_text("a file in the way")
    code, _, stderr = fedswarm("submit", job)
    assert code == 20
    assert "cannot write below" in stderr


def test_what_the_job_names_is_looked_for_before_anything_is_written(fedswarm, job, tmp_path):
    code, stdout, stderr = fedswarm("submit", job, "--set", "model.name=resnet", "--set", "data.folder=nowhere")
    assert (code, stdout) == (10, "")
    assert stderr.startswith("--set model.name=resnet: model.name: 'resnet' is unknown; did you mean resnet18?")
    assert "--set data.folder=nowhere: data.folder: there is no folder 'nowhere'" in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["job.yml"]


def test_missing_data_alone_are_exit_code_12(fedswarm, job):
    assert fedswarm("submit", job, "--set", "data.folder=nowhere")[0] == 12


def test_an_unknown_model_alone_is_exit_code_14(fedswarm, job):
    assert fedswarm("validate", job, "--set", "model.name=resnet")[0] == 14


@pytest.mark.parametrize(
    ("sets", "ways"),
    [
        (("model.name=lr",), "broadcast direct, reduce direct"),
        (("model.name=cnn",), "broadcast swarm, reduce direct"),
        (("model.name=resnet18",), "broadcast swarm, reduce swarm"),
        (("model.name=resnet18", "experiment_mode=deployment"), "broadcast swarm, reduce direct"),
        (("model.name=lr", "exchange.broadcast=swarm", "exchange.reduce=swarm"), "broadcast swarm, reduce swarm"),
    ],
)
def test_a_dry_run_says_which_ways_weights_will_go(fedswarm, job, sets, ways):
    options = [word for setting in sets for word in ("--set", setting)]
    assert f"ways: {ways}" in fedswarm("submit", job, "--dry-run", *options)[1]
