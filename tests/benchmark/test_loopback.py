import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmark" / "loopback.py"


@pytest.mark.cluster
def test_all_transports_bring_everything_over_one_link():
    command = [sys.executable, str(PROGRAM), "--size-mb", "8", "--runs", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures["links"]) == {"sockets", "grpc_stream", "fedswarm"}
    assert all(link["gb_per_s"] > 0 for link in figures["links"].values())
