import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fedswarm.launch.run_folder import RunFolder, list_runs

HERE = Path(__file__).parent
DEADLINE_S = 60.0


def eventually(condition, what):
    """Polls until ``condition`` gives something true, and returns that."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.02)
    return found


class Desk:
    """A working folder and the command line in it; ``driver`` are the words that start the latter."""

    def __init__(self, folder, driver):
        self.folder = folder
        self.driver = driver
        self.python_path = [HERE, HERE.parents[1]]  # of this checkout, wherever another may be installed
        self.drivers = []

    def write_job(self, text):
        (self.folder / "job.yml").write_text(text)

    def command(self, *arguments, **behaviour):
        roles = {f"STAND_IN_{role.upper()}": text for role, text in behaviour.items()}
        driver = subprocess.Popen(
            [sys.executable, *self.driver, *arguments],
            cwd=self.folder,
            env={**os.environ, **roles, "PYTHONPATH": os.pathsep.join(map(str, self.python_path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.drivers.append(driver)
        return driver

    def call(self, *arguments, **behaviour):
        driver = self.command(*arguments, **behaviour)
        stdout, stderr = driver.communicate(timeout=DEADLINE_S)
        return driver.returncode, stdout, stderr

    eventually = staticmethod(eventually)

    def run(self) -> RunFolder:
        return eventually(lambda: list_runs(self.folder / "runs"), "a run folder")[-1][0]

    def state(self):
        return self.run().read_state()

    def until(self, phase):
        eventually(lambda: self.state().state == phase, f"the run is {phase}")
        return self.state()

    def survivors(self):
        """Processes of the sessions of all supervisors so far."""
        sessions = {state.supervisor.pid for _, state in list_runs(self.folder / "runs")}
        return [process for process in psutil.process_iter(["pid", "cmdline", "status"]) if in_one(sessions, process)]

    def until_nobody_is_left(self):
        eventually(lambda: not self.survivors(), "no process is left")

    def close(self):
        for driver in self.drivers:
            driver.kill()
            driver.communicate()
        for process in self.survivors():
            process.kill()


def in_one(sessions, process):
    try:
        return os.getsid(process.pid) in sessions and process.info["status"] != psutil.STATUS_ZOMBIE
    except ProcessLookupError:
        return False


@pytest.fixture
def stand_in_desk(tmp_path):
    """The command line with services that do nothing; see ``stand_in_services``."""
    desk = Desk(tmp_path, [str(HERE / "stand_in_driver.py")])
    yield desk
    desk.close()


@pytest.fixture
def cluster_desk(tmp_path):
    """The command line as it is."""
    desk = Desk(tmp_path, ["-m", "fedswarm.cli.main"])
    yield desk
    desk.close()
