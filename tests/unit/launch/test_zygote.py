import json
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from fedswarm.launch.processes import ProcessIdentity

EXECUTOR = """
import os, sys, threading, time
from pathlib import Path

warmed = []


def prepare(job):
    if str(job) == "slow":
        print("warming up", flush=True)
        time.sleep(600)
    if str(job) == "bad":
        from fedswarm.errors import DataError
        raise DataError("no folder data/x")
    warmed.append(os.getpid())


def main(arguments):
    number, _, status_fd, _, lifeline_fd = arguments
    print("executor", number, "warmed by its parent:", warmed == [os.getppid()])
    os.write(int(status_fd), b'{"ready": true, "target": "here"}\\n')
    if number == "broken":
        raise RuntimeError("a mistake in the executor")
    if number == "deaf":
        time.sleep(600)
    os.read(int(lifeline_fd), 1)
    return 5
"""


class Supervisor:
    """The other end of a zygote."""

    def __init__(self, folder, job):
        (folder / "stand_in_executor.py").write_text(textwrap.dedent(EXECUTOR))
        self.folder = folder
        lifeline_read, self.lifeline = os.pipe()
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(20)
        self.lines = self.socket.makefile("rb")
        flags = ["--module", "stand_in_executor", "--job", job]
        flags += ["--command-fd", str(theirs.fileno()), "--lifeline-fd", str(lifeline_read)]
        self.zygote = subprocess.Popen(
            [sys.executable, "-m", "fedswarm.launch.zygote", *flags],
            pass_fds=[theirs.fileno(), lifeline_read],
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        os.close(lifeline_read)

    def fork(self, number, word="1"):
        command = {"fork": number, "arguments": [word], "log": str(self.folder / f"{number}.log")}
        self.socket.sendall(json.dumps(command).encode() + b"\n")

    def hear(self):
        return json.loads(self.lines.readline())

    def hang_up(self):
        self.lines.close()
        self.socket.close()

    def let_go(self):
        os.close(self.lifeline)
        self.lifeline = None

    def close(self):
        self.hang_up()
        if self.lifeline is not None:
            self.let_go()
        self.zygote.kill()
        self.zygote.communicate()


@pytest.fixture
def start(tmp_path):
    started = []

    def start(job="job.yml"):
        started.append(Supervisor(tmp_path, job))
        return started[-1]

    yield start
    for supervisor in started:
        supervisor.close()


def test_executors_are_forked_from_the_warmed_process(start):
    supervisor = start()
    assert supervisor.hear() == {"prepared": True}
    supervisor.fork(1)
    assert supervisor.hear()["forked"] == 1
    assert supervisor.hear() == {"status": 1, "line": {"ready": True, "target": "here"}}
    supervisor.let_go()
    assert supervisor.hear() == {"ended": 1, "exit_code": 5}
    assert (supervisor.folder / "1.log").read_text() == "executor 1 warmed by its parent: True\n"


def test_an_exception_in_an_executor_goes_to_its_own_log(start):
    supervisor = start()
    supervisor.hear()
    supervisor.fork(1, "broken")
    messages = [supervisor.hear() for _ in range(3)]
    assert messages[-1] == {"ended": 1, "exit_code": 1}
    assert "RuntimeError: a mistake in the executor" in (supervisor.folder / "1.log").read_text()


def test_a_killed_executor_is_reported_with_its_signal_and_the_others_live_on(start):
    supervisor = start()
    supervisor.hear()
    supervisor.fork(1)
    first = supervisor.hear()["pid"]
    supervisor.hear()
    supervisor.fork(2)
    second = supervisor.hear()["pid"]
    supervisor.hear()
    os.kill(first, signal.SIGKILL)
    assert supervisor.hear() == {"ended": 1, "exit_code": -signal.SIGKILL}
    assert ProcessIdentity.of(second).is_alive()


def test_what_prepare_reports_is_told_with_its_exit_code(start):
    supervisor = start("bad")
    assert supervisor.hear() == {"error": "no folder data/x", "exit_code": 12}
    assert supervisor.zygote.wait(20) == 12


def test_a_zygote_that_is_still_warming_up_dies_with_its_supervisor(start):
    supervisor = start("slow")
    assert supervisor.zygote.stdout.readline() == b"warming up\n"
    supervisor.hang_up()
    assert supervisor.zygote.wait(20) == -signal.SIGIO


def test_a_zygote_whose_supervisor_is_gone_does_not_even_warm_up(start):
    supervisor = start("slow")
    supervisor.hang_up()
    assert supervisor.zygote.wait(20) in (1, -signal.SIGIO)


def test_executors_that_ignore_the_end_of_the_lifeline_are_killed(start):
    supervisor = start()
    supervisor.hear()
    supervisor.fork(1, "deaf")
    executor = ProcessIdentity.of(supervisor.hear()["pid"])
    supervisor.hear()
    supervisor.hang_up()
    assert supervisor.zygote.wait(20) == 0
    assert not executor.is_alive()
