"""What a selection policy learns from a round: one row for each client it chose, under that very round."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

import numpy as np

from fedswarm.records.schema import ClientTimes
from fedswarm.rounds.plan import RoundPlan
from fedswarm.rounds.rules import Reports, Verdict
from fedswarm.selection.contract import Feedback


def feedback_on(plan: RoundPlan, verdict: Verdict, reports: Reports, times: Mapping[int, ClientTimes]) -> Feedback:
    """Feedback on everybody sampled.

    A client that counts has everything that was measured. A straggler was beaten by time alone: its times are known,
    and its utility too if it was trained. Of who failed or went away nothing is known.
    """
    kept = set(verdict.kept)
    timed = {client for client in (*verdict.kept, *verdict.stragglers) if client in times}
    trained = {client: reports[client] for client in timed if client in reports}
    ids = plan.sampled
    return Feedback(
        round_index=plan.round_index,
        client_ids=np.asarray(ids, dtype=np.int64),
        success=np.asarray([client in kept for client in ids], dtype=np.bool_),
        utility=np.asarray([trained[client].utility if client in trained else nan for client in ids]),
        duration_s=np.asarray([times[client].total_s if client in timed else nan for client in ids]),
        compute_s=np.asarray([times[client].compute_s if client in timed else nan for client in ids]),
        upload_s=np.asarray([times[client].upload_s if client in timed else nan for client in ids]),
        delta_norm=np.asarray([trained[client].delta_norm if client in trained else nan for client in ids]),
        steps=np.asarray([trained[client].steps if client in trained else 0 for client in ids], dtype=np.int64),
        dropout_fraction=np.asarray(
            [trained[client].dropout_fraction if client in trained else 0.0 for client in ids], dtype=np.float64
        ),
    )
