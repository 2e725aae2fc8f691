import json
import subprocess
import sys

import pytest

from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_state import ProcessRecord


@pytest.fixture
def process():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_stop_ends_the_supervisor_and_writes_the_end_if_it_could_not(fedswarm, make_run, process):
    folder = make_run(state="running", supervisor=ProcessIdentity.of(process.pid))
    code, stdout, _ = fedswarm("stop", "latest")
    assert (code, stdout) == (0, f"{folder.name}: stopped\n")
    assert process.wait(10) != 0
    assert folder.read_recorded_state().exit_code == 130


def test_a_run_that_is_over_is_left_as_it_is(fedswarm, make_run):
    folder = make_run()
    before = folder.read_recorded_state()
    assert "was over already: finished" in fedswarm("stop", "demo")[1]
    assert folder.read_recorded_state() == before


def test_stop_all_ends_what_a_lost_supervisor_left_and_leaves_finished_runs_alone(fedswarm, make_run, process):
    make_run("done")
    record = ProcessRecord(identity=ProcessIdentity.of(process.pid))
    lost = make_run("lost", state="running", processes={"executor-1": record})
    facts = json.loads(fedswarm("stop", "all", "--json")[1])
    assert [(run["name"], run["state"]) for run in facts] == [(lost.name, "failed")]
    assert process.wait(10) != 0


def test_a_recorded_pid_that_belongs_to_somebody_else_now_is_not_signalled(fedswarm, make_run, process):
    stranger = ProcessRecord(identity=ProcessIdentity(pid=process.pid, started="another boot:1"))
    make_run(state="running", processes={"executor-1": stranger})
    assert fedswarm("stop", "latest")[0] == 0
    assert process.poll() is None


def test_nothing_to_stop_is_no_error(fedswarm):
    code, stdout, stderr = fedswarm("stop", "all")
    assert (code, stdout) == (0, "")
    assert "nothing is running" in stderr
