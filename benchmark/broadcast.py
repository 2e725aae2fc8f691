"""One source to N peers over links of known rates: how near the last peer comes to the fluid bound.

    python benchmark/broadcast.py --peers 8 --scenario heterogeneous --json      # as root: network namespaces

Contenders run in turn over the same file and the same kind of links, every member a process of its own: libtorrent
(``pip install -e '.[benchmark]'``), at the best of the settings tried, and this project's peers. Connections stand
before the clock starts; it stops when the last peer has the whole file, verified. Over TCP nobody can come below 1.046
times the bound, which knows no packet headers.

All members share this machine's processors: see ``cpu_s`` against the time taken, and ``--speed`` for links that leave
them time. Medians of interleaved runs; the last line is JSON, its ``ratio`` this project's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3
from network.namespace import NetworkError
from network.network import MBPS, Rates
from network.scenarios import SCENARIOS, SEED, links, peer_links
from network.star import available
from trial.company import TrialError
from trial.contest import Course, interleave, run_once
from trial.figures import Figures, figures_of, lines
from trial.trial import Outcome

from fedswarm.swarm import bounds

HERE: Final = Path(__file__).resolve().parent
MB: Final = 1_000_000


@dataclass(frozen=True)
class Task:
    """What is broadcast, and what peers know beforehand."""

    rates: Mapping[str, Rates]
    data: Path
    uplinks_known: bool

    @property
    def peers(self) -> list[str]:
        """All hosts but the seed."""
        return [host for host in self.rates if host != SEED]

    @property
    def total_bytes(self) -> int:
        """Bytes that each peer is to have."""
        return self.data.stat().st_size

    @property
    def bound_s(self) -> float:
        """The fluid bound."""
        return bounds.broadcast_s(self.total_bytes, self.rates[SEED].up_bps, peer_links(self.rates))


def swarm_commands(task: Task, course: Course) -> dict[str, list[str]]:
    """This project's peers."""
    commands = {}
    for host, rates in task.rates.items():
        words = ["--manifest", str(course.folder / "manifest")]
        if host == SEED:
            words += ["--data", str(task.data)]
        if task.uplinks_known:
            words += ["--uplink-mbps", str(rates.up_bps / MBPS)]
        commands[host] = [sys.executable, str(HERE / "swarm_peer.py"), *course.words(host), *words]
    return commands


def libtorrent_commands(task: Task, course: Course) -> dict[str, list[str]]:
    """libtorrent's; it has no use for uplinks known beforehand."""
    program = [sys.executable, str(HERE / "libtorrent_peer.py"), "--torrent", str(course.folder / "torrent")]
    commands = {host: [*program, *course.words(host)] for host in task.rates}
    commands[SEED] += ["--data", str(task.data)]
    return commands


CONTENDERS: Final[dict[str, Callable[[Task, Course], dict[str, list[str]]]]] = {
    "fedswarm": swarm_commands,
    "libtorrent": libtorrent_commands,
}


def compete(contender: str, task: Task) -> Figures:
    """One trial of one contender."""
    outcome = run_once(task.rates, partial(CONTENDERS[contender], task), task.peers, task.bound_s)
    check(contender, outcome, task.data)
    return figures_of(outcome, task.total_bytes * len(task.peers), task.bound_s)


def check(contender: str, outcome: Outcome, data: Path) -> None:
    """Ends the program if a member ends with other bytes than the source's."""
    digest = blake3(data.read_bytes()).hexdigest()
    wrong = [host for host, report in outcome.reports.items() if report["digest"] != digest]
    if wrong:
        sys.exit(f"{contender}: {', '.join(wrong)} ended with bytes that the source never had")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All trials and their medians."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        np.random.default_rng(1).random(int(options.size_mb * MB) // 4, dtype=np.float32).tofile(data)
        task = Task(links(options.scenario, options.peers, options.speed), data, options.uplinks == "known")
        trials = {contender: partial(compete, contender, task) for contender in options.contenders}
        results = interleave(trials, options.runs)
        return {
            "scenario": options.scenario,
            "peers": options.peers,
            "uplinks": options.uplinks,
            "speed": options.speed,
            "size_mb": options.size_mb,
            "runs": options.runs,
            "shaped_links": available() is None,
            "bound_s": round(task.bound_s, 3),
            "contenders": results,
            "ratio": results.get("fedswarm", {}).get("ratio"),
        }


def number_of_peers(text: str) -> int:
    """A whole number from 1 to 200, for argparse."""
    number = int(text)
    if not 1 <= number <= 200:
        raise argparse.ArgumentTypeError(f"{number} is not from 1 to 200")
    return number


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=number_of_peers, default=8)
    options.add_argument("--scenario", choices=SCENARIOS, default="homogeneous")
    options.add_argument("--uplinks", choices=["known", "estimated"], default="estimated", help="by our peers")
    options.add_argument(
        "--speed", type=float, default=1.0, help="of all links; below 1 where processors, not links, are the limit"
    )
    options.add_argument("--size-mb", type=float, default=20.0, help="10^6 bytes")
    options.add_argument("--runs", type=int, default=3, help="of each contender")
    options.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    options.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    return options


def main() -> None:
    """Measures and prints."""
    options = parser().parse_args()
    if "libtorrent" in options.contenders and importlib.util.find_spec("libtorrent") is None:
        sys.exit("libtorrent is not installed: pip install -e '.[benchmark]', or --contenders fedswarm")
    try:
        report = measure(options)
    except (NetworkError, TrialError) as error:
        sys.exit(str(error))
    if not options.json:
        print("\n".join(lines(report["contenders"])))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
