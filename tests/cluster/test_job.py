"""Whole jobs on real processes: the same weights whoever computes them, and whoever dies on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load_file

from fedswarm.records.reader import read_records

DRIVER = Path(__file__).resolve().parents[2] / "driver" / "driver.py"
PATIENCE_S = 60.0

pytestmark = pytest.mark.cluster

SMALL_JOB: dict[str, Any] = {
    "job_name": "small",
    "rounds": 4,
    "data": {"clients": 60, "partition": {"kind": "dirichlet", "alpha": 0.5}},
    "model": {"name": "cnn"},
    "training": {"local_steps": 3, "batch_size": 8},
    "selection": {"participants": 10},
    "evaluation": {"interval": 2, "ratio": 0.1},
    # A model of 4.8 MB in 64 KiB chunks: enough of them that peers trade.
    "exchange": {"broadcast": "swarm", "chunk_kib": 64},
}


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    folder: Path
    exit_code: int
    stderr: str

    @property
    def weights(self) -> dict[str, bytes]:
        (path,) = sorted((self.folder / "checkpoints").iterdir())[-1:]
        return {name: tensor.tobytes() for name, tensor in load_file(path).items()}

    def records(self, tag: str) -> list[dict[str, Any]]:
        return [record for record in read_records(self.folder / "rounds.jsonl") if record["tag"] == tag]


def start(folder: Path, *, sets: tuple[str, ...] = (), **changes: Any) -> subprocess.Popen[str]:
    (folder / "job.yml").write_text(json.dumps({**SMALL_JOB, **changes}))
    options = [part for one in sets for part in ("--set", one)]
    return subprocess.Popen(
        [sys.executable, str(DRIVER), "submit", "job.yml", *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_folder(folder: Path) -> Path:
    return wait_for(lambda: next(iter((folder / "runs").glob("*/*/run.json")), None)).parent


def finish(process: subprocess.Popen[str], folder: Path) -> Outcome:
    _, stderr = process.communicate(timeout=PATIENCE_S)
    return Outcome(run_folder(folder), process.returncode, stderr)


def run_job(folder: Path, *, sets: tuple[str, ...] = (), **changes: Any) -> Outcome:
    folder.mkdir(exist_ok=True)
    return finish(start(folder, sets=sets, **changes), folder)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


def pids(folder: Path) -> dict[str, int]:
    state = json.loads((folder / "run.json").read_text())
    return {role: process["identity"]["pid"] for role, process in state["processes"].items()}


def in_round(folder: Path, number: int) -> bool:
    path = folder / "rounds.jsonl"
    return path.exists() and any(
        record["tag"] == "ROUND_BEGIN" and record["round"] == number for record in read_records(path)
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = run_job(tmp_path_factory.mktemp("undisturbed"), sets=("cluster.executors=1",))
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


@pytest.mark.parametrize("executors", [1, 2, 4])
def test_final_weights_are_the_same_bits_with_any_number_of_executors(
    tmp_path: Path, undisturbed: Outcome, executors: int
) -> None:
    """With 1 it is the same job twice in a row."""
    outcome = run_job(tmp_path, sets=(f"cluster.executors={executors}",))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.weights == undisturbed.weights
    tests = [{**record, "ts": 0} for record in outcome.records("TEST_RESULT")]
    assert tests == [{**record, "ts": 0} for record in undisturbed.records("TEST_RESULT")]


def test_training_changes_the_model_and_it_learns(undisturbed: Outcome) -> None:
    losses = [record["loss"] for record in undisturbed.records("TEST_RESULT")]
    assert [record["round"] for record in undisturbed.records("TEST_RESULT")] == [0, 2, 4]
    assert losses[-1] < losses[0]


def test_the_aggregator_uploads_about_one_copy_of_a_large_model_to_four_executors(tmp_path: Path) -> None:
    """ResNet-18: 45 MB, 180 chunks. Asked directly, the aggregator would upload four copies of each version."""
    outcome = run_job(
        tmp_path,
        sets=("cluster.executors=4", "rounds=2", "selection.participants=4", "training.local_steps=1"),
        model={"name": "resnet18"},
        exchange={},
    )
    assert outcome.exit_code == 0, outcome.stderr
    model_bytes = outcome.records("FEDERATION")[0]["model_bytes"]
    summaries = outcome.records("ROUND_SUMMARY")
    sent = sum(record["bytes_aggregator_sent"] for record in summaries)
    peers = sum(record["bytes_peers"] for record in summaries)
    assert model_bytes > 44e6
    assert sent < 1.5 * len(summaries) * model_bytes
    assert peers > 2.5 * len(summaries) * model_bytes


def test_executors_that_add_up_give_the_same_bits_and_the_aggregator_one_sum(
    tmp_path: Path, undisturbed: Outcome
) -> None:
    """Directly it receives the sum of each executor, without weights that are zero."""

    def run(reduce: str) -> tuple[Outcome, float]:
        outcome = run_job(tmp_path / reduce, sets=("cluster.executors=3", f"exchange.reduce={reduce}"))
        assert outcome.exit_code == 0, outcome.stderr
        summaries = outcome.records("ROUND_SUMMARY")
        model_bytes = outcome.records("FEDERATION")[0]["model_bytes"]
        received = sum(record["bytes_aggregator_received"] for record in summaries) - model_bytes  # the initial one
        return outcome, received / (2 * model_bytes) / len(summaries)  # sums are float64

    (direct, three), (swarm, one) = run("direct"), run("swarm")
    assert direct.weights == swarm.weights == undisturbed.weights
    assert one < 1.1 < 2 < three


def test_executors_that_add_up_give_the_same_bits_when_one_is_killed(tmp_path: Path, undisturbed: Outcome) -> None:
    process = start(tmp_path, sets=("cluster.executors=3", "exchange.reduce=swarm"))
    folder = run_folder(tmp_path)
    wait_for(lambda: in_round(folder, 2))
    os.kill(pids(folder)["executor-2"], signal.SIGKILL)
    outcome = finish(process, tmp_path)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.records("EXECUTOR_LOST")[0]["executor_id"] == "2"
    assert outcome.weights == undisturbed.weights


def test_adaptive_training_on_traced_devices_gives_the_same_bits_with_any_number_of_executors(tmp_path: Path) -> None:
    def run(executors: int) -> Outcome:
        world = ("rounds=3", "devices.population=default", "devices.clock_factor=30")
        outcome = run_job(
            tmp_path / str(executors),
            sets=(f"cluster.executors={executors}", *world),
            training={"batch_size": 8, "adaptive": {"enabled": True, "max_local_epochs": 1}},
            selection={"participants": 6, "t_budget_s": 30},
        )
        assert outcome.exit_code == 0, outcome.stderr
        return outcome

    alone, three = run(1), run(3)
    assert alone.weights == three.weights
    clients = alone.records("CLIENT_INFO")[0]["clients"].values()
    assert any(client["status"] == "c" for client in clients)
    assert any(client["dropout_frac"] > 0 or client["iters_p2"] for client in clients)


def test_in_deployment_the_first_k_real_clients_count_and_times_are_measured(tmp_path: Path) -> None:
    outcome = run_job(
        tmp_path,
        experiment_mode="deployment",
        cluster={"executors": 3},
        data={"clients": 3},
        model={"name": "lr"},
        selection={"participants": 2, "overcommitment": 1.5},
    )
    assert outcome.exit_code == 0, outcome.stderr
    rounds = outcome.records("ROUND_SUMMARY")
    assert [len(record["completed"]) for record in rounds] == [2] * 4
    assert all(0 < record["duration"] <= record["wall_s"] for record in rounds)
    clients = [client for record in outcome.records("CLIENT_INFO") for client in record["clients"].items()]
    assert {(number, client["executor_id"]) for number, client in clients} == {("0", "1"), ("1", "2"), ("2", "3")}
    assert all(client["t_dl"] > 0 and client["t_comp"] > 0 for _, client in clients if client["status"] == "c")


def test_a_killed_executor_changes_nothing_but_the_log(tmp_path: Path, undisturbed: Outcome) -> None:
    process = start(tmp_path, sets=("cluster.executors=3",))
    folder = run_folder(tmp_path)
    wait_for(lambda: in_round(folder, 1))
    os.kill(pids(folder)["executor-2"], signal.SIGKILL)
    outcome = finish(process, tmp_path)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.records("EXECUTOR_LOST")[0]["executor_id"] == "2"
    assert outcome.weights == undisturbed.weights


def test_a_frozen_executor_is_found_out_and_its_work_done_by_others(tmp_path: Path, undisturbed: Outcome) -> None:
    """A stopped process keeps its connections open; only its silence tells."""
    process = start(tmp_path, sets=("cluster.executors=2", "cluster.dead_after_s=1.5", "cluster.heartbeat_s=0.3"))
    folder = run_folder(tmp_path)
    wait_for(lambda: in_round(folder, 1))
    frozen = pids(folder)["executor-1"]
    os.kill(frozen, signal.SIGSTOP)
    try:
        outcome = finish(process, tmp_path)
    finally:
        if psutil.pid_exists(frozen):
            os.kill(frozen, signal.SIGKILL)
    assert outcome.exit_code == 0, outcome.stderr
    assert any("silent" in record["reason"] for record in outcome.records("EXECUTOR_LOST"))
    assert outcome.weights == undisturbed.weights


def test_the_death_of_the_aggregator_ends_everything_within_seconds(tmp_path: Path) -> None:
    process = start(tmp_path, sets=("cluster.executors=2", "rounds=500"))
    folder = run_folder(tmp_path)
    wait_for(lambda: in_round(folder, 1))
    running = pids(folder)
    os.kill(running["aggregator"], signal.SIGKILL)
    outcome = finish(process, tmp_path)
    assert outcome.exit_code == 30
    assert "aggregator" in outcome.stderr
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in running.values()))


def test_a_lost_tracker_does_not_stop_a_run(tmp_path: Path, undisturbed: Outcome) -> None:
    process = start(tmp_path, sets=("cluster.executors=2",))
    folder = run_folder(tmp_path)
    wait_for(lambda: in_round(folder, 1))
    os.kill(pids(folder)["tracker"], signal.SIGKILL)
    outcome = finish(process, tmp_path)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.weights == undisturbed.weights


def test_a_ring_of_executors_outlives_one_of_its_trackers(tmp_path: Path, undisturbed: Outcome) -> None:
    sets = ("cluster.executors=4", "cluster.trackers=2", "exchange.topology.kind=ring")
    process = start(tmp_path, sets=sets)
    folder = run_folder(tmp_path)
    wait_for(lambda: in_round(folder, 1))
    os.kill(pids(folder)["tracker-1"], signal.SIGKILL)
    outcome = finish(process, tmp_path)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.weights == undisturbed.weights


def test_a_port_in_use_is_one_clear_message(tmp_path: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        outcome = run_job(tmp_path, sets=(f"cluster.aggregator_port={port}",))
    assert outcome.exit_code == 21
    assert f"127.0.0.1:{port}" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_missing_data_folder_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(json.dumps({**SMALL_JOB, "data": {"folder": "/no/such/folder"}}))
    done = subprocess.run(
        [sys.executable, str(DRIVER), "submit", "job.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 12
    assert "/no/such/folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_model_that_always_fails_ends_the_run_with_its_error(tmp_path: Path) -> None:
    outcome = run_job(tmp_path, training={"local_steps": 3, "batch_size": 8, "learning_rate": 1e30})
    assert outcome.exit_code == 30
    assert "clients failed" in outcome.stderr
