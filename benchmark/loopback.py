"""One link over loopback: rate and processor time of plain sockets, a bare gRPC stream, and this project's peers.

    python benchmark/loopback.py --json

Two processes each. The bare stream carries raw bytes in messages of 1 MiB and drops them; our peers verify each chunk
by its digest and put it in its place. All start with the malloc settings that services get
(:mod:`fedswarm.launch.environment`). Medians of interleaved runs; the last line is JSON, its ``ratio`` the rate of our
peers over that of the bare stream.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from network.loopback import Loopback
from trial.trial import Outcome, run_trial

HERE: Final = Path(__file__).resolve().parent
MB: Final = 1_000_000
DEADLINE_S: Final = 120.0
SENDER, RECEIVER = "seed", "peer"


def bare(transport: str) -> Callable[[str, Path], list[str]]:
    """A program that only moves bytes."""

    def words(_: str, data: Path) -> list[str]:
        return [str(HERE / "bare_link.py"), "--transport", transport, "--data", str(data)]

    return words


def swarm(host: str, data: Path) -> list[str]:
    """This project's peer."""
    words = [str(HERE / "swarm_peer.py"), "--direct", "--manifest", str(data.with_suffix(".manifest"))]
    return [*words, "--data", str(data)] if host == SENDER else words


CONTENDERS: Final = {"sockets": bare("sockets"), "grpc_stream": bare("grpc"), "fedswarm": swarm}


def transfer(program: Callable[[str, Path], list[str]], data: Path) -> Outcome:
    """One transfer from one process to another."""
    network = Loopback()
    commands = {
        host: [sys.executable, *program(host, data), "--name", host, "--host", network.address(host)]
        for host in (SENDER, RECEIVER)
    }
    return run_trial(network, commands, [RECEIVER], DEADLINE_S)


def measure(size_mb: float, runs: int) -> dict[str, dict[str, float]]:
    """GB/s and CPU seconds a GB of both ends, by contender."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        np.random.default_rng(1).random(int(size_mb * MB) // 4, dtype=np.float32).tofile(data)
        for _ in range(runs):
            for name, done in outcomes.items():
                done.append(transfer(CONTENDERS[name], data))
    gigabytes = size_mb / 1000
    return {
        name: {
            "gb_per_s": round(gigabytes / median(outcome.last_s for outcome in done), 3),
            "sender_cpu_s_per_gb": round(median(o.reports[SENDER]["cpu_s"] for o in done) / gigabytes, 3),
            "receiver_cpu_s_per_gb": round(median(o.reports[RECEIVER]["cpu_s"] for o in done) / gigabytes, 3),
        }
        for name, done in outcomes.items()
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=float, default=384.0, help="10^6 bytes")
    parser.add_argument("--runs", type=int, default=5, help="of each contender")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    options = parser.parse_args()
    links = measure(options.size_mb, options.runs)
    ratio = links["fedswarm"]["gb_per_s"] / links["grpc_stream"]["gb_per_s"]
    if not options.json:
        for name, figures in links.items():
            print(f"{name:>12}  " + "  ".join(f"{figure} {value}" for figure, value in figures.items()))
    print(json.dumps({"size_mb": options.size_mb, "runs": options.runs, "links": links, "ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
