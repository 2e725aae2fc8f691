"""All children of a trial: heard together, so that one that fails is noticed whoever is waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self

from trial.member import Member, Saying


class TrialError(RuntimeError):
    """A child ended early, stayed silent, or said the wrong thing; the message has the child's last words."""


class Company:
    """A context manager; no child is left after it. ``commands`` are by host."""

    def __init__(self, commands: Mapping[str, Sequence[str]]) -> None:
        self._commands = commands
        self._heard: Queue[Saying] = Queue()
        self._members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        try:
            for host, command in self._commands.items():
                self._members[host] = Member(host, command, self._heard)
        except BaseException:
            self._close(at_once=True)
            raise
        return self

    def __exit__(self, failed: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._close(at_once=failed is not None)

    def tell(self, what: str, **facts: Any) -> None:
        """Sends a line to every child."""
        for member in self._members.values():
            member.say(what, **facts)

    def hang_up(self) -> None:
        """Ends the input of every child, as the end of this process would."""
        for member in self._members.values():
            member.hang_up()

    def gather(self, what: str, within_s: float, hosts: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """The facts that came with ``what``, from each of ``hosts`` (all of them when None); raises TrialError."""
        ends_s = time.monotonic() + within_s
        expected = set(self._members if hosts is None else hosts)
        facts: dict[str, dict[str, Any]] = {}
        while missing := expected - facts.keys():
            try:
                host, line = self._heard.get(timeout=max(ends_s - time.monotonic(), 0.0))
            except Empty:
                raise self._error(min(missing), f"did not say {what!r} within {within_s:.0f} s") from None
            if not line and host in facts:
                continue  # it has said its part, and left
            said = parse(line)
            if said.pop("say", None) != what:
                raise self._error(host, f"was to say {what!r} and said: {line.strip() or 'nothing, it ended'}")
            facts[host] = said
        return facts

    def _error(self, host: str, fault: str) -> TrialError:
        return TrialError(f"{host} {fault}\n{self._members[host].last_words()}".rstrip())

    def _close(self, at_once: bool) -> None:
        for member in self._members.values():
            member.close(at_once)


def parse(line: str) -> dict[str, Any]:
    """What a child says; nothing where it prints anything but a JSON object."""
    try:
        said = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
