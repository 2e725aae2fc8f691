"""What a selection policy learns from a round: one feedback for each client it chose, under that very round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fedswarm.records.schema import ClientTimes
from fedswarm.rounds.plan import RoundPlan
from fedswarm.rounds.rules import Reports, Verdict
from fedswarm.selection.contract import Feedback


def feedback_on(
    plan: RoundPlan, verdict: Verdict, reports: Reports, times: Mapping[int, ClientTimes]
) -> Iterator[Feedback]:
    """Feedback on everybody sampled.

    Clients that count bring their own utility. A straggler that was never trained gets the mean utility of those that
    count, one that was trained its own; neither is a success. Who failed or went away gets none and teaches nothing
    about its speed: how long a failure took is no duration.
    """
    mean = sum(reports[client].utility for client in sorted(verdict.kept)) / len(verdict.kept) if verdict.kept else 0.0
    kept, stragglers = set(verdict.kept), set(verdict.stragglers)
    for client in plan.sampled:
        timed = client in kept or client in stragglers
        utility = reports[client].utility if client in reports else mean
        yield Feedback(
            client_id=client,
            round_index=plan.round_index,
            success=client in kept,
            utility=utility if timed else 0.0,
            duration_s=times[client].total_s if timed and client in times else None,
        )
