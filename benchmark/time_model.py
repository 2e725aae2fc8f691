"""Completion times of a million clients on 48-hour traces, against a walk along each client's trace in plain Python.

    python benchmark/time_model.py [--clients N] [--devices N] [--json]

Clients share a table of distinct devices, as the clients of a run do. All sides compute the same phase, with starts
anywhere in a week and work of up to an hour at full speed; the walks do a sample of the clients, and the answers are
compared. There are two walks: the published one, which finds the rate of each interval by a scan of the trace, and a
tight one, which keeps its place. Traces have 200 points, then 1,925, the mean of the published devices. Times are CPU
times, medians of several turns in which each side runs once. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.ragged import offsets_of
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.traces import TraceTable, network_traces

Walk = Callable[[Sequence[float], Sequence[float], float, float], float]
# Rows, starts in seconds and works in megabits.
Requests = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]

RATES = np.asarray([1, 2, 5, 11, 18, 24, 36, 48, 54], dtype=np.uint8)
PEAK_MBPS = 150.0
POINTS = (200, 1_925)
WALKED_CLIENTS = 500
TURNS = 5
SECONDS_OF_A_WEEK = 604_800.0


def make_traces(devices: int, points: int, random: np.random.Generator) -> TraceTable:
    """Link traces with breakpoints anywhere in the cycle and any of the nine 802.11 rates."""
    stamps = np.sort(random.integers(0, int(CYCLE_S), (devices, points)), axis=1).astype(np.float32)
    series = {"network_stamps_s": stamps.ravel(), "rate": random.choice(RATES, devices * points)}
    return network_traces({"peak_throughput_mbps": np.full(devices, PEAK_MBPS)}, offsets_of([points] * devices), series)


def tight_walk(stamps: Sequence[float], speeds: Sequence[float], start_s: float, work: float) -> float:
    """Interval by interval from the start until the work is done; ``stamps`` end with the cycle."""
    in_cycle = math.fmod(start_s, CYCLE_S)
    cycle_s = start_s - in_cycle
    while True:
        for segment, speed in enumerate(speeds):
            end = stamps[segment + 1]
            if end <= in_cycle:
                continue
            capacity = speed * (end - in_cycle)
            if capacity >= work:
                return cycle_s + in_cycle + work / speed
            work -= capacity
            in_cycle = end
        in_cycle = 0.0
        cycle_s += CYCLE_S


def published_walk(stamps: Sequence[float], speeds: Sequence[float], start_s: float, work: float) -> float:
    """The same, with the present interval looked up anew by a scan."""
    in_cycle = math.fmod(start_s, CYCLE_S)
    cycle_s = start_s - in_cycle
    while True:
        end = next(stamp for stamp in stamps if stamp > in_cycle)
        speed = speed_at(stamps, speeds, in_cycle)
        capacity = speed * (end - in_cycle)
        if capacity >= work:
            return cycle_s + in_cycle + work / speed
        work -= capacity
        in_cycle = end
        if in_cycle == CYCLE_S:
            in_cycle, cycle_s = 0.0, cycle_s + CYCLE_S


def speed_at(stamps: Sequence[float], speeds: Sequence[float], in_cycle_s: float) -> float:
    """The value of the last stamp up to an instant."""
    found = speeds[0]
    for stamp, speed in zip(stamps, speeds, strict=False):
        if stamp > in_cycle_s:
            break
        found = speed
    return found


def walker(walk: Walk, traces: TraceTable, requests: Requests) -> Callable[[], list[float]]:
    """Walks the clients of these requests; their lists are made beforehand."""
    tasks = []
    for row, start_s, work in zip(*(column.tolist() for column in requests), strict=True):
        cut = slice(*traces.offsets[row : row + 2])
        speeds = traces.levels[cut][:-1] * traces.scale[row]
        tasks.append((traces.starts_s[cut].tolist(), speeds.tolist(), start_s, work))
    return lambda: [walk(*task) for task in tasks]


def in_turns(sides: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """Median CPU seconds of each side, and its last answers; a first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers = {name: side() for name, side in sides.items()}
    for _ in range(TURNS):
        for name, side in sides.items():
            began = time.process_time()
            answers[name] = side()
            seconds[name].append(time.process_time() - began)
    return {name: median(taken) for name, taken in seconds.items()}, answers


def measure(clients: int, devices: int, points: int) -> dict[str, float]:
    """The figures of one density of traces."""
    random = np.random.default_rng(7)
    traces = make_traces(devices, points, random)
    rows = random.integers(0, devices, clients)
    start_s = random.random(clients) * SECONDS_OF_A_WEEK
    work = random.random(clients) * PEAK_MBPS * 3_600
    walked = min(WALKED_CLIENTS, clients)
    few = (rows[:walked], start_s[:walked], work[:walked])
    walks = {"tight_walk": walker(tight_walk, traces, few), "published_walk": walker(published_walk, traces, few)}
    seconds, answers = in_turns({"table": lambda: traces.finish(rows, start_s, work), **walks})
    table_bytes = sum(array.nbytes for array in (traces.starts_s, traces.levels, traces.integrals))
    report = {
        "mean_duration_s": round(float(np.mean(answers["table"] - start_s)), 1),
        "us_a_client_and_phase": round(seconds["table"] / clients * 1e6, 3),
        "table_bytes_a_point": round(table_bytes / (devices * points), 2),
        "table_bytes_a_client_and_trace": round(table_bytes / devices),
        "table_mib": round(table_bytes / 2**20, 1),
    }
    for name in walks:
        if not np.allclose(answers["table"][:walked], answers[name], rtol=1e-12, atol=1e-6):
            raise SystemExit(f"the table and the {name} disagree: the measurement means nothing")
        report[f"{name}_us"] = round(seconds[name] / walked * 1e6, 1)
        report[f"times_faster_than_{name}"] = round(seconds[name] / walked * clients / seconds["table"])
    return report


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=5_000, help="distinct traces")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    arguments = parser.parse_args()
    report: dict[str, object] = {"clients": arguments.clients, "distinct_devices": arguments.devices}
    for points in POINTS:
        figures = measure(arguments.clients, arguments.devices, points)
        report[f"traces_of_{points}_points"] = figures
        if not arguments.json:
            print(
                f"{points} points: {figures['us_a_client_and_phase']} us a client and phase, "
                f"{figures['times_faster_than_tight_walk']} times as fast as a tight walk",
                file=sys.stderr,
            )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
