"""Oort's training selector (Algorithm 1): the parts of this package put together over one table of clients.

What is learnt follows the success flag. A client that counted brings its utility and its duration. A straggler brings
its duration alone: it was tried, but keeps the utility it had, none if it never counted, until it does. ``reference``
credits it with the mean utility of those that counted. From a failure neither learns anything; the published code took
its duration of zero for speed.

(Were stragglers still to be explored, since nothing is known of their utility, then exploration would be left with them
before long, and choose them over and over: rounds came out slower than random ones.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedswarm.randomness import generator
from fedswarm.selection.client_table import ClientTable, Rows
from fedswarm.selection.contract import ClientIds, DeviceFeatures, Feedback, Floats, Integers, Moment, Policy, State
from fedswarm.selection.oort.blacklist import blacklisted
from fedswarm.selection.oort.exploitation import exploit
from fedswarm.selection.oort.exploration import ExplorationSchedule, device_speed, explore
from fedswarm.selection.oort.pacer import Pacer, PercentilePacer, SecondsPacer
from fedswarm.selection.oort.parameters import OortParameters
from fedswarm.selection.oort.score import normalised, slowness_penalty, uncertainty

Columns = Mapping[str, tuple[DTypeLike, float]]

# Rounds count from 1, so that 0 means never.
COLUMNS: Final[Columns] = {
    "utility": (np.float64, 0.0),
    "duration_s": (np.float64, math.nan),
    "last_round": (np.int32, 0),
    "times_chosen": (np.int32, 0),
    "speed": (np.float32, math.nan),
}


class OortSelector(Policy):
    """Implements :class:`~fedswarm.selection.contract.Selector`; 36 bytes of memory a client."""

    algorithm = "oort"

    def __init__(self, seed: int, parameters: OortParameters, columns: Columns = COLUMNS) -> None:
        self._seed = seed
        self._parameters = parameters
        self._table = ClientTable(columns)
        self._schedule = ExplorationSchedule(
            parameters.exploration_factor, parameters.exploration_decay, parameters.exploration_min
        )
        self._pacer = _make_pacer(parameters)
        self._round_number = 0
        self._preferred_s = self._preferred_before_s = math.inf
        self._exploited: Rows = np.empty(0, dtype=np.int64)
        self._chosen: Rows = np.empty(0, dtype=np.int64)

    @property
    def t_budget_s(self) -> float | None:
        """The preferred duration, in the form that is paced in seconds."""
        return self._pacer.budget_s

    def register_clients(self, client_ids: ClientIds, samples: Integers, devices: DeviceFeatures | None = None) -> None:
        """Makes room for them, rows that were remembered moving along; ``paper`` notes how fast their devices look."""
        exploited, chosen = self._table.ids[self._exploited], self._table.ids[self._chosen]
        rows = self._table.add(client_ids)
        self._exploited, self._chosen = self._table.rows(exploited), self._table.rows(chosen)
        if devices is not None and not self._parameters.reference:
            self._table["speed"][rows] = device_speed(devices.profiles(client_ids))

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        """Exploits and explores; at most ``count`` ids, ascending."""
        table, parameters = self._table, self._parameters
        self._round_number = moment.round_index + 1
        self._preferred_before_s, self._preferred_s = self._preferred_s, self._pacer.preferred_s(table["duration_s"])
        rows = self._without_blacklisted(table.rows(moment.online), count)
        known = table["last_round"][rows] > 0
        tried, untried = rows[known], rows[~known]
        explored, exploited = self._schedule.split(self._round_number, count, len(untried), len(tried))
        draws = generator(self._seed, moment.draw, "selection")
        scores = self.scores(tried) if exploited else np.empty(0)
        picks = exploit(draws, scores, exploited, parameters.cut_off, reference=parameters.reference)
        self._exploited = np.sort(tried[picks])
        finds = untried[explore(draws, table["speed"][untried], explored)]
        self._chosen = np.sort(np.concatenate([self._exploited, finds]))
        return table.ids[self._chosen]

    def scores(self, rows: Rows) -> Floats:
        """The selection score of tried clients."""
        table, parameters = self._table, self._parameters
        score = normalised(table["utility"][rows], parameters.clip_bound, by_largest=parameters.reference)
        score += uncertainty(self._round_number, table["last_round"][rows])
        score *= slowness_penalty(table["duration_s"][rows], self._preferred_s, parameters.penalty)
        return score

    def register_feedback(self, feedback: Feedback) -> None:
        """Learns utilities from successes, and durations wherever they are known."""
        table, success = self._table, feedback.success
        rows = table.rows(feedback.client_ids)
        table["times_chosen"][rows] += 1
        timed = np.isfinite(feedback.duration_s)
        table["duration_s"][rows[timed]] = feedback.duration_s[timed]
        table["last_round"][rows[success | timed]] = feedback.round_index + 1
        utility = np.nan_to_num(feedback.utility)
        table["utility"][rows[success]] = utility[success]
        if success.any():
            if self._parameters.reference:
                table["utility"][rows[timed & ~success]] = utility[success].mean()
            exploited = success & np.isin(rows, self._exploited)
            self._pacer.observe(float(utility[exploited].mean()) if exploited.any() else 0.0)

    def predicted_utilities(self) -> Mapping[str, Mapping[int, float]]:
        """``pre_util``: the utility that each chosen client had last."""
        known = self._table["utility"][self._chosen]
        return {"pre_util": dict(zip(self._table.ids[self._chosen].tolist(), known.tolist(), strict=True))}

    def describe(self) -> dict[str, Any]:
        """The pacer's state, with the names of the reference; ``preferred_duration`` is null when infinite."""
        return {
            "algo": self.algorithm,
            "training_round": self._round_number,
            **self._pacer.describe(),
            "preferred_duration": _finite(self._preferred_s),
            "preferred_duration_before": _finite(self._preferred_before_s),
            "exploration": self._schedule.share(self._round_number),
        }

    def state_dict(self) -> State:
        """All it remembers."""
        return {
            "clients": self._table.state_dict(),
            "pacer": self._pacer.state_dict(),
            "round_number": self._round_number,
            "preferred_s": _finite(self._preferred_s),
            "preferred_before_s": _finite(self._preferred_before_s),
            "exploited": self._exploited.copy(),
            "chosen": self._chosen.copy(),
        }

    def load_state_dict(self, state: State) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._table.load_state_dict(state["clients"])
        self._pacer.load_state_dict(state["pacer"])
        self._round_number = int(state["round_number"])
        self._preferred_s = _or_infinite(state["preferred_s"])
        self._preferred_before_s = _or_infinite(state["preferred_before_s"])
        self._exploited = np.array(state["exploited"], dtype=np.int64)
        self._chosen = np.array(state["chosen"], dtype=np.int64)

    def _without_blacklisted(self, rows: Rows, count: int) -> Rows:
        parameters = self._parameters
        left_out = blacklisted(self._table["times_chosen"], parameters.blacklist_rounds, parameters.blacklist_share)
        if not len(left_out):
            return rows
        admitted: NDArray[np.bool_] = np.ones(len(self._table), dtype=np.bool_)
        admitted[left_out] = False
        fresh = rows[admitted[rows]]
        return fresh if len(fresh) >= count else rows


def _make_pacer(parameters: OortParameters) -> Pacer:
    if parameters.reference:
        return SecondsPacer(parameters.pacer_step, parameters.pacer_delta, parameters.budget_s)
    return PercentilePacer(parameters.pacer_step, parameters.pacer_delta, parameters.percentile)


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def _or_infinite(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
