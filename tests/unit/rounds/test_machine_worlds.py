"""The round machine where devices come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.devices.time_model import PhaseTimes, Workload
from fedswarm.devices.worlds import open_world
from fedswarm.records import schema as records
from fedswarm.selection.contract import Feedback
from tests.unit.rounds.rehearsal import Rehearsal, adaptive_job, job


class Sleepers:
    """A world in which nobody is online before virtual second 3600."""

    def __init__(self, base: Any, first_s: float = 3600.0) -> None:
        self.base, self.first_s = base, first_s

    def online(self, now_s: float) -> np.ndarray:
        everybody: np.ndarray = self.base.online(now_s)
        return everybody if now_s >= self.first_s else everybody[:0]

    def next_online_s(self, now_s: float) -> float:
        return max(now_s, self.first_s)

    def phase_times(self, ids: np.ndarray, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        times: PhaseTimes = self.base.phase_times(ids, round_index, start_s, work)
        return times

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        return np.ones(len(ids), dtype=np.bool_)


def test_when_nobody_is_online_the_clock_moves_to_the_first_who_is() -> None:
    """Defect D16 and acceptance test 3: the run used to hang."""
    rehearsal = Rehearsal(job(rounds=1), seed=0, make_world=lambda ids: Sleepers(open_world(job()).make(ids)))
    rehearsal.run()
    skips = rehearsal.tagged(records.RoundSkipped)
    assert [(skip.clock_from_s, skip.clock_to_s) for skip in skips] == [(0.0, 3600.0)]
    assert rehearsal.tagged(records.RoundBegin)[0].clock_start_s == 3600.0


class Restless(Sleepers):
    """A world in which everybody is online and nobody stays before virtual second 3600."""

    def online(self, now_s: float) -> np.ndarray:
        everybody: np.ndarray = self.base.online(now_s)
        return everybody

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        return np.full(len(ids), start_s >= self.first_s)


def test_who_was_sampled_for_a_round_that_could_not_run_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = Rehearsal(job(rounds=1), seed=0, make_world=lambda ids: Restless(open_world(job()).make(ids)))
    heard: list[Feedback] = []
    monkeypatch.setattr(rehearsal.machine._selector, "register_feedback", heard.append)
    rehearsal.run()
    skipped, played = heard[:-1], heard[-1]
    assert len(skipped) == len(rehearsal.tagged(records.RoundSkipped)) > 0
    assert all(len(feedback.client_ids) == 10 and not feedback.success.any() for feedback in skipped)
    assert all(np.isnan(feedback.duration_s).all() for feedback in skipped)
    assert played.success.sum() == 8


class Filling(Sleepers):
    """A world in which one more client stays for a round every minute."""

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        return np.arange(len(ids)) < start_s / 60.0


def test_a_round_waits_for_as_many_clients_as_the_job_needs() -> None:
    """Reference 1.6, TARGET: ``min_clients`` and a configurable idle step."""
    needing = job(rounds=1, selection={"participants": 8, "min_clients": 3, "idle_step_s": 90.0})
    rehearsal = Rehearsal(needing, seed=0, make_world=lambda ids: Filling(open_world(needing).make(ids), 0.0))
    rehearsal.run()
    skips = rehearsal.tagged(records.RoundSkipped)
    assert [(skip.clock_from_s, skip.clock_to_s) for skip in skips] == [(0.0, 90.0), (90.0, 180.0)]
    assert skips[1].reason == "2 of the clients online stay for a whole round, 3 are needed"
    assert len(rehearsal.tagged(records.RoundBegin)[0].to_run) == 3


def test_adaptive_a_round_with_too_few_results_is_skipped_and_the_model_stays() -> None:
    failing = iter(range(8))  # of the first round's ten clients, eight go away
    needing = adaptive_job(rounds=1, selection={"participants": 8, "min_clients": 3})
    rehearsal = Rehearsal(needing, seed=0, fails=lambda _round, _client: next(failing, None) is not None)
    rehearsal.run()
    (skip,) = rehearsal.tagged(records.RoundSkipped)
    assert skip.reason == "only 2 clients' training counted"
    assert 10.0 < skip.clock_to_s < 300.0
    assert [summary.completed_round for summary in rehearsal.tagged(records.RoundSummary)] == [0]
    assert sorted(rehearsal.versions) == [0, 1]


def test_a_world_where_nobody_ever_comes_ends_the_run() -> None:
    never = float("inf")
    rehearsal = Rehearsal(job(rounds=1), seed=0, make_world=lambda ids: Sleepers(open_world(job()).make(ids), never))
    rehearsal.run()
    assert rehearsal.finish is not None and "nobody is online" in str(rehearsal.finish.error)
