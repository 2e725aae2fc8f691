"""A process of the cluster as its supervisor sees it, however it was started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedswarm.errors import FedswarmError, LaunchError, RunFailedError
from fedswarm.launch.failures import describe_exit, error_of
from fedswarm.launch.processes import ProcessIdentity


class Member:
    """One process: what it reported, whether it has ended, and how to signal it.

    ``on_change`` is called with the member after each of those changes.
    """

    def __init__(
        self, role: str, identity: ProcessIdentity, log_file: Path, on_change: Callable[[Member], None]
    ) -> None:
        self.role = role
        self.identity = identity
        self.target: str | None = None
        self.exit_code: int | None = None
        self._log_file = log_file
        self._on_change = on_change
        self._reported: FedswarmError | None = None
        self._ready = False
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._ended.is_set()

    @property
    def failure(self) -> FedswarmError:
        """Why the process ended: the error it reported, or else its exit and the last line of its log.

        Who is killed has no last word; that line would only mislead.
        What is not an error of its own is one of the launch before the process was ready, and one of the run after.
        """
        if self._reported is not None:
            return self._reported
        how = "is gone" if self.exit_code is None else f"ended with {describe_exit(self.exit_code)}"
        was_killed = self.exit_code == -signal.SIGKILL
        why = "somebody killed it, or memory ran out" if was_killed else _last_line(self._log_file)
        return self._kind(f"{self._name} {how}{': ' + why if why else ''} (its log: {self._log_file})")

    @property
    def was_lost(self) -> bool:
        """Whether the process ended without a word about why, as one that is killed does."""
        return self.has_ended and self._reported is None

    @property
    def _name(self) -> str:
        """The role in a sentence: there is one tracker, but executor-1 is a name."""
        return self.role if self.role[-1].isdigit() else f"the {self.role}"

    @property
    def _kind(self) -> type[FedswarmError]:
        return RunFailedError if self._ready else LaunchError

    def hear(self, status: Mapping[str, Any]) -> None:
        """Takes one status line of the launcher contract."""
        if "error" in status:
            self._reported = error_of(int(status.get("exit_code", 1)), str(status["error"]), self._kind)
        elif status.get("ready"):
            self._ready = True
            self.target = status.get("target")
            self._changed.set()
            self._on_change(self)

    def end(self, exit_code: int | None) -> None:
        """Notes that the process is gone; ``None`` when nobody could ask for its exit code."""
        self.exit_code = exit_code
        self._ended.set()
        self._changed.set()
        self._on_change(self)

    async def until_ready(self, timeout_s: float) -> None:
        """Waits until the process serves.

        Raises:
            FedswarmError: it gave up or ended first (its own error), or said nothing for ``timeout_s`` seconds.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            raise LaunchError(f"{self._name} was not ready after {timeout_s:g} s; see {self._log_file}") from None
        if not self._ready:
            raise self.failure

    async def until_ended(self) -> None:
        """Waits until the process is gone."""
        await self._ended.wait()

    def send(self, number: signal.Signals) -> None:
        """Signals the process unless it is gone."""
        if not self.has_ended:
            self.identity.send(number)


def _last_line(log_file: Path) -> str:
    try:
        lines = log_file.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
