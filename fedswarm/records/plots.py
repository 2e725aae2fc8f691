"""The plots people make of a run. Each draws one or more runs into one matplotlib figure and returns it.

``runs`` maps a label to its frames, so that strategies can be compared. matplotlib is imported only here and only when
a plot is made (``pip install 'fedswarm[analysis]'``); all times on axes are virtual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from fedswarm.errors import DependencyError
from fedswarm.records.run_frames import RunFrames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Runs = Mapping[str, RunFrames]

_MEASURES: Final = {"top1": "top-1 accuracy", "top5": "top-5 accuracy", "loss": "test loss"}
_AXES: Final = {"clock_h": "virtual time (hours)", "round": "round"}
_AVERAGED_ROUNDS: Final = 10


def learning_curve(
    runs: Runs, measure: Literal["top1", "top5", "loss"] = "top1", against: Literal["clock_h", "round"] = "clock_h"
) -> Figure:
    """A measure of the global model against virtual hours or rounds, one line a run."""
    figure, axes = _figure(1)
    for label, run in runs.items():
        axes[0].plot(run.tests[against], run.tests[measure], marker=".", label=label)
    axes[0].set(xlabel=_AXES[against], ylabel=_MEASURES[measure])
    axes[0].legend()
    return figure


def accuracy_band(run: RunFrames) -> Figure:
    """Accuracy over the rounds of a run without an aggregator: a line for each peer, their mean, and the band between.

    The wider the band, the less the peers agree. A run with an aggregator has one model, and its band no width.
    """
    figure, (axes,) = _figure(1)
    tests = run.tests.astype({"top1_min": float, "top1_max": float})
    for _, own in run.peer_rounds.dropna(subset=["top1"]).groupby("peer"):
        axes.plot(own["completed_round"] + 1, own["top1"], linewidth=0.5, color="grey")
    lowest, highest = tests["top1_min"].fillna(tests["top1"]), tests["top1_max"].fillna(tests["top1"])
    axes.fill_between(tests["round"], lowest, highest, alpha=0.3, label="between the peers")
    axes.plot(tests["round"], tests["top1"], marker=".", label="mean")
    axes.set(xlabel=_AXES["round"], ylabel=_MEASURES["top1"])
    axes.legend()
    return figure


def round_durations(runs: Runs, averaged: bool = False) -> Figure:
    """Duration of each round with the pacer's preferred duration as dashed steps; one panel a run.

    ``averaged`` draws the centred mean over ten rounds instead.
    """
    figure, axes = _figure(len(runs))
    for panel, (label, run) in zip(axes, runs.items(), strict=True):
        rounds = run.rounds.sort_values("completed_round")
        durations_s = rounds["duration_s"].astype(float)
        if averaged:
            durations_s = durations_s.rolling(_AVERAGED_ROUNDS, center=True, min_periods=1).mean()
        panel.plot(rounds["completed_round"], durations_s, label="round")
        preferred_s = rounds["preferred_duration_s"].astype(float)
        if preferred_s.notna().any():
            panel.step(rounds["completed_round"], preferred_s, "--", where="post", label="preferred")
        panel.set(title=label, xlabel="round")
        panel.legend()
    axes[0].set_ylabel("duration (virtual s)")
    return figure


def client_durations(run: RunFrames, rounds: Sequence[int] = (1, 6, 8, 10)) -> Figure:
    """How long the counted clients of some rounds took, sorted; the grey area is time they waited for the slowest.

    The dotted line is the mean. Rounds that the run does not have are left out; none at all gives an empty figure.
    """
    clients = run.clients[run.clients["status"] == "completed"]
    shown = [index for index in rounds if (clients["completed_round"] == index).any()]
    figure, axes = _figure(len(shown))
    for panel, index in zip(axes, shown, strict=True):
        durations_s = clients.loc[clients["completed_round"] == index, "duration_s"].astype(float).sort_values()
        places = range(len(durations_s))
        panel.bar(places, durations_s.max(), width=1.0, color="lightgrey", label="waiting")
        panel.bar(places, durations_s, width=1.0, label="working")
        panel.axhline(durations_s.mean(), linestyle=":", color="black", label="mean")
        panel.set(title=f"round {index}", xlabel="client")
    if shown:
        axes[0].set_ylabel("duration (virtual s)")
        axes[-1].legend()
    return figure


def first_time_share(run: RunFrames) -> Figure:
    """Stacked bars: of the clients that run in a round, the share that never ran before and the share that did."""
    figure, (axes,) = _figure(1)
    chosen = run.selections[run.selections["role"] == "run"]
    share = chosen["first_time"].astype(float).groupby(chosen["round"]).mean()
    axes.bar(share.index, share, label="never seen")
    axes.bar(share.index, 1 - share, bottom=share, label="seen before")
    axes.set(xlabel="round", ylabel="share of clients")
    axes.legend()
    return figure


def _figure(panels: int) -> tuple[Figure, list[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("plots need matplotlib: pip install 'fedswarm[analysis]'") from error
    figure = Figure(figsize=(6 * max(panels, 1), 4), layout="constrained")
    if not panels:
        return figure, []
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
