"""Keeps ``run.json`` true while a run lives. There is one writer, the run's supervisor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fedswarm.launch.failures import describe_exit
from fedswarm.launch.member import Member
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import Phase, ProcessRecord, RunEvent


class RunJournal:
    """The state of one run: every change is on disk when its method returns."""

    def __init__(self, folder: RunFolder, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now
        self.state = folder.read_state()
        self._change(supervisor=ProcessIdentity.own())

    def record(self, member: Member) -> None:
        """Writes down where a process stands."""
        record = ProcessRecord(
            identity=member.identity, target=member.target, has_ended=member.has_ended, exit_code=member.exit_code
        )
        self._change(processes={**self.state.processes, member.role: record})

    def note(self, text: str, lost: str | None = None) -> None:
        """Adds an event; ``lost`` is the role of the process that it is the end of."""
        self._change(events=(*self.state.events, RunEvent(at=self._instant(), text=text, lost=lost)))

    def note_end(self, member: Member) -> None:
        """Adds the event that a process ended though the run goes on."""
        how = "is gone" if member.exit_code is None else f"ended with {describe_exit(member.exit_code)}"
        self.note(f"{member.role} {how}; the run goes on without it", member.role)

    def enter(self, phase: Phase) -> None:
        """Moves on to a phase that is not the last."""
        self._change(state=phase)

    def close(self, phase: Phase, exit_code: int, error: str | None) -> None:
        """Writes the run's end."""
        self._change(state=phase, exit_code=exit_code, error=error, ended_at=self._instant())

    def _instant(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    def _change(self, **changes: Any) -> None:
        self.state = self.state.model_copy(update=changes)
        self._folder.write_state(self.state)
