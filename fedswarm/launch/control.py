"""Ending a run from anywhere by its ``run.json``, whether or not its supervisor still lives."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import INTERRUPTED, RunState

STOP_TIMEOUT_S: Final = 25.0  # the supervisor's own patience with a stubborn cluster, and some more
KILL_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.05


def stop_run(folder: RunFolder, timeout_s: float = STOP_TIMEOUT_S) -> RunState:
    """Ends a run gracefully, after ``timeout_s`` seconds by force; returns its last state."""
    state = folder.read_state()
    if not state.is_over:
        state.supervisor.send(signal.SIGTERM)
        wait_until(lambda: not state.supervisor.is_alive(), timeout_s)
    return kill_run(folder, was_running=not state.is_over)


def kill_run(folder: RunFolder, *, was_running: bool = True) -> RunState:
    """Ends every recorded process of a run by force; returns its last state.

    If nobody has written the run's end into ``run.json``, this does: ``stopped`` when the run ``was_running``,
    ``failed`` when its supervisor had been lost before.
    """
    wait_until(lambda: _kill_survivors(folder) == 0, KILL_TIMEOUT_S)
    recorded = folder.read_recorded_state()
    if not recorded.is_over:
        end: dict[str, object] = {"ended_at": datetime.now().astimezone().isoformat(timespec="milliseconds")}
        if was_running:
            end |= {"state": "stopped", "exit_code": INTERRUPTED, "error": "ended by force"}
        folder.write_state((recorded if was_running else recorded.observed()).model_copy(update=end))
    return folder.read_state()


def _kill_survivors(folder: RunFolder) -> int:
    """Kills whoever is still there; returns how many.

    The supervisor goes first: it would take the others' deaths for failures and write them down. At the very start this
    process itself may answer for the run; it lives on.
    """
    survivors = [identity for identity in folder.read_state().survivors() if identity.pid != os.getpid()]
    for identity in reversed(survivors):
        identity.send(signal.SIGKILL)
    return len(survivors)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Polls ``condition`` until it holds; returns whether it did within ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
