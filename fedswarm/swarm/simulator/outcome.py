"""What came of a scenario: when each peer had what it wanted, and what that cost in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedswarm.swarm.instructions import Completed, Failed
from fedswarm.swarm.messages import Verdict
from fedswarm.swarm.simulator.world import World


@dataclass(frozen=True)
class Outcome:
    """Times in virtual seconds since the beginning, bytes summed over all hosts.

    Attributes:
        completed_s: when the last fetch of each peer was complete; only peers all of whose fetches are.
        took_s: the same, since its first fetch began.
        failures: why a fetch failed, by peer.
        unfinished: how many fetches expired, or ended with their hosts.
        useful_bytes: chunks accepted.
        duplicate_bytes: chunks that were there already.
        unwanted_bytes: chunks that nobody wanted.
        void_bytes: frames that did not arrive.
        frame_bytes: all frames sent, headers included.
        control_bytes: letters and receipts, headers included.
        events: how many things happened.
    """

    completed_s: Mapping[str, float]
    took_s: Mapping[str, float]
    failures: Mapping[str, str]
    unfinished: int
    useful_bytes: int
    duplicate_bytes: int
    unwanted_bytes: int
    void_bytes: int
    frame_bytes: int
    control_bytes: int
    events: int

    @property
    def last_s(self) -> float:
        """When the last of those that completed did."""
        return max(self.completed_s.values())

    @property
    def wasted(self) -> float:
        """Share of duplicate, unwanted and void bytes in all frames."""
        return (self.duplicate_bytes + self.unwanted_bytes + self.void_bytes) / max(self.frame_bytes, 1)

    @property
    def control(self) -> float:
        """Control bytes for each byte of frames."""
        return self.control_bytes / max(self.frame_bytes, 1)


def outcome_of(world: World) -> Outcome:
    """Sums up a world whose time is over."""
    completed_s: dict[str, float] = {}
    began_s: dict[str, float] = {}
    failures: dict[str, str] = {}
    unfinished: dict[str, int] = {}
    for fetch in world.fetches:
        name = fetch.host.name
        began_s.setdefault(name, fetch.began_s)
        if isinstance(fetch.ending, Completed) and fetch.ended_s is not None:
            completed_s[name] = max(completed_s.get(name, 0.0), fetch.ended_s)
        elif isinstance(fetch.ending, Failed):
            failures[name] = fetch.ending.reason
        else:
            unfinished[name] = unfinished.get(name, 0) + 1
    whole = {name: at_s for name, at_s in completed_s.items() if name not in failures and name not in unfinished}
    chunks = {verdict: sum(traffic.payload_bytes[verdict] for traffic in world.traffic) for verdict in Verdict}
    return Outcome(
        completed_s=whole,
        took_s={name: at_s - began_s[name] for name, at_s in whole.items()},
        failures=failures,
        unfinished=sum(unfinished.values()),
        useful_bytes=chunks[Verdict.ACCEPTED],
        duplicate_bytes=chunks[Verdict.DUPLICATE],
        unwanted_bytes=chunks[Verdict.UNWANTED],
        void_bytes=sum(traffic.void_bytes for traffic in world.traffic),
        frame_bytes=sum(traffic.frame_bytes for traffic in world.traffic),
        control_bytes=sum(traffic.control_bytes for traffic in world.traffic),
        events=world.timeline.happened,
    )
