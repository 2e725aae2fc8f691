"""Runs without an aggregator, of stand-in peers: how they start, are told, end and fail. No process may survive."""

import json
import signal

import pytest

from fedswarm.records import read_run

DEADLINE_S = 60.0
JOB = """
job_name: demo
rounds: 3
experiment_mode: deployment
aggregation: {mode: decentralized}
cluster: {executors: 3, start_timeout_s: 20}
"""

pytestmark = pytest.mark.cluster


@pytest.fixture
def desk(stand_in_desk):
    stand_in_desk.write_job(JOB)
    return stand_in_desk


def finish(desk):
    (desk.run().path / "finish").touch()


def kill(desk, *numbers):
    for number in numbers:
        desk.state().processes[f"executor-{number}"].identity.send(signal.SIGKILL)


def told(desk, tag):
    return [
        record for record in map(json.loads, desk.run().rounds_file.read_text().splitlines()) if record["tag"] == tag
    ]


def test_a_run_has_no_aggregator_and_is_over_when_its_peers_are(desk):
    driver = desk.command("submit", "job.yml", executor="tells:3")
    desk.until("running")
    finish(desk)
    stdout, stderr = driver.communicate(timeout=DEADLINE_S)
    assert (driver.returncode, stderr) == (0, "")
    assert "finished" in stdout
    assert set(desk.state().processes) == {"tracker", "zygote", "executor-1", "executor-2", "executor-3"}
    assert not desk.survivors()


def test_each_round_is_told_once_over_all_peers_and_once_by_each(desk):
    driver = desk.command("submit", "job.yml", executor="tells:3")
    desk.eventually(
        lambda: desk.run().rounds_file.exists() and len(told(desk, "TEST_RESULT")) == 3, "three rounds told"
    )
    finish(desk)
    stdout, _ = driver.communicate(timeout=DEADLINE_S)
    assert "round 3/3  accuracy 0.2000 (0.1000 to 0.3000)" in stdout
    assert "peers alive" in stdout and "moved by the aggregator" not in stdout
    run = read_run(desk.run().path)
    assert list(run.rounds["completed_round"]) == [0, 1, 2]
    assert list(run.rounds["bytes_peers"]) == [1500] * 3
    assert (len(run.peers), len(run.peer_rounds)) == (3, 9)
    assert [record["reason"] for record in told(desk, "SHUTDOWN")] == ["finished"]
    (federation,) = told(desk, "FEDERATION")
    assert (federation["clients"], federation["samples"], federation["model_bytes"]) == (3, 30, 400)
    assert "FL Testing in round: 3" in (desk.folder / "demo_logging").read_text()


def test_a_killed_peer_is_noted_and_the_others_finish_and_are_told(desk):
    driver = desk.command("submit", "job.yml", executor="tells:3", executor_2="tells:1")
    desk.until("running")
    desk.eventually(lambda: told(desk, "TEST_RESULT"), "the round that all have told")
    assert len(told(desk, "ROUND_SUMMARY")) == 1
    kill(desk, 2)
    desk.eventually(lambda: len(told(desk, "ROUND_SUMMARY")) == 3, "the rounds of those that live")
    finish(desk)
    stdout, _ = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 0
    assert "lost on the way  executor-2\n" in stdout
    assert json.loads(desk.call("status", "--json")[1])["lost"] == ["executor-2"]
    assert "executor-2 ended with signal 9; the run goes on without it" in desk.state().events[0].text
    assert [record["executor_id"] for record in told(desk, "EXECUTOR_LOST")] == ["2"]
    assert [record["completed"] for record in told(desk, "ROUND_SUMMARY")] == [[1, 2, 3], [1, 3], [1, 3]]


def test_when_every_peer_is_killed_the_run_has_failed(desk):
    driver = desk.command("submit", "job.yml", executor="tells:1")
    desk.until("running")
    kill(desk, 1, 2, 3)
    _, stderr = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 30
    assert "no executor is left (executor-1: signal 9, executor-2: signal 9, executor-3: signal 9)" in stderr
    assert [record["reason"] for record in told(desk, "SHUTDOWN")] == ["failed"]
    assert not desk.survivors()


def test_when_no_peer_finishes_the_first_error_is_the_runs(desk):
    code, _, stderr = desk.call("submit", "job.yml", executor="crash:1")
    assert code == 30
    assert "executor-1: exit code 1" in stderr
    assert not desk.survivors()


def test_the_death_of_the_tracker_is_noted_and_the_run_goes_on(desk):
    driver = desk.command("submit", "job.yml", executor="tells:3")
    desk.until("running").processes["tracker"].identity.send(signal.SIGKILL)
    desk.eventually(lambda: desk.state().events, "an event")
    finish(desk)
    assert driver.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("executor", ["tells:1", "deaf"])
def test_ctrl_c_twice_ends_the_run_whatever_the_peers_do(desk, executor):
    driver = desk.command("submit", "job.yml", executor=executor)
    desk.until("running")
    driver.send_signal(signal.SIGINT)
    if executor == "deaf":
        while "stopping" not in driver.stderr.readline():
            pass
        driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 130
    desk.until_nobody_is_left()
    assert desk.state().state == "stopped"


def test_a_detached_run_is_shown_listed_logged_and_stopped(desk):
    assert desk.call("submit", "job.yml", "--detach", executor="tells:2")[0] == 0
    desk.eventually(lambda: len(told(desk, "TEST_RESULT")) == 2, "two rounds told")
    facts = json.loads(desk.call("status", "--json")[1])
    assert (facts["state"], facts["round"], facts["accuracy_min"], facts["executors"]) == ("running", 2, 0.1, 3)
    assert desk.call("list")[1].splitlines()[1].split()[1] == "running"
    assert "executor-3 | the executor is up" in desk.call("logs", "--role", "executor-3")[1]
    lines = desk.call("logs", "--tag", "PEER_ROUND")[1].splitlines()
    assert len(lines) == 6 and lines[0].startswith("[PEER_ROUND]")
    assert desk.call("stop", "latest")[1] == f"{desk.run().name}: stopped\n"
    assert not desk.survivors()


def test_peers_that_hang_do_not_keep_the_others_run_from_its_end(desk):
    driver = desk.command(
        "submit", "job.yml", "--set", "cluster.lease_timeout_s=1", executor="tells:3", executor_3="silently"
    )
    desk.until("running").processes["executor-3"].identity.send(signal.SIGSTOP)
    finish(desk)
    assert driver.wait(DEADLINE_S) == 0
    assert "executor-3 told nothing for 1 s after others finished" in desk.state().events[-1].text
    assert [record["executor_id"] for record in told(desk, "EXECUTOR_LOST")] == ["3"]
    assert not desk.survivors()


def test_the_death_of_the_supervisor_ends_its_peers(desk):
    desk.call("submit", "job.yml", "--detach", executor="tells:1")
    desk.state().supervisor.send(signal.SIGKILL)
    assert "supervisor is gone" in desk.until("failed").error
    desk.until_nobody_is_left()


def test_peers_that_cannot_be_linked_are_one_clear_message_and_nothing_is_written(desk):
    code, _, stderr = desk.call("submit", "job.yml", "--set", "exchange.topology.kind=hypercube")
    assert code == 15
    place = "--set exchange.topology.kind=hypercube: exchange.topology.kind"
    assert stderr == f"{place}: a hypercube of 3 peers: take a power of two, such as 2 or 4\n"
    assert not (desk.folder / "runs").exists()
