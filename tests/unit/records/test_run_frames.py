import sys

import pytest

from fedswarm.errors import DataError, DependencyError
from fedswarm.records import read_run
from fedswarm.records.peer_schema import PeerTestResult
from fedswarm.records.schema import TestResult


@pytest.fixture
def run(sample, write_run):
    return read_run(write_run(sample.run()))


def test_rounds_join_beginning_and_end(run):
    assert list(run.rounds["completed_round"]) == [0, 1]
    second = run.rounds.iloc[1]
    assert (second["round"], second["clock_start_s"], second["clock_end_s"]) == (2, 261.75, 523.5)
    assert (second["online_clients"], second["feasible_clients"], second["sampled_clients"]) == (5, 60, 4)
    assert (second["completed_clients"], second["straggler_clients"], second["dropped_clients"]) == (2, 1, 1)
    assert (second["bytes_aggregator"], second["bytes_peers"], second["wall_s"]) == (1000, 3000, 2.0)


def test_tests_have_the_clock_in_hours(run):
    last = run.tests.iloc[-1]
    assert (last["round"], last["top1"], last["clock_h"]) == (2, 0.4875, 523.5 / 3600)


def test_clients_have_one_row_a_round(run):
    first = run.clients[run.clients["completed_round"] == 0].set_index("client")
    assert list(first.index) == [3, 17, 29]
    assert list(first["status"]) == ["completed", "completed", "straggler"]
    assert (first.loc[17, "duration_s"], first.loc[17, "loss"], first.loc[17, "executor_id"]) == (261.75, 2.25, "2")


def test_selections_know_who_runs_for_the_first_time(run):
    chosen = run.selections[run.selections["role"] == "run"]
    assert list(chosen["first_time"]) == [True, True, False, False]


def test_executors_come_and_go(run):
    assert list(run.executors["event"]) == ["join", "join", "lost"]
    assert list(run.executors["ts"][:1]) == [1001.0]


def test_peers_have_a_row_each_and_one_a_round_with_their_tests(peers_told, write_run):
    run = read_run(write_run(peers_told))
    assert list(run.peer_rounds["peer"]) == ["1", "10", "1", "10"]
    assert list(run.peer_rounds["top1"]) == [0.05, 0.5, 0.1, 0.55]
    assert run.peers.set_index("peer").loc["10", ["rounds", "top1", "bytes_received", "lost"]].tolist() == [
        2, 0.55, 40, False
    ]  # fmt: skip
    assert list(run.tests["top1_max"]) == [0.5, 0.55]


def test_a_peers_round_has_the_test_of_its_own_weights_beside_that_of_the_averaged(sample, write_run):
    averaged = PeerTestResult("1", TestResult(1, 5.0, loss=1.0, top1=0.75, top5=0.9, samples=100))
    run = read_run(write_run([sample.peer_round("1", 0, own_top1=0.5), averaged, sample.peer_round("1", 1)]))
    assert list(run.peer_rounds["own_top1"].dropna()) == [0.5]
    assert list(run.peer_rounds["top1"].dropna()) == [0.75]


def test_a_run_with_an_aggregator_has_no_peers(run):
    assert run.peers.empty and run.peer_rounds.empty
    assert run.tests["top1_min"].isna().all()


def test_the_job_is_flattened(run):
    assert run.job.loc["training.batch_size", "value"] == 16


def test_the_text_log_gives_the_same_frames(run):
    text = read_run(run.path / "small_logging")
    for name in ("rounds", "tests", "clients", "selections", "job"):
        assert getattr(text, name).equals(getattr(run, name)), name


def test_a_resumed_run_keeps_the_last_writing_of_each_round(sample, write_run):
    again = TestResult(round=2, clock_s=523.5, loss=1.0, top1=0.6, top5=0.9, samples=2000)
    run = read_run(write_run([*sample.run(), sample.begin(1, 261.75), sample.summary(1, 261.75), again]))
    assert list(run.rounds["completed_round"]) == [0, 1]
    assert list(run.tests["top1"]) == [0.1, 0.6]


def test_a_run_without_records_has_empty_frames_with_columns(write_run):
    run = read_run(write_run([]))
    assert run.rounds.empty
    assert "duration_s" in run.rounds.columns


def test_client_rows_of_an_old_log_have_durations(tmp_path, sample):
    log = tmp_path / "old_logging"
    log.write_text(
        "[aggregator] client 9 finished, simulated_duration = 80.25 s\n"
        "Wall clock: 80s, round: 1, Planned participants: 3, Succeed: 1, Loss: 3.9\n"
    )
    (row,) = read_run(log).clients.to_dict("records")
    assert (row["completed_round"], row["client"], row["duration_s"], row["status"]) == (0, 9, 80.25, "completed")


def test_positions_of_the_original_are_understood(tmp_path):
    log = tmp_path / "bliss_logging"
    log.write_text(
        '[CLIENT_INFO] {"round": 13, "clock_start": 4312.75, "clock_end": 4590.1, "duration": 277.35, '
        '"loss_avg": 1.8342, "bliss_client_information": {"17": [1.5, 201.5, 63.0, 75, 12, 0.31, 88.4, 91.7, "c"]}}\n'
    )
    run = read_run(log)
    (row,) = run.clients.to_dict("records")
    assert (row["completed_round"], row["duration_s"], row["predicted_utility"]) == (12, 266.0, 88.4)
    assert list(run.rounds["duration_s"]) == [277.35]


def test_without_pandas_the_error_names_the_way_out(monkeypatch, write_run, sample):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(DependencyError, match=r"fedswarm\[analysis\]"):
        read_run(write_run(sample.run()))


@pytest.mark.parametrize(
    "record", ['{"tag": "TEST_RESULT"}', '{"tag": "ROUND_BEGIN", "round": []}', '{"tag": "JOB_CONFIG", "job": 7}']
)
def test_a_record_of_the_wrong_shape_is_a_data_error(tmp_path, record):
    (tmp_path / "rounds.jsonl").write_text(record + "\n")
    with pytest.raises(DataError, match="lacks a key or holds the wrong type"):
        read_run(tmp_path)
