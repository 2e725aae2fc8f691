"""How a broadcast grows with its swarm: 100, 1,000 and 10,000 simulated peers on a random regular graph, under churn.

    python benchmark/swarm_scale.py [--peers 100 1000 10000] [--chunks 32] [--seed 1] [--json]

Real peers (``fedswarm.swarm.peer``) on the network simulator: a source of 50 Mbit/s, peers of 20 up and 50 down, up to
50 ms apart, each linked with 8 others, one of them with the source. Chunks are 64 KiB. 20 % of the peers a minute crash
or say goodbye, and come back two seconds later with nothing. Times are virtual; ``ratio`` is that of the last peer that
stayed over the fluid bound, ``growth`` that ratio over the one of the smallest swarm. A swarm of d links a peer needs
at least log_d N hops, and a hop at least a chunk's time, which the bound leaves out: hence ``hops_ratio``.
Without --json a table is printed; the last line is a JSON object either way.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

from fedswarm.swarm.bounds import Links, broadcast_s
from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.conditions import Conditions, on_a_plane
from fedswarm.swarm.simulator.faults import draw_churn
from fedswarm.swarm.simulator.scenarios import Setting, broadcast
from fedswarm.swarm.simulator.tracker import RandomRegular

PEERS = (100, 1_000, 10_000)
SOURCE = Rates(50e6, 50e6)
PEER = Rates(20e6, 50e6)
CHUNK_BYTES = 64 * KIB
DEGREE = 8
WIDEST_S = 0.05
CHURN_A_MINUTE, CHURN_WITHIN_S, AWAY_S = 0.2, 10.0, 2.0


def measure(peers: int, chunks: int, seed: int) -> dict[str, Any]:
    """One row of the table."""
    names = [f"p{number}" for number in range(peers)]
    churn = draw_churn(seed, names, share_per_minute=CHURN_A_MINUTE, within_s=CHURN_WITHIN_S, away_s=AWAY_S)
    setting = Setting(
        seed=seed,
        conditions=Conditions(latency=on_a_plane(seed, WIDEST_S)),
        overlay=partial(RandomRegular, DEGREE, seed),
        plan=churn,
    )
    began = time.process_time()
    outcome = broadcast(
        SOURCE, [PEER] * peers, chunks=chunks, chunk_bytes=CHUNK_BYTES, spreading=Spreading.SEED, setting=setting
    )
    cpu_s = time.process_time() - began
    gone = {name for injection in churn for name in injection.hosts}
    stayed_s = [took_s for name, took_s in outcome.took_s.items() if name not in gone]
    bound_s = broadcast_s(chunks * CHUNK_BYTES, SOURCE.up_bps, Links.alike(peers, PEER.up_bps, PEER.down_bps))
    hops_s = math.log(peers, DEGREE) * (8 * CHUNK_BYTES / PEER.up_bps + WIDEST_S / 2)
    return {
        "peers": peers,
        "chunks": chunks,
        "bound_s": round(bound_s, 3),
        "last_s": round(max(stayed_s), 3),
        "ratio": round(max(stayed_s) / bound_s, 3),
        "median_ratio": round(median(stayed_s) / bound_s, 3),
        "hops_ratio": round(max(stayed_s) / (bound_s + hops_s), 3),
        "stayed": peers - len(gone),
        "failed": len([name for name in names if name not in gone]) - len(stayed_s),
        "wasted_percent": round(100 * outcome.wasted, 2),
        "control_percent": round(100 * outcome.control, 2),
        "events": outcome.events,
        "cpu_s": round(cpu_s, 1),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text."""
    head = (
        "  peers  bound s   last s   ratio  median  hops ratio  growth  failed  wasted %  control %    events   CPU s"
    )
    lines = [
        f"{row['peers']:7,} {row['bound_s']:8.2f} {row['last_s']:8.2f} {row['ratio']:7.2f} {row['median_ratio']:7.2f}"
        f" {row['hops_ratio']:11.2f} {row['growth']:7.2f} {row['failed']:7} {row['wasted_percent']:9.2f}"
        f" {row['control_percent']:10.2f} {row['events']:9,} {row['cpu_s']:7.1f}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="+", type=int, default=list(PEERS))
    parser.add_argument("--chunks", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    arguments = parser.parse_args()
    gc.disable()  # hosts point at one another for as long as they live: it would find nothing, and take ever longer
    rows = [measure(peers, arguments.chunks, arguments.seed) for peers in sorted(arguments.peers)]
    for row in rows:
        row["growth"] = round(row["ratio"] / rows[0]["ratio"], 3)
    if not arguments.json:
        print(table(rows))
    print(json.dumps({"degree": DEGREE, "churn_a_minute": CHURN_A_MINUTE, "rows": rows}))


if __name__ == "__main__":
    main()
