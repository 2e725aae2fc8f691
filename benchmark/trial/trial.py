"""A trial: children on hosts, started together, timed until the last of those that count has finished."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from network.network import Network

from trial.company import Company

SET_UP_S: Final = 60.0


@dataclass(frozen=True)
class Outcome:
    """What came out of a trial."""

    finished_s: Mapping[str, float]
    """Seconds from the start until a member had everything, by host."""
    reports: Mapping[str, Mapping[str, Any]]
    """What each member counted, by host."""
    wire_bytes: int | None
    """Bytes that came in by all links meanwhile, headers included; None on a network that does not count."""

    @property
    def last_s(self) -> float:
        """Seconds until the last member had everything."""
        return max(self.finished_s.values())


def run_trial(
    network: Network, commands: Mapping[str, Sequence[str]], finishers: Collection[str], deadline_s: float
) -> Outcome:
    """Runs one child a host and waits until ``finishers`` have finished.

    Raises :class:`trial.company.TrialError` if a child fails or ``deadline_s`` passes; no child is left in any case.
    """
    with Company({host: network.command(host, command) for host, command in commands.items()}) as company:
        company.tell("meet", members=company.gather("ready", SET_UP_S))
        company.gather("met", SET_UP_S)
        before = _received_bytes(network, commands)
        began_s = time.monotonic()
        company.tell("go")
        finished = company.gather("finished", deadline_s, finishers)
        after = _received_bytes(network, commands)
        company.tell("stop")
        reports = company.gather("report", SET_UP_S)
    wire_bytes = None if before is None or after is None else after - before
    return Outcome({host: facts["at_s"] - began_s for host, facts in finished.items()}, reports, wire_bytes)


def _received_bytes(network: Network, hosts: Collection[str]) -> int | None:
    counts = [network.received_bytes(host) for host in hosts]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
