"""The round machine when clients train as long as their time allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from tests.unit.rounds.rehearsal import Rehearsal, adaptive_job, overhear


def test_adaptive_everybody_sampled_trains_and_the_fastest_count() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=1), seed=0)
    rehearsal.run()
    begin, summary = rehearsal.tagged(records.RoundBegin)[0], rehearsal.tagged(records.RoundSummary)[0]
    assert sorted(begin.to_run) == sorted(begin.sampled) and len(begin.sampled) == 10
    times = summary.client_times
    slowest_kept = max(times[client].total_s for client in summary.completed)
    assert len(summary.completed) == 8
    assert all(times[client].total_s >= slowest_kept for client in summary.stragglers)
    assert summary.duration_s == pytest.approx(slowest_kept)


def test_adaptive_tasks_start_after_the_download_with_what_it_leaves_of_the_budget() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=2), seed=0)
    orders: list[msg.SendTrain] = []
    train = rehearsal.train
    rehearsal.train = lambda executor, order: (orders.append(order), train(executor, order))[1]  # type: ignore[method-assign]
    rehearsal.run()
    begins = {begin.round: begin for begin in rehearsal.tagged(records.RoundBegin)}
    for order in orders:
        for task in order.tasks:
            download_s = begins[order.round_index].planned_times[task.client_id].download_s
            assert task.start_s == pytest.approx(begins[order.round_index].clock_start_s + download_s)
            assert task.budget_s == pytest.approx(300 - download_s)


def test_adaptive_only_the_weights_of_clients_that_count_are_ever_asked_for() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=2), seed=0)
    asked: list[tuple[int, int]] = []
    sum_up = rehearsal.sum_up

    def noted(order: msg.OrderSum) -> None:
        asked.extend((order.round_index, client) for part in order.parts for client, _ in part.shares)
        sum_up(order)

    rehearsal.sum_up = noted  # type: ignore[method-assign]
    rehearsal.run()
    summaries = rehearsal.tagged(records.RoundSummary)
    assert all(summary.stragglers for summary in summaries)
    assert sorted(asked) == [(summary.completed_round, client) for summary in summaries for client in summary.completed]


def test_adaptive_records_carry_both_phases_and_the_dropout() -> None:
    rehearsal = Rehearsal(adaptive_job(rounds=1), seed=0)
    rehearsal.run()
    info = rehearsal.tagged(records.ClientInfo)[0]
    outcome = next(iter(info.clients.values()))
    assert (outcome.times.steps, outcome.times.steps_phase2, outcome.times.dropout_fraction) == (3, 2, 0.25)


@pytest.mark.parametrize("policy", ["random", "oort", "bliss"])
def test_adaptive_nobody_gets_feedback_twice(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect D6."""
    rehearsal = Rehearsal(adaptive_job(rounds=3, selection={"participants": 8, "policy": policy}), seed=3)
    heard = overhear(rehearsal, monkeypatch)
    rehearsal.run()
    sampled = [(b.round, client) for b in rehearsal.tagged(records.RoundBegin) for client in b.sampled]
    assert sorted((f.round_index, client) for f in heard for client in f.client_ids.tolist()) == sorted(sampled)


def test_adaptive_a_round_whose_devices_all_went_away_is_skipped_and_drawn_anew() -> None:
    """Defect D16: the same round was selected at the same clock for ever."""
    first: list[int] = []

    def fails(round_index: int, client: int) -> bool:
        if len(first) < 10:
            first.append(client)
        return client in first

    rehearsal = Rehearsal(adaptive_job(rounds=1), seed=0, fails=fails)
    rehearsal.run()
    skip = rehearsal.tagged(records.RoundSkipped)[0]
    assert (skip.clock_from_s, skip.clock_to_s) == (0.0, 300.0)
    begins = rehearsal.tagged(records.RoundBegin)
    assert [begin.round for begin in begins] == [0, 0]
    assert begins[0].sampled != begins[1].sampled
    assert len(rehearsal.tagged(records.TestResult)) == 2  # the skipped round was not tested again


@given(seed=st.integers(0, 10_000), executors=st.integers(1, 4), deaths=st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_adaptive_final_weights_do_not_depend_on_executors_order_or_deaths(
    seed: int, executors: int, deaths: int
) -> None:
    reference = Rehearsal(adaptive_job(cluster={"executors": 1}), seed=0).run()
    rehearsal = Rehearsal(adaptive_job(cluster={"executors": executors}), seed)
    assert np.array_equal(rehearsal.run(deaths=deaths), reference)
