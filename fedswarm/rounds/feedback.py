"""What a selection policy is told: who there is, and what became of each client it chose, under that very round."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.world import DeviceWorld
from fedswarm.records.client_outcome import ClientTimes
from fedswarm.rounds.plan import RoundPlan
from fedswarm.rounds.rules import Reports, Verdict
from fedswarm.selection.contract import DeviceFeatures, Feedback, Selector


def introduce(selector: Selector, samples: Mapping[int, int], world: DeviceWorld) -> None:
    """Tells of clients that were not known before, by their numbers of samples, and of their devices if it can."""
    if samples:
        ids = np.asarray(sorted(samples), dtype=np.int64)
        sizes = np.asarray([samples[client] for client in ids.tolist()], dtype=np.int64)
        selector.register_clients(ids, sizes, world if isinstance(world, DeviceFeatures) else None)


def feedback_on(plan: RoundPlan, verdict: Verdict, reports: Reports, times: Mapping[int, ClientTimes]) -> Feedback:
    """Feedback on everybody sampled.

    A client that counts has everything that was measured. A straggler was beaten by time alone: its times are known
    (unless it has not reported), and its utility too if it was trained. Of who failed or went away nothing is known.
    """
    kept = set(verdict.kept)
    good = (*verdict.kept, *verdict.stragglers)
    taken = {client: times[client] for client in good if client in times and times[client].total_s > 0}
    trained = {client: reports[client] for client in good if client in reports}
    # What a straggler was planned to do is what its times are the times of.
    work = {**{client: plan.tasks[client] for client in taken if client in plan.tasks}, **trained}

    def column(known: Mapping[int, Any], name: str, unknown: float) -> NDArray[np.float64]:
        values = (getattr(known[client], name) if client in known else unknown for client in plan.sampled)
        return np.fromiter(values, dtype=np.float64, count=len(plan.sampled))

    return Feedback(
        round_index=plan.round_index,
        client_ids=np.asarray(plan.sampled, dtype=np.int64),
        success=np.asarray([client in kept for client in plan.sampled], dtype=np.bool_),
        utility=column(trained, "utility", nan),
        duration_s=column(taken, "total_s", nan),
        compute_s=column(taken, "compute_s", nan),
        upload_s=column(taken, "upload_s", nan),
        delta_norm=column(trained, "delta_norm", nan),
        steps=column(work, "steps", 0).astype(np.int64),
        dropout_fraction=column(work, "dropout_fraction", 0),
    )
