"""The pacer: how long a client may take before it is penalised (Algorithm 1, "Pacer"; section 4.3).

Oort first prefers fast clients. When their data are used up, which shows in the utility of what is exploited, it
relaxes the preferred duration T, and slower clients get their turn. Windows of W rounds are compared, every W rounds.

================  ==================================  =====================================================
form              T                                   moves
================  ==================================  =====================================================
percentile        a percentile of the durations of    up by delta when utility *fell* from one window to the
(``paper``)       all clients                         next; up to 100 percent, where T is infinite
seconds           ``t_budget_s`` seconds, which       up by delta when utility is *flat* (within 10 percent),
(``reference``)   adaptive training follows           down by delta when it changed fivefold
================  ==================================  =====================================================

Deviations. The paper's Algorithm 1 moves T by delta seconds from T = delta; its authors' code moves a percentile,
which needs no guess of what a round takes, and that is our ``percentile``. The same code relaxes on flat utility, the
paper on falling utility: ``paper`` follows the paper. Durations that nobody measured are left out, where that code
takes one second for each. A window without any utility is no evidence, where the reference would see a fivefold
change. What is summed is each round's *mean* over the exploited clients that counted, as in both programs: the sum
would grow by itself while exploration gives way to exploitation.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np

from fedswarm.selection.contract import Floats

FLAT: Final = 0.1
SHARP: Final = 5.0


class Pacer(Protocol):
    """Holds the preferred duration."""

    @property
    def budget_s(self) -> float | None:
        """T where it is a budget in virtual seconds; None where it only ranks clients."""
        ...

    def observe(self, utility: float) -> None:
        """Takes the mean utility of a round's exploited clients that counted."""
        ...

    def preferred_s(self, durations_s: Floats) -> float:
        """T in virtual seconds, perhaps infinite; ``durations_s`` are those of all clients, NaN where unknown."""
        ...

    def describe(self) -> dict[str, Any]:
        """Its settings and where it stands."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        ...


class UtilityWindows:
    """Utilities of the last two windows of ``step`` rounds."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._rounds = 0
        self._latest: list[float] = []

    def add(self, utility: float) -> tuple[float, float] | None:
        """The sums of the previous and the present window, at the end of each window but the first."""
        self._rounds += 1
        self._latest = [*self._latest, utility][-2 * self._step :]
        if self._rounds < 2 * self._step or self._rounds % self._step:
            return None
        return sum(self._latest[: self._step]), sum(self._latest[self._step :])

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return {"rounds": self._rounds, "latest": list(self._latest)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._rounds, self._latest = int(state["rounds"]), [float(utility) for utility in state["latest"]]


class PercentilePacer:
    """The paper's pacer, as a percentile of durations."""

    def __init__(self, step: int, delta: float, percentile: float) -> None:
        self._step, self._delta, self._percentile = step, delta, percentile
        self._windows = UtilityWindows(step)

    @property
    def budget_s(self) -> float | None:
        """None: a percentile of durations that a budget bounds would chase its own tail."""
        return None

    def observe(self, utility: float) -> None:
        """Relaxes by delta percent when the utility of a window is below that of the one before."""
        windows = self._windows.add(utility)
        if windows is not None and windows[1] < windows[0]:
            self._percentile = min(100.0, self._percentile + self._delta)

    def preferred_s(self, durations_s: Floats) -> float:
        """The element at ``floor(n percentile / 100)`` of the known durations; infinite at 100, or if none is known."""
        if self._percentile >= 100:
            return float("inf")
        known = len(durations_s) - int(np.count_nonzero(np.isnan(durations_s)))
        if not known:
            return float("inf")
        place = min(int(known * self._percentile / 100), known - 1)
        return float(np.partition(durations_s, place)[place])  # NaN sorts behind all numbers

    def describe(self) -> dict[str, Any]:
        """``round_threshold`` is the percentile."""
        return {"round_threshold": self._percentile, "pacer_step": self._step, "pacer_delta": self._delta}

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return {"percentile": self._percentile, "windows": self._windows.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._percentile = float(state["percentile"])
        self._windows.load_state_dict(state["windows"])


class SecondsPacer:
    """The reference's pacer, in virtual seconds."""

    def __init__(self, step: int, delta_s: float, budget_s: float) -> None:
        self._step, self._delta_s, self._budget_s = step, delta_s, budget_s
        self._windows = UtilityWindows(step)

    @property
    def budget_s(self) -> float:
        """T."""
        return self._budget_s

    def observe(self, utility: float) -> None:
        """Relaxes when utility is flat, tightens (to no less than delta) when it changed sharply."""
        windows = self._windows.add(utility)
        if windows is None or windows[0] <= 0:
            return
        change = abs(windows[1] - windows[0]) / windows[0]
        if change <= FLAT:
            self._budget_s += self._delta_s
        elif change >= SHARP:
            self._budget_s = min(self._budget_s, max(self._delta_s, self._budget_s - self._delta_s))

    def preferred_s(self, durations_s: Floats) -> float:
        """T, whatever clients take."""
        return self._budget_s

    def describe(self) -> dict[str, Any]:
        """``t_budget`` is T, in virtual seconds."""
        return {"t_budget": self._budget_s, "pacer_step": self._step, "pacer_delta": self._delta_s}

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return {"budget_s": self._budget_s, "windows": self._windows.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._budget_s = float(state["budget_s"])
        self._windows.load_state_dict(state["windows"])
