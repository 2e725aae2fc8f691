import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmark"

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("option", ["--executors", "--repeats"])
def test_nothing_to_measure_is_a_wrong_command_line(option):
    command = [sys.executable, str(BENCHMARK / "round_overhead.py"), option, "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"argument {option}: 0 is not from 1 to 4096" in done.stderr


def test_a_run_that_fails_is_shown(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARK)
    overhead = importlib.import_module("round_overhead")
    job = overhead.job_for("lr", 1)
    job = job.model_copy(update={"data": job.data.model_copy(update={"folder": "nowhere"})})
    with pytest.raises(SystemExit, match=r"(?s)ended with exit code 12:.*there is no folder 'nowhere'"):
        overhead.time_cluster(job, tmp_path)
