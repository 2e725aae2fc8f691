"""The figures of a trial, and their medians over several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from trial.trial import Outcome


@dataclass(frozen=True)
class Figures:
    """One trial in numbers; None is what nobody counted. Percentages are of the bytes that had to be delivered."""

    last_s: float
    """Until the last member that counts has everything."""
    mean_s: float
    ratio: float
    """``last_s`` over the bound."""
    duplicate_percent: float
    """Payload received in vain: twice, or wrong."""
    control_percent: float | None
    """Bytes of messages that carry no payload, as the members count them."""
    wire_overhead_percent: float | None
    """All that the links carried beyond the payload: duplicates, control, packet headers, acknowledgements."""
    cpu_s: float
    """Processor time of all members."""


def figures_of(outcome: Outcome, useful_bytes: int, bound_s: float) -> Figures:
    """The figures of a trial that had to deliver ``useful_bytes`` in all and could not take less than ``bound_s``."""

    def percent(part_bytes: float | None) -> float | None:
        return None if part_bytes is None else 100 * part_bytes / useful_bytes

    reports = outcome.reports.values()
    control = [report["control_bytes"] for report in reports]
    beyond = None if outcome.wire_bytes is None else outcome.wire_bytes - useful_bytes
    return Figures(
        last_s=outcome.last_s,
        mean_s=fmean(outcome.finished_s.values()),
        ratio=outcome.last_s / bound_s,
        duplicate_percent=100 * sum(report["wasted_bytes"] for report in reports) / useful_bytes,
        control_percent=percent(None if None in control else sum(control)),
        wire_overhead_percent=percent(beyond),
        cpu_s=sum(report["cpu_s"] for report in reports),
    )


def medians(trials: Sequence[Figures]) -> dict[str, Any]:
    """The median of each figure, rounded for print, and the ratio of every trial under ``ratios``."""
    rows = [asdict(trial) for trial in trials]
    result: dict[str, Any] = {}
    for name in rows[0]:
        known = [row[name] for row in rows if row[name] is not None]
        result[name] = round(median(known), 3) if known else None
    return {**result, "ratios": [round(trial.ratio, 3) for trial in trials]}


def lines(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The same for people: one line a contender."""
    return [
        f"{name:>12}  " + "  ".join(f"{figure} {value}" for figure, value in figures.items())
        for name, figures in results.items()
    ]
