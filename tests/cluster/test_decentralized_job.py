"""Jobs without an aggregator, with real peers over loopback: they agree, outlive the dead, and take in newcomers."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from fedswarm.errors import LaunchError
from fedswarm.launch.environment import service_environment
from fedswarm.models.checkpoint import load_safetensors
from fedswarm.records import read_run
from fedswarm.records.reader import read_records

DEADLINE_S = 150.0
JOB = """
job_name: peers
rounds: 4
experiment_mode: deployment
cluster: {executors: 6}
data: {clients: 7, partition: {kind: dirichlet, alpha: 1.0}}
model: {name: lr}
training: {local_steps: 20, learning_rate: 0.02}
aggregation: {mode: decentralized}
exchange: {topology: {kind: k_regular, degree: 4}, deadline_s: 3.0}
evaluation: {interval: 1}
"""

# Long enough for something to happen to it on the way, however fast the machine.
LONG_JOB = JOB.replace("rounds: 4", "rounds: 40").replace("interval: 1", "interval: 8")

# A process that is warm before the run begins, so that it comes while the run goes on.
NEWCOMER = """
import pathlib, sys
from services.executor import main
main.prepare(pathlib.Path(sys.argv[1]))
print("prepared", flush=True)
sys.exit(main.main(input().split()))
"""

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture
def desk(cluster_desk):
    cluster_desk.write_job(JOB)
    return cluster_desk


def environment(desk):
    """Of a peer that is started by hand."""
    return service_environment(os.environ) | {"PYTHONPATH": os.pathsep.join(map(str, desk.python_path))}


def told(desk, peer, tag):
    """The records of one kind that a peer has written so far."""
    path = desk.run().path / "peers" / f"{peer}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [record for record in map(json.loads, lines) if record["tag"] == tag]


def final_model(desk, peer):
    return load_safetensors(desk.run().path / "checkpoints" / f"peer-{peer}.safetensors")[1]


def finish(driver):
    _, stderr = driver.communicate(timeout=DEADLINE_S)
    assert (driver.returncode, stderr) == (0, "")


def test_six_peers_finish_and_agree(desk):
    finish(desk.command("submit", "job.yml", "--set", "aggregation.consensus_every=2"))
    models = [final_model(desk, peer) for peer in range(1, 7)]
    assert all(np.array_equal(model, models[0]) for model in models)
    for peer in range(1, 7):
        assert [record["completed_round"] for record in told(desk, peer, "PEER_ROUND")] == [0, 1, 2, 3]
        assert told(desk, peer, "TEST_RESULT")[-1]["round"] == 4
    (federation,) = [record for record in read_records(desk.run().path) if record["tag"] == "FEDERATION"]
    assert (federation["clients"], federation["topology"], federation["links"]) == (6, "k_regular", 12)
    assert federation["samples"] == sum(told(desk, peer, "PEER_READY")[0]["samples"] for peer in range(1, 7))
    assert federation["model_bytes"] == 4 * len(models[0])
    run = read_run(desk.run().path)
    assert list(run.tests["round"]) == [1, 2, 3, 4]
    assert run.tests["top1"].iloc[-1] > 0.6
    assert not desk.survivors()


def test_when_two_peers_and_the_tracker_are_killed_the_rest_finish_and_learn(desk):
    desk.write_job(LONG_JOB)
    driver = desk.command("submit", "job.yml")
    desk.eventually(lambda: desk.run().path.exists() and told(desk, 1, "PEER_ROUND"), "a round of peer 1")
    processes = desk.state().processes
    for role in ("tracker", "executor-2", "executor-5"):
        processes[role].identity.send(signal.SIGKILL)
    finish(driver)
    for peer in (1, 3, 4, 6):
        assert told(desk, peer, "PEER_ROUND")[-1]["completed_round"] == 39
        tests = told(desk, peer, "TEST_RESULT")
        assert tests[-1]["round"] == 40 and tests[-1]["top1"] > max(0.6, tests[0]["top1"])
        assert told(desk, peer, "PEER_ROUND")[-1]["sources_complete"] == 3
    assert not desk.survivors()


def test_a_peer_that_is_asked_to_leave_takes_its_leave(desk):
    desk.write_job(LONG_JOB)
    driver = desk.command("submit", "job.yml", "--set", "exchange.topology={kind: complete}")
    desk.eventually(lambda: desk.run().path.exists() and told(desk, 4, "PEER_ROUND"), "a round of peer 4")
    desk.state().processes["executor-4"].identity.send(signal.SIGTERM)
    finish(driver)
    assert desk.state().processes["executor-4"].exit_code == 130
    last = told(desk, 1, "PEER_ROUND")[-1]
    assert (last["completed_round"], last["sources_complete"], last["sources_missing"]) == (39, 4, 0)


def test_a_peer_that_joins_and_reaches_no_tracker_says_so_and_does_not_train_alone(desk):
    options = {"job": "job.yml", "run-folder": "alone", "executor-id": "7", "tracker": "127.0.0.1:1"}
    (desk.folder / "alone").mkdir()
    words = [sys.executable, "-m", "services.executor.main", *(f"--{name}={text}" for name, text in options.items())]
    done = subprocess.run(words, cwd=desk.folder, env=environment(desk), capture_output=True, text=True, check=False)
    assert done.returncode == LaunchError.exit_code
    assert "peer 7 joins a running job and reaches no tracker of it: 127.0.0.1:1" in done.stderr


def test_a_peer_that_joins_late_catches_up_and_takes_part(desk):
    # Training makes rounds long, and longer where the machine is busy: some must be left when the newcomer comes.
    desk.write_job(LONG_JOB.replace("rounds: 40", "rounds: 16").replace("local_steps: 20", "local_steps: 400"))
    newcomer = subprocess.Popen(
        [sys.executable, "-c", NEWCOMER, desk.folder / "job.yml"],
        env=environment(desk),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert newcomer.stdout.readline() == "prepared\n"
        driver = desk.command("submit", "job.yml")
        tracker = desk.until("running").processes["tracker"]
        run = desk.run().path
        desk.eventually(lambda: len(told(desk, 1, "PEER_ROUND")) > 3, "four rounds of peer 1")
        options = {"job": run / "job.yml", "run-folder": run, "executor-id": "7", "tracker": tracker.target}
        newcomer.communicate(" ".join(f"--{name}={value}" for name, value in options.items()), timeout=DEADLINE_S)
        finish(driver)
        assert newcomer.returncode == 0
    finally:
        newcomer.kill()
    caught_up = told(desk, 7, "PEER_CAUGHT_UP")[-1]  # the others may have gone on meanwhile
    assert caught_up["source"] in {"1", "2", "3", "4", "5", "6"}
    assert told(desk, 7, "PEER_ROUND")[-1]["completed_round"] == 15
    assert told(desk, 1, "PEER_ROUND")[-1]["sources_complete"] == 6
    assert np.allclose(final_model(desk, 7), final_model(desk, 1), atol=1e-5)
