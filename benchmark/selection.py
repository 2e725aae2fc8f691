"""What a round costs each selection policy at 10^4, 10^5 and 10^6 clients: one choice of 130, and one feedback on them.

    python benchmark/selection.py [--policies random oort ...] [--clients 10000 ...] [--json]

All clients are registered with devices of the default population and online. All were tried once, so that each has a
score; for Bliss one half was, which also considers newcomers. Bliss looks at 500 and 500 candidates, with its default
regressors, fitting included. Times are CPU times of one process, the median and the slowest of some rounds; bytes are
what the policy's state takes after registration, and the peak of a choice beyond it.
Without --json a table is printed; the last line is a JSON object either way.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from fedswarm.devices.population_file import load_population
from fedswarm.devices.traced import TracedDevices
from fedswarm.devices.worlds import DEFAULT_POPULATION
from fedswarm.jobs.built_in import POLICIES
from fedswarm.jobs.schema import DevicesSection, Job
from fedswarm.selection.contract import DeviceFeatures, Feedback, Moment, Selector
from fedswarm.selection.policies import make_selector

PARTICIPANTS, OVERCOMMITMENT, CHOSEN = 100, 1.3, 130
ROUNDS = 7
CLIENTS = (10_000, 100_000, 1_000_000)
CANDIDATES = {"predict_candidates": 500, "refresh_candidates": 500, "predict_rows": 1000, "refresh_rows": 1500}
FIDELITIES = {"oort": ("paper", "reference"), "pyramidfl": ("paper", "reference")}


def make(policy: str, fidelity: str | None) -> Selector:
    """A policy with its defaults, or with those of a fidelity."""
    shared = {"participants": PARTICIPANTS, "overcommitment": OVERCOMMITMENT}
    selection: dict[str, Any] = {"policy": policy, **shared, "bliss": CANDIDATES}
    if fidelity:
        selection |= {section: {"fidelity": fidelity} for section in ("oort", "pyramidfl")}
    return make_selector(Job.model_validate({"selection": selection}))


def outcome(round_index: int, clients: np.ndarray, draws: np.random.Generator) -> Feedback:
    """Nine in ten count, the others straggle."""
    count = len(clients)
    success = draws.random(count) < 0.9
    compute_s, upload_s = draws.lognormal(4, 1, count), draws.lognormal(3, 1, count)
    return Feedback.of(
        round_index,
        clients,
        success=success,
        utility=np.where(success, draws.lognormal(3, 1, count), np.nan),
        duration_s=compute_s + upload_s + 1,
        compute_s=compute_s,
        upload_s=upload_s,
        delta_norm=np.where(success, draws.random(count), np.nan),
        steps=np.full(count, 20),
    )


def devices_of(ids: np.ndarray) -> DeviceFeatures:
    """The default population, whose devices the clients have by turns."""
    return TracedDevices.of(ids, load_population(DEFAULT_POPULATION), 1, DevicesSection())


def measure(policy: str, fidelity: str | None, clients: int) -> dict[str, Any]:
    """One row of the table."""
    ids, draws = np.arange(clients, dtype=np.int64), np.random.default_rng(1)
    devices = devices_of(ids)
    tracemalloc.start()
    selector = make(policy, fidelity)
    selector.register_clients(ids, np.full(clients, 50, dtype=np.int64), devices)
    held = tracemalloc.get_traced_memory()[0]
    tried = selector.select_participants(clients // 2 if policy == "bliss" else clients, Moment(0.0, 0, 0, ids))
    selector.register_feedback(outcome(0, tried, draws))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    selector.select_participants(CHOSEN, Moment(0.0, 100, 1, ids))
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    chosen_ms, learnt_ms = timed_rounds(selector, ids, draws)
    both = [choice + feedback for choice, feedback in zip(chosen_ms, learnt_ms, strict=True)]
    return {
        "policy": policy,
        "fidelity": fidelity,
        "clients": clients,
        "choice_ms": round(median(chosen_ms), 2),
        "feedback_ms": round(median(learnt_ms), 2),
        "median_ms": round(median(both), 2),
        "slowest_ms": round(max(both), 2),
        "bytes_per_client": round(held / clients, 1),
        "peak_mib": round(peak / 2**20, 1),
    }


def timed_rounds(selector: Selector, ids: np.ndarray, draws: np.random.Generator) -> tuple[list[float], list[float]]:
    """CPU milliseconds of each round's choice, with what it asks of the chosen, and of the feedback on it."""
    chosen_ms, learnt_ms = [], []
    for draw in range(2, ROUNDS + 2):
        moment = Moment(60.0 * draw, 100 + draw, draw, ids)
        began = time.process_time()
        chosen = selector.select_participants(CHOSEN, moment)
        selector.overrides()
        chose = time.process_time()
        feedback = outcome(100 + draw, chosen, draws)
        resumed = time.process_time()
        selector.register_feedback(feedback)
        learnt_ms.append((time.process_time() - resumed) * 1e3)
        chosen_ms.append((chose - began) * 1e3)
    return chosen_ms, learnt_ms


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text."""
    head = "policy     fidelity     clients  choice ms  feedback ms  slowest ms  bytes/client  peak MiB"
    lines = [
        f"{row['policy']:10} {row['fidelity'] or '':10} {row['clients']:9,} {row['choice_ms']:10.2f}"
        f" {row['feedback_ms']:12.2f} {row['slowest_ms']:11.2f} {row['bytes_per_client']:13.1f} {row['peak_mib']:9.1f}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--clients", nargs="+", type=int, default=list(CLIENTS))
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    arguments = parser.parse_args()
    rows = [
        measure(policy, fidelity, clients)
        for policy in arguments.policies
        for fidelity in FIDELITIES.get(policy, (None,))
        for clients in arguments.clients
    ]
    if not arguments.json:
        print(table(rows))
    print(json.dumps({"chosen": CHOSEN, "rounds": ROUNDS, "rows": rows}))


if __name__ == "__main__":
    main()
