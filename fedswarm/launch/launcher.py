"""What every launcher offers, wherever it starts the processes."""

from __future__ import annotations

from typing import Protocol

from fedswarm.jobs.schema import Job
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import RunState


class Run(Protocol):
    """A run that was launched."""

    @property
    def folder(self) -> RunFolder:
        """Where everything about it lies."""
        ...

    def state(self) -> RunState:
        """Where it stands now."""
        ...

    def wait(self, timeout_s: float) -> RunState:
        """Waits for its end, for at most ``timeout_s`` seconds; returns where it stands then."""
        ...

    def stop(self) -> None:
        """Asks it to end; the second time to end at once. Does not wait."""
        ...

    def kill(self) -> None:
        """Ends what is left of it by force."""
        ...

    def release(self) -> None:
        """Waits until the last process of a run that is over has left."""
        ...


class Launcher(Protocol):
    """Starts runs."""

    def launch(self, job: Job, *, attached: bool) -> Run:
        """Starts a run and returns at once; an attached run ends with the process that launched it."""
        ...
