"""Processes named so that the name never comes to mean another one: a pid together with its start.

The kernel re-uses pids. A signal is therefore sent only to a process that started at the recorded moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

_STATE, _SESSION, _START_TICKS = 0, 3, 19  # fields of /proc/PID/stat counted after the command's closing bracket
_ENDED_STATES: Final = frozenset("ZX")


class ProcessIdentity(BaseModel):
    """A process for good: ``started`` is an opaque mark of its start, alike only for the same process."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of a process that exists now; one that has ended already gets a mark that matches nothing."""
        return cls(pid=pid, started=_start_mark(pid) or "ended")

    @classmethod
    def own(cls) -> Self:
        """The identity of this process."""
        return cls.of(os.getpid())

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _start_mark(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Signals the process if it still runs; returns whether it was there."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def session_members(session: int) -> list[int]:
    """Pids of all running processes of a session but this one; empty where there is no ``/proc``."""
    return [pid for pid in _all_pids() if pid != os.getpid() and _session_of(pid) == session]


def thread_count() -> int:
    """Threads of this process as the kernel counts them, native ones too; 1 where there is no ``/proc``."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return 1


def _all_pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _session_of(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[_SESSION])


def _start_mark(pid: int) -> str | None:
    """When a running process started, as text; None when there is no such process."""
    if not sys.platform.startswith("linux"):
        return _start_mark_from_ps(pid)
    fields = _stat_fields(pid)
    return None if fields is None else f"{_boot()}:{fields[_START_TICKS]}"


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command itself may hold blanks and brackets
    return None if fields[_STATE] in _ENDED_STATES else fields


def _start_mark_from_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, started = subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition(" ")
    return None if not state or state[0] in _ENDED_STATES else " ".join(started.split())


@cache
def _boot() -> str:
    """Start times count from the boot, so a mark names the boot as well."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "boot"
