"""What the cluster costs: a round of the running cluster over the same clients trained by a bare PyTorch loop.

    python benchmark/round_overhead.py --json                  # logistic regression, then the CNN
    python benchmark/round_overhead.py --model cnn --executors 2

20 clients a round, 50 samples each, batch 16, one epoch. The cluster is the real one: ``driver.py submit`` starts an
aggregator, a tracker and executors, and every round moves, verifies, sums and records as always. The loop is one
process with one thread and one model (``bare_loop.py``), over the clients of as many of the cluster's rounds as give a
steady median, with the same batches. Both are timed in turn and medians are compared: on a shared machine only the
ratio means much.

A JSON object a model; the last line is the last model's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from bare_loop import BareFederation, bare_round, prepare

from fedswarm.jobs.schema import Job
from fedswarm.records.reader import read_records

ROOT = Path(__file__).resolve().parent.parent
WARM_UP_ROUNDS = 2
BARE_ROUNDS = {"lr": 20, "cnn": 3}
CLUSTER_ROUNDS = {"lr": 60, "cnn": 10}


def job_for(model: str, executors: int) -> Job:
    """The job that both sides run."""
    return Job.model_validate(
        {
            "job_name": f"overhead_{model}",
            "rounds": CLUSTER_ROUNDS[model] + WARM_UP_ROUNDS,
            "cluster": {"executors": executors},
            "data": {"clients": 200},
            "model": {"name": model},
            "training": {"local_epochs": 1, "batch_size": 16},
            "selection": {"participants": 20},
            "evaluation": {"interval": 10_000},
        }
    )


def time_cluster(job: Job, folder: Path) -> tuple[list[float], dict[int, list[int]]]:
    """Runs the job by the driver; wall seconds of each round, and the clients of each by its number, warm-up left out.

    Ends this program with what the driver said if the run fails.
    """
    (folder / "job.yml").write_text(json.dumps(job.model_dump(mode="json")))  # JSON is YAML
    command = [sys.executable, str(ROOT / "driver" / "driver.py"), "submit", "job.yml", "--json"]
    done = subprocess.run(
        command, cwd=folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        sys.exit(f"the cluster's run ended with exit code {done.returncode}:\n{done.stderr.rstrip()}")
    (run,) = sorted((folder / "runs" / job.job_name).iterdir())[-1:]
    records = list(read_records(run / "rounds.jsonl"))
    # A round lasts from its plan to the next one: everything in between counts, the records' writing too.
    begins = [record for record in records if record["tag"] == "ROUND_BEGIN"]
    ends = [record["ts"] for record in begins[1:]]
    walls = [end - begin["ts"] for begin, end in zip(begins, ends, strict=False)]
    return walls[WARM_UP_ROUNDS:], {begin["round"]: begin["to_run"] for begin in begins[WARM_UP_ROUNDS:]}


def time_bare(federation: BareFederation, rounds: Mapping[int, list[int]]) -> list[float]:
    """Wall seconds of the bare loop for each of these rounds, given the clients of each by its number."""
    start = {name: tensor.clone() for name, tensor in federation.module.state_dict().items()}
    walls = []
    for number, clients in rounds.items():
        begin = time.perf_counter()
        bare_round(federation, start, clients, number, federation.job.training.learning_rate)
        walls.append(time.perf_counter() - begin)
    return walls


def compare(model: str, executors: int, repeats: int) -> dict[str, float | int | str]:
    """Times both sides in turn ``repeats`` times; medians in milliseconds and their ratio."""
    job = job_for(model, executors)
    federation = prepare(job)
    cluster: list[float] = []
    bare: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            walls, participants = time_cluster(job, Path(folder))
        cluster += walls
        some = dict(itertools.islice(participants.items(), BARE_ROUNDS[model] + 1))
        bare += time_bare(federation, some)[1:]  # the first one warms up
    round_ms, bare_ms = 1000 * median(cluster), 1000 * median(bare)
    return {
        "model": model,
        "executors": executors,
        "rounds_per_s": round(1000 / round_ms, 2),
        "round_ms": round(round_ms, 2),
        "bare_loop_ms": round(bare_ms, 2),
        "overhead_ms": round(round_ms - bare_ms, 2),
        "ratio": round(round_ms / bare_ms, 3),
    }


def small_number(text: str) -> int:
    """A whole number from 1 to 4096 (the most executors a job may have), for argparse."""
    number = int(text)
    if not 1 <= number <= 4096:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 4096")
    return number


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", choices=["lr", "cnn"], action="append", help="default: both")
    parser.add_argument("--executors", type=small_number, default=1)
    parser.add_argument("--repeats", type=small_number, default=3, help="times that each side runs")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON lines")
    options = parser.parse_args()
    for model in options.model or ["lr", "cnn"]:
        figures = compare(model, options.executors, options.repeats)
        if not options.json:
            print(f"{model}: a round {figures['round_ms']} ms, bare loop {figures['bare_loop_ms']} ms", file=sys.stderr)
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
