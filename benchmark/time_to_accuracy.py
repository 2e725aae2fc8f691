"""Virtual time to a target accuracy, policy by policy.

    python benchmark/time_to_accuracy.py --json
    python benchmark/time_to_accuracy.py --policies random oort --seeds 1 2 --plot curves.png

A thousand clients share the embedded images (Dirichlet 0.3) and the default device population. Each policy plays the
same job with each seed, whole, in one process (``single_process.py``): what takes time is simulated, so the machine's
speed plays no part. Reported are virtual hours until the test accuracy first reaches the target (median and range over
seeds, and how many seeds reach it), the rounds until then, and the accuracy of the last round.

The papers' claims to compare with: Oort 1.2 to 14.1 times faster than random (OSDI'21), PyramidFL 2.7 to 13.7 times
faster than Oort (MobiCom'22). They are for larger models, real data and more rounds than this.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from single_process import run_job

from fedswarm.jobs.schema import Job
from fedswarm.records.schema import TestResult

POLICIES: dict[str, dict[str, Any]] = {
    "random": {"selection": {"policy": "random"}},
    "oort": {"selection": {"policy": "oort"}},
    "pyramidfl": {"selection": {"policy": "pyramidfl"}},
    "bliss": {"selection": {"policy": "bliss"}},
    "bliss_adapt": {
        "selection": {"policy": "bliss"},
        "training": {"adaptive": {"enabled": True, "max_local_epochs": 5}},
    },
}


@dataclass(frozen=True)
class Curve:
    """One run: the accuracy at instants of the virtual clock, after so many rounds each."""

    policy: str
    seed: int
    rounds: tuple[int, ...]
    hours: tuple[float, ...]
    accuracy: tuple[float, ...]

    def reach(self, target: float) -> tuple[float, int] | None:
        """Hours and rounds until the accuracy is first at least ``target``; None if it never is."""
        tests = zip(self.hours, self.rounds, self.accuracy, strict=True)
        return next(((hours, rounds) for hours, rounds, accuracy in tests if accuracy >= target), None)


def job_for(policy: str, seed: int, rounds: int, model: str) -> Job:
    """The job that every policy plays, but for what the policy is."""
    base: dict[str, Any] = {
        "job_name": f"time_to_accuracy_{policy}",
        "seed": seed,
        "rounds": rounds,
        "data": {"clients": 1000, "partition": {"kind": "dirichlet", "alpha": 0.3}},
        "model": {"name": model},
        "training": {"local_steps": 4, "batch_size": 5, "learning_rate": 0.02},
        "selection": {"participants": 20, "overcommitment": 1.3, "t_budget_s": 60},
        "evaluation": {"interval": 5},
        "devices": {"population": "default", "clock_factor": 30, "compute_scale": 300},
    }
    changes = POLICIES[policy]
    for section, settings in changes.items():
        base[section] = {**base[section], **settings}
    return Job.model_validate(base)


def play(policy: str, seed: int, rounds: int, model: str) -> Curve:
    """One run."""
    records = run_job(job_for(policy, seed, rounds, model))
    tests = [record for record in records if isinstance(record, TestResult)]
    return Curve(
        policy=policy,
        seed=seed,
        rounds=tuple(test.round for test in tests),
        hours=tuple(test.clock_s / 3600 for test in tests),
        accuracy=tuple(test.top1 for test in tests),
    )


def summarise(curves: list[Curve], target: float) -> dict[str, Any]:
    """The row of one policy."""
    reached = sorted(at for curve in curves if (at := curve.reach(target)) is not None)
    hours, rounds = [at[0] for at in reached], [at[1] for at in reached]
    last = [curve.accuracy[-1] for curve in curves]
    return {
        "policy": curves[0].policy,
        "hours_to_target": round(median(hours), 3) if reached else None,
        "hours_range": [round(min(hours), 3), round(max(hours), 3)] if reached else None,
        "rounds_to_target": median(rounds) if reached else None,
        "rounds_range": [min(rounds), max(rounds)] if reached else None,
        "seeds_that_reached_it": f"{len(reached)} of {len(curves)}",
        "final_accuracy": round(median(last), 4),
        "final_accuracy_range": [round(min(last), 4), round(max(last), 4)],
        "total_hours": round(median(curve.hours[-1] for curve in curves), 3),
        "rounds": curves[0].rounds[-1],
    }


def plot(curves: Iterable[Curve], target: float, path: Path) -> None:
    """Accuracy over virtual hours, a thin line a run, a colour a policy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colours = {policy: f"C{index}" for index, policy in enumerate(POLICIES)}
    named: set[str] = set()
    for curve in curves:
        label = None if curve.policy in named else curve.policy
        named.add(curve.policy)
        axes.plot(curve.hours, curve.accuracy, color=colours[curve.policy], alpha=0.6, linewidth=1, label=label)
    axes.axhline(target, color="0.5", linestyle=":", linewidth=1)
    axes.set(xlabel="virtual hours", ylabel="test accuracy", title="Time to accuracy on the default devices")
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policies", nargs="+", choices=list(POLICIES), default=list(POLICIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--target", type=float, default=0.75)
    parser.add_argument("--plot", type=Path, default=None, help="write the curves as a picture")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON lines")
    options = parser.parse_args()
    tasks = [(policy, seed) for policy in options.policies for seed in options.seeds]
    # Processes, not threads: torch keeps one thread each, and fresh ones share no state.
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(play, policy, seed, options.rounds, options.model) for policy, seed in tasks]
        curves = [job.result() for job in jobs]
    rows = [summarise([c for c in curves if c.policy == policy], options.target) for policy in options.policies]
    if not options.json:
        for row in rows:
            print(row, file=sys.stderr)
    if options.plot is not None:
        plot(curves, options.target, options.plot)
    print(json.dumps({"target": options.target, "model": options.model, "policies": rows}))


if __name__ == "__main__":
    main()
