"""A child's side of a trial: JSON lines go out on standard output, JSON lines come in on standard input.

The order is always the same: ``meet`` (it says where it answers and hears of all others), ``await_go`` (connections
stand, nothing moves yet), perhaps ``finished``, then ``await_stop`` and ``report``. The end of the input means that the
parent is gone, and ends the child.
"""

from __future__ import annotations

import json
import sys
import time
from typing import IO, Any

Facts = dict[str, Any]


class Child:
    """Blocking calls; in a process with an event loop they run in a thread."""

    def __init__(self, commands: IO[str] = sys.stdin, answers: IO[str] = sys.stdout) -> None:
        self._commands = commands
        self._answers = answers
        self._cpu_before_s = 0.0

    def meet(self, **facts: Any) -> dict[str, Facts]:
        """Tells the parent what others have to know; returns the facts of every member, by host."""
        self._say("ready", facts)
        members: dict[str, Facts] = self._hear("meet")["members"]
        return members

    def await_go(self) -> None:
        """Returns at the start of the transfer; processor time counts from here."""
        self._say("met", {})
        self._hear("go")
        self._cpu_before_s = time.process_time()

    def finished(self) -> None:
        """This member has everything, verified, at this instant."""
        self._say("finished", {"at_s": time.monotonic()})

    def await_stop(self) -> None:
        """Returns when all have finished."""
        self._hear("stop")

    def report(self, **figures: Any) -> None:
        """The last words: what was counted, and the processor time."""
        self._say("report", {"cpu_s": time.process_time() - self._cpu_before_s, **figures})

    def _say(self, what: str, facts: Facts) -> None:
        self._answers.write(json.dumps({"say": what, **facts}) + "\n")
        self._answers.flush()

    def _hear(self, what: str) -> Facts:
        line = self._commands.readline()
        if not line:
            sys.exit("the trial is over: its parent has gone")
        heard: Facts = json.loads(line)
        if heard["hear"] != what:
            sys.exit(f"the parent says {heard['hear']!r} where {what!r} is due")
        return heard
