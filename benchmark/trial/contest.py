"""Contenders measured in turn on the same links, so that a busy moment of the machine strikes all alike."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from network.choice import open_network
from network.network import MBPS, Network, Rates

from trial.figures import Figures, medians
from trial.trial import Outcome, run_trial

_PATIENCE: Final = 10
_START_UP_S: Final = 30.0


@dataclass(frozen=True)
class Course:
    """What a contender is given for one trial: hosts behind links of these rates, and a folder of its own."""

    network: Network
    rates: Mapping[str, Rates]
    folder: Path

    def words(self, host: str) -> list[str]:
        """The options that every program understands: its name, its address, and rates if it must keep to them."""
        words = ["--name", host, "--host", self.network.address(host)]
        if self.network.shaped:
            return words
        rates = self.rates[host]
        return [*words, "--up-mbps", str(rates.up_bps / MBPS), "--down-mbps", str(rates.down_bps / MBPS)]


Commands = Callable[[Course], Mapping[str, list[str]]]
"""A contender: the command line of each host's process."""


def run_once(rates: Mapping[str, Rates], commands: Commands, finishers: Collection[str], bound_s: float) -> Outcome:
    """One trial on links made for it; raises :class:`trial.company.TrialError` past ten times ``bound_s``."""
    with open_network(rates) as network, tempfile.TemporaryDirectory() as folder:
        course = Course(network, rates, Path(folder))
        return run_trial(network, commands(course), finishers, _START_UP_S + _PATIENCE * bound_s)


def interleave(trials: Mapping[str, Callable[[], Figures]], runs: int) -> dict[str, dict[str, Any]]:
    """Runs each contender's trial in turn, ``runs`` times; the medians of each."""
    done: dict[str, list[Figures]] = {contender: [] for contender in trials}
    for _ in range(runs):
        for contender, trial in trials.items():
            done[contender].append(trial())
    return {contender: medians(figures) for contender, figures in done.items()}
