import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest

from fedswarm.cli.main import main
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import RunState

NOBODY = ProcessIdentity(pid=1, started="another boot:1")


@pytest.fixture
def fedswarm(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty working folder: ``code, stdout, stderr = fedswarm("list", "--json")``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fedswarm", *arguments])
        usual = signal.getsignal(signal.SIGINT)  # a command that ends ignores Ctrl-C, these tests go on
        try:
            with pytest.raises(SystemExit) as leave:
                main()
        finally:
            signal.signal(signal.SIGINT, usual)
        output = capsys.readouterr()
        return leave.value.code or 0, output.out, output.err

    return call


@pytest.fixture
def make_run(tmp_path):
    """Makes the folder of a run that is over (unless told otherwise), each an hour later than the one before."""
    instants = iter(datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC) + timedelta(hours=n) for n in range(100))

    def make(name="demo", **state) -> RunFolder:
        now = next(instants)
        folder = RunFolder.create(tmp_path / "runs", name, now)
        facts = {"state": "finished", "supervisor": NOBODY, "created_at": now.isoformat(), "text_log": "log"} | state
        folder.write_state(RunState(job_name=name, **facts))
        return folder

    return make


@pytest.fixture
def records():
    """The records of a run of two rounds, as ``rounds.jsonl`` has them."""
    a_round = {"loss_avg": 2.25, "bytes_aggregator": 1500, "bytes_peers": 4_800_000, "wall_s": 0.5}
    return [
        {"ts": 100.0, "tag": "JOB_CONFIG", "job": {"rounds": 2}},
        {"ts": 100.1, "tag": "EXECUTOR_JOIN", "executor_id": "executor-1"},
        {"ts": 100.2, "tag": "ROUND_BEGIN", "round": 0, "start_clock": 0.0, "to_run": [3, 1, 4]},
        {"ts": 100.7, "tag": "ROUND_SUMMARY", "round": 1, "clock_end": 90.0, **a_round},
        {"ts": 100.8, "tag": "ROUND_BEGIN", "round": 1, "start_clock": 90.0, "to_run": [1, 5, 9]},
        {"ts": 101.3, "tag": "ROUND_SUMMARY", "round": 2, "clock_end": 4000.0, **a_round},
        {"ts": 101.4, "tag": "TEST_RESULT", "round": 2, "loss": 1.5, "top1": 0.8125, "top5": 0.99},
        {"ts": 101.5, "tag": "SHUTDOWN", "reason": "finished"},
    ]
