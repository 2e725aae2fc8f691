"""Small processes that run :mod:`services.process.entry` as every service does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedswarm.errors import DataError

ROOT = Path(__file__).resolve().parents[3]
LOG_LINE = re.compile(r"\(\d\d-\d\d\) \d\d:\d\d:\d\d WARNING  \[<string>:\d+\] hello 7\n")

PROGRAM = """
import asyncio, sys
from fedswarm.errors import DataError, StoppedError
from services.process import entry, launcher_contract

status_fd, lifeline_fd = (int(n) if n != "-" else None for n in sys.argv[1:3])
if {short_grace}:
    entry.LIFELINE_GRACE_S = 0.05

async def serve(stop):
    launcher_contract.report(status_fd, ready=True, target="h:1")
    {body}

sys.exit(entry.run(serve, status_fd=status_fd, lifeline_fd=lifeline_fd))
"""


class Launched:
    """A process with the launcher's ends of its two pipes."""

    def __init__(self, body: str, *, short_grace: bool = False) -> None:
        self._status, status_write = os.pipe()
        lifeline_read, self.lifeline = os.pipe()
        program = PROGRAM.format(body=body, short_grace=short_grace)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(status_write), str(lifeline_read)],
            pass_fds=(status_write, lifeline_read),
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        os.close(status_write)
        os.close(lifeline_read)

    def ready(self) -> None:
        """Waits for the first status line."""
        assert json.loads(os.read(self._status, 4096)) == {"ready": True, "target": "h:1"}

    def hang_up(self) -> None:
        """The launcher dies."""
        os.close(self.lifeline)
        self.lifeline = -1

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Exit code, the status lines not read yet, and the log."""
        _, log = self.process.communicate(timeout=30)
        with os.fdopen(self._status) as status:
            lines = [json.loads(line) for line in status]
        if self.lifeline >= 0:
            os.close(self.lifeline)
        return self.process.returncode, lines, log


def test_a_service_that_returns_exits_with_0() -> None:
    code, status, log = Launched("pass").end()
    assert (code, status, log) == (0, [{"ready": True, "target": "h:1"}], "")


def test_an_error_of_ours_is_reported_with_its_exit_code_and_without_a_traceback() -> None:
    code, status, log = Launched("raise DataError('no such data set')").end()
    assert code == DataError.exit_code
    assert status[-1] == {"error": "no such data set", "exit_code": DataError.exit_code}
    assert "no such data set" in log and "Traceback" not in log


@pytest.mark.parametrize(
    ("body", "error"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("raise asyncio.CancelledError('stray')", "CancelledError")],
)
def test_an_unexpected_error_is_logged_whole_and_reported_short(body: str, error: str) -> None:
    code, status, log = Launched(body).end()
    assert code == status[-1]["exit_code"] == 1
    assert error in status[-1]["error"] and "Traceback" in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_stop(number: signal.Signals) -> None:
    launched = Launched("await stop.wait()")
    launched.ready()
    launched.process.send_signal(number)
    assert launched.end()[0] == 0


def test_a_stop_may_end_in_an_error_of_its_own() -> None:
    launched = Launched("await stop.wait(); raise StoppedError('saved')")
    launched.ready()
    launched.process.send_signal(signal.SIGTERM)
    code, status, _ = launched.end()
    assert (code, status[-1]["error"]) == (130, "saved")


def test_the_launchers_end_sets_stop() -> None:
    launched = Launched("await stop.wait()")
    launched.ready()
    launched.hang_up()
    assert launched.end()[0] == 0


def test_a_process_that_is_stuck_does_not_outlive_its_launcher() -> None:
    launched = Launched("import threading; threading.Event().wait()", short_grace=True)
    launched.ready()
    launched.hang_up()
    code, _, log = launched.end()
    assert code == 1 and "the launcher is gone" in log


def test_log_lines_have_the_familys_shape() -> None:
    _, _, log = Launched("import logging; logging.getLogger('x').warning('hello %d', 7)").end()
    assert LOG_LINE.fullmatch(log)
