"""The parent's side of one child process."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Queue
from typing import Any, Final, NamedTuple

from fedswarm.launch.environment import service_environment

_WORDS_SHOWN: Final = 4000
_LEAVE_S: Final = 2.0


class Saying(NamedTuple):
    """One line of a child; an empty one means that it has ended."""

    host: str
    line: str


class Member:
    """A child process that follows :mod:`trial.child`; what it says goes to ``heard``, which all members share."""

    def __init__(self, host: str, command: Sequence[str], heard: Queue[Saying]) -> None:
        self.host = host
        self._heard = heard
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=service_environment(os.environ),
            start_new_session=True,  # Ctrl-C is for the parent, which ends its children
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def say(self, what: str, **facts: Any) -> None:
        """Sends one line. A child that no longer reads has ended, which is heard."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"hear": what, **facts}) + "\n")
            self._process.stdin.flush()

    def hang_up(self) -> None:
        """Ends the child's input; it hears nothing more."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def last_words(self) -> str:
        """The end of what the child wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-_WORDS_SHOWN:]

    def close(self, at_once: bool) -> None:
        """Ends the child; ``at_once`` without waiting until it ends by itself."""
        self.hang_up()
        try:
            self._process.wait(0.0 if at_once else _LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()
        with suppress(BrokenPipeError), self._process:
            pass
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(Saying(self.host, line))
        self._heard.put(Saying(self.host, ""))
