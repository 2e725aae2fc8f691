import json
from pathlib import Path

import pytest

JOB = "job_name: demo\nrounds: 3\n"


@pytest.fixture
def job(tmp_path):
    Path(tmp_path / "job.yml").write_text(JOB)
    return "job.yml"


def test_a_valid_job_is_called_valid(fedswarm, job):
    code, stdout, _ = fedswarm("validate", job)
    assert code == 0
    assert "valid" in stdout and "3 rounds" in stdout


def test_a_mistake_is_named_with_its_place_and_exit_code_10(fedswarm, tmp_path):
    (tmp_path / "job.yml").write_text("rouns: 3\n")
    code, stdout, stderr = fedswarm("validate", "job.yml")
    assert (code, stdout) == (10, "")
    assert stderr.startswith("job.yml:1:1") and "rounds" in stderr


def test_mistakes_for_programs_are_a_list(fedswarm, tmp_path):
    (tmp_path / "job.yml").write_text("rouns: 3\nsede: 1\n")
    code, stdout, _ = fedswarm("validate", "job.yml", "--json")
    facts = json.loads(stdout)
    assert code == 10
    assert facts["valid"] is False and len(facts["mistakes"]) == 2


def test_a_missing_file_is_exit_code_11(fedswarm):
    assert fedswarm("validate", "nowhere.yml")[0] == 11


def test_settings_on_the_command_line_count(fedswarm, job):
    _, stdout, _ = fedswarm("validate", job, "--json", "--set", "training.batch_size=7", "--set", "rounds=4")
    resolved = json.loads(stdout)["job"]
    assert (resolved["training"]["batch_size"], resolved["rounds"]) == (7, 4)


def test_a_bad_setting_is_exit_code_10(fedswarm, job):
    assert fedswarm("validate", job, "--set", "training.batch_size=many")[0] == 10


def test_the_schema_is_json_that_knows_the_jobs_keys(fedswarm):
    code, stdout, _ = fedswarm("schema")
    assert code == 0
    assert "job_name" in json.loads(stdout)["properties"]


PEERS = """rounds: 3
experiment_mode: deployment
aggregation: {mode: decentralized}
cluster: {executors: 6}
exchange:
  topology: {kind: hypercube}
"""


@pytest.mark.parametrize("command", [("validate",), ("submit",), ("submit", "--dry-run")])
def test_peers_that_cannot_be_linked_as_the_job_says_are_a_mistake_with_its_place(fedswarm, tmp_path, command):
    (tmp_path / "job.yml").write_text(PEERS)
    code, stdout, stderr = fedswarm(*command, "job.yml")
    assert (code, stdout) == (15, "")
    assert stderr.startswith("job.yml:6:20: exchange.topology.kind: a hypercube of 6 peers: take a power of two")
    assert not (tmp_path / "runs").exists()


def test_the_place_of_peers_that_cannot_be_linked_may_be_the_command_line(fedswarm, tmp_path):
    (tmp_path / "job.yml").write_text(PEERS.replace("hypercube", "ring"))
    code, stdout, _ = fedswarm("validate", "job.yml", "--json", "--set", "exchange.topology.kind=hypercube")
    (mistake,) = json.loads(stdout)["mistakes"]
    assert (code, mistake.partition(": a ")[0]) == (
        15,
        "--set exchange.topology.kind=hypercube: exchange.topology.kind",
    )
