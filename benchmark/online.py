"""The online set of a million clients at an instant.

    python benchmark/online.py [--clients N] [--intervals N] [--json]

Two cases: every client has activity of its own, and clients share the 12,641 devices of the published table's size.
Both are asked in turns with a look at one client after the other in plain Python, for a sample of them. Instants differ
from call to call, so nothing is remembered between them. Times are CPU times, the median and the slowest of many calls.
The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from fedswarm.devices.activity import Activity
from fedswarm.devices.population import Population
from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.ragged import offsets_of
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.traced import TracedDevices
from fedswarm.jobs.schema import DevicesSection

# Starts and ends of a client's active intervals.
Boundaries = Sequence[tuple[float, float]]

CALLS = 40
PUBLISHED_DEVICES = 12_641
ONLINE_SHARE = 0.38
ASKED_CLIENTS = 2_000


def make_activity(devices: int, intervals: int, random: np.random.Generator) -> Activity:
    """Intervals of equal number a device, one in each equal part of the cycle, active 38 % of the time on average."""
    part_s = CYCLE_S / intervals
    starts = random.random((devices, intervals)) * (1 - ONLINE_SHARE)
    lengths = ONLINE_SHARE * random.uniform(0.9, 1.1, (devices, intervals)) * 0.999
    first = np.arange(intervals) * part_s
    return Activity(
        offsets_of([intervals] * devices),
        np.floor(first + starts * part_s).astype(np.float32).ravel(),
        np.floor(first + np.minimum(starts + lengths, 0.999) * part_s).astype(np.float32).ravel(),
    )


def make_world(clients: int, devices: int, intervals: int, random: np.random.Generator) -> TracedDevices:
    """Clients on devices that differ in activity alone."""
    plain = DeviceProfile(
        cpu_flops=1e9,
        gpu_flops=0.0,
        peak_throughput_mbps=72.0,
        network_stamps_s=np.zeros(1),
        rate=np.full(1, 54),
        compute_stamps_s=np.zeros(1),
        availability=np.full(1, 100),
        battery_level=np.full(1, 99),
        active_s=np.zeros(1),
        inactive_s=np.zeros(0),
    )
    rows = Population.from_profiles([plain]).take(np.zeros(devices, dtype=np.int64))
    population = replace(rows, activity=make_activity(devices, intervals, random))
    return TracedDevices.of(np.arange(clients, dtype=np.int64), population, 1, DevicesSection())


def one_by_one(clients: Sequence[Boundaries], now_s: float) -> list[int]:
    """Who of the clients is online, interval by interval."""
    in_cycle = now_s % CYCLE_S
    return [
        client for client, intervals in enumerate(clients) if any(start <= in_cycle < end for start, end in intervals)
    ]


def measure(world: TracedDevices, random: np.random.Generator) -> dict[str, float]:
    """CPU milliseconds a call, the first one not counted: it builds what all others use."""
    asked = min(ASKED_CLIENTS, len(world.client_ids))
    profiles = [world.population.profile(row % len(world.population)) for row in range(asked)]
    boundaries = [list(zip(p.active_s.tolist(), p.inactive_s.tolist(), strict=True)) for p in profiles]
    world.online(0.0)
    times, alone_times, counts = [], [], []
    for now_s in (random.random(CALLS) * 10 * CYCLE_S).tolist():
        began = time.process_time()
        online = world.online(now_s)
        between = time.process_time()
        found = one_by_one(boundaries, now_s)
        alone_times.append((time.process_time() - between) * 1e3)
        times.append((between - began) * 1e3)
        counts.append(len(online))
        if online[: np.searchsorted(online, asked)].tolist() != found:
            raise SystemExit("the table and the look at each client disagree: the measurement means nothing")
    one_by_one_ms = median(alone_times) * len(world.client_ids) / asked
    return {
        "median_ms": round(median(times), 2),
        "slowest_ms": round(max(times), 2),
        "one_by_one_ms": round(one_by_one_ms, 1),
        "times_faster": round(one_by_one_ms / median(times)),
        "online_share": round(float(np.mean(counts)) / len(world.client_ids), 3),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--intervals", type=int, default=5, help="active intervals of a device")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    arguments = parser.parse_args()
    random = np.random.default_rng(7)
    report: dict[str, float] = {"clients": arguments.clients, "intervals_a_device": arguments.intervals}
    for name, devices in (("devices_of_their_own", arguments.clients), ("shared_devices", PUBLISHED_DEVICES)):
        world = make_world(arguments.clients, devices, arguments.intervals, random)
        figures = measure(world, random)
        report |= {f"{name}_{key}": value for key, value in figures.items()}
        if not arguments.json:
            print(f"{name}: {figures['median_ms']} ms for {arguments.clients} clients", file=sys.stderr)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
