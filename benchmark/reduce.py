"""N vectors to one sum over links of known rates, against the fluid bound.

    python benchmark/reduce.py --peers 8 --collective reduce --json      # the sum goes to one collector
    python benchmark/reduce.py --peers 8 --collective all_reduce --json  # the sum goes to everybody

The links are those of ``broadcast.py``, with the collector in the place of the seed; an all-reduce has no collector.
Sums are float64, and everybody knows all links. A small sum opens all connections before the clock starts; it stops
when the last one that is to have the sum has it. Every sum is compared with the true one, bit by bit. Medians; the last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from contributions import digest_of_sum
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
VALUE_BYTES: Final = 8
COLLECTOR: Final = SEED


@dataclass(frozen=True)
class Task:
    """What is summed, and who is to have the sum."""

    collective: str
    rates: Mapping[str, Rates]
    values: int

    @property
    def summands(self) -> list[str]:
        """Hosts that contribute."""
        return [host for host in self.rates if host != COLLECTOR]

    @property
    def receivers(self) -> list[str]:
        """Hosts that are to have the sum."""
        return [COLLECTOR] if self.collective == "reduce" else self.summands

    @property
    def useful_bytes(self) -> int:
        """Payload without which there is no sum: each link of a tree once for a reduction, twice for an all-reduce."""
        size_bytes = self.values * VALUE_BYTES
        steps = len(self.summands) if self.collective == "reduce" else 2 * (len(self.summands) - 1)
        return steps * size_bytes

    @property
    def bound_s(self) -> float:
        """The fluid bound."""
        size_bytes, peers = self.values * VALUE_BYTES, peer_links(self.rates)
        if self.collective == "reduce":
            return bounds.reduce_s(size_bytes, self.rates[COLLECTOR].down_bps, peers)
        return bounds.all_reduce_s(size_bytes, peers)


def task_of(collective: str, scenario: str, peers: int, size_mb: float) -> Task:
    """The task of a command line."""
    rates = links(scenario, peers)
    if collective == "all_reduce":
        del rates[COLLECTOR]
    return Task(collective, rates, int(size_mb * MB) // VALUE_BYTES)


def swarm_commands(task: Task, course: Course) -> dict[str, list[str]]:
    """This project's peers, who know all links."""
    program = [sys.executable, str(HERE / "reduce_peer.py")]
    rates = json.dumps({host: (link.up_bps, link.down_bps) for host, link in task.rates.items()})
    words = ["--collective", task.collective, "--values", str(task.values), "--rates", rates]
    return {
        host: [*program, *course.words(host), *words, "--uplink-mbps", str(link.up_bps / MBPS)]
        for host, link in task.rates.items()
    }


def compete(task: Task) -> Figures:
    """One trial."""
    outcome = run_once(task.rates, partial(swarm_commands, task), task.receivers, task.bound_s)
    check(outcome, task)
    return figures_of(outcome, task.useful_bytes, task.bound_s)


def check(outcome: Outcome, task: Task) -> None:
    """Ends the program if a receiver has another sum than the true one."""
    digest = digest_of_sum(task.summands, task.values)
    wrong = [host for host in task.receivers if outcome.reports[host]["digest"] != digest]
    if wrong:
        sys.exit(f"{', '.join(wrong)} ended with another sum than the true one")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All trials and their medians."""
    task = task_of(options.collective, options.scenario, options.peers, options.size_mb)
    results = interleave({"fedswarm": partial(compete, task)}, options.runs)
    return {
        "collective": options.collective,
        "scenario": options.scenario,
        "peers": options.peers,
        "size_mb": options.size_mb,
        "runs": options.runs,
        "shaped_links": available() is None,
        "bound_s": round(task.bound_s, 3),
        "contenders": results,
        "ratio": results["fedswarm"]["ratio"],
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--collective", choices=["reduce", "all_reduce"], default="reduce")
    options.add_argument("--peers", type=int, choices=range(2, 201), metavar="N", default=8, help="2 to 200, default 8")
    options.add_argument("--scenario", choices=SCENARIOS, default="homogeneous")
    options.add_argument("--size-mb", type=float, default=8.0, help="10^6 bytes")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    return options


def main() -> None:
    """Measures and prints."""
    options = parser().parse_args()
    try:
        report = measure(options)
    except (NetworkError, TrialError) as error:
        sys.exit(str(error))
    if not options.json:
        print("\n".join(lines(report["contenders"])))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
