"""The round machine against a whole cluster played in memory: who computes, who dies and what is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from tests.unit.rounds.rehearsal import LAYOUT, Rehearsal, job, toy_delta

REFERENCE = Rehearsal(job(cluster={"executors": 1}), seed=0).run()


@given(
    seed=st.integers(0, 10_000),
    executors=st.integers(1, 5),
    deaths=st.integers(0, 6),
    duplicates=st.booleans(),
    reduce=st.sampled_from(["direct", "swarm"]),
)
@settings(max_examples=80, deadline=None)
def test_the_final_weights_do_not_depend_on_executors_order_deaths_duplicates_or_who_adds_up(
    seed: int, executors: int, deaths: int, duplicates: bool, reduce: str
) -> None:
    rehearsal = Rehearsal(job(cluster={"executors": executors}, exchange={"reduce": reduce}), seed)
    assert np.array_equal(rehearsal.run(deaths=deaths, duplicates=duplicates), REFERENCE)


def test_the_model_changes_in_a_round_with_a_single_client() -> None:
    """Defect D1 of the reference: one result was never applied."""
    rehearsal = Rehearsal(job(rounds=1, selection={"participants": 1}), seed=0)
    assert np.any(rehearsal.run() != 0)


def test_a_failed_client_is_left_out_and_the_others_share_its_weight() -> None:
    """Defect D2: failed results entered the average."""
    failing = Rehearsal(job(rounds=1), seed=0, fails=lambda _, client: client % 5 == 0)
    weights = failing.run()
    summary = failing.tagged(records.RoundSummary)[0]
    kept = summary.completed
    assert summary.dropped and all(client % 5 == 0 for client in summary.dropped)
    deltas = [toy_delta(0, client, np.zeros(LAYOUT.size)) for client in kept]
    assert weights == pytest.approx(np.mean(deltas, axis=0), abs=1e-7)


def test_a_client_that_fails_only_when_trained_again_restarts_the_sum() -> None:
    """The numbered story: 1. both executors train, 2. the verdict is out, 3. one sum is added, 4. the other executor
    dies, 5. its cohort is trained again and now one client fails, 6. the shares of all others change, so the sum that
    was added is worthless and everything is summed anew."""
    failing: set[int] = set()
    rehearsal = Rehearsal(job(rounds=1), seed=0, fails=lambda _, client: client in failing)
    rehearsal.join()
    rehearsal.join()

    def step(name: str) -> None:
        rehearsal.deliver(rehearsal.executors[name].outbox.popleft())

    while not rehearsal.sums:
        step(next(name for name, executor in rehearsal.executors.items() if executor.outbox))
    while rehearsal.sums.keys() and not any(isinstance(e, msg.SumFetched) for e in rehearsal.executors["e1"].outbox):
        step("e1")
    while any(rehearsal.executors["e1"].outbox):
        step("e1")
    failing.update(sorted({client for held in rehearsal.executors["e2"].updates.values() for client in held})[:1])
    rehearsal.kill("e2")
    while rehearsal.finish is None:
        step("e1")
    kept = rehearsal.tagged(records.RoundSummary)[0].completed
    assert not failing & set(kept)
    assert rehearsal.state is not None
    expected = np.mean([toy_delta(0, client, np.zeros(LAYOUT.size)) for client in kept], axis=0)
    assert rehearsal.state.weights == pytest.approx(expected, abs=1e-7)


def test_a_round_in_which_everybody_fails_ends_the_run_with_the_first_error() -> None:
    rehearsal = Rehearsal(job(), seed=0, fails=lambda *_: True)
    rehearsal.run()
    assert rehearsal.finish is not None and "boom" in str(rehearsal.finish.error)
    assert rehearsal.tagged(records.Shutdown)[0].reason == "failed"


def test_the_model_is_tested_before_training_every_interval_and_at_the_end() -> None:
    """Defect D17: the final model was never evaluated."""
    rehearsal = Rehearsal(job(rounds=5, evaluation={"interval": 2}), seed=3)
    rehearsal.run()
    assert [result.round for result in rehearsal.tagged(records.TestResult)] == [0, 2, 4, 5]


def test_test_results_add_up_all_blocks() -> None:
    rehearsal = Rehearsal(job(rounds=1), seed=3)
    rehearsal.run()
    first = rehearsal.tagged(records.TestResult)[0]
    assert (first.samples, first.top1, first.top5) == (30, 3 / 30, 6 / 30)


def test_nothing_is_planned_for_a_round_that_will_not_run() -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    rehearsal.run()
    assert [begin.round for begin in rehearsal.tagged(records.RoundBegin)] == [0, 1, 2]
    assert [summary.completed_round for summary in rehearsal.tagged(records.RoundSummary)] == [0, 1, 2]


def test_the_clock_advances_once_a_round_by_the_slowest_client_that_ran() -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    rehearsal.run()
    begins, summaries = rehearsal.tagged(records.RoundBegin), rehearsal.tagged(records.RoundSummary)
    for begin, summary, following in zip(begins, summaries, begins[1:], strict=False):
        slowest = max(begin.planned_times[client].total_s for client in begin.to_run)
        assert summary.duration_s == pytest.approx(slowest)
        assert following.clock_start_s == pytest.approx(begin.clock_start_s + slowest)


def test_bytes_in_a_summary_are_those_of_its_round() -> None:
    rehearsal = Rehearsal(job(rounds=3), seed=3)
    rehearsal.run()


def test_byte_counts_of_a_round_are_never_negative() -> None:
    before, after = msg.Traffic(sent=10, peers=50), msg.Traffic(sent=30, peers=20)
    assert after.since(before) == msg.Traffic(sent=20, peers=0)


def test_a_stop_saves_the_model_and_says_so() -> None:
    rehearsal = Rehearsal(job(), seed=0)
    rehearsal.join()
    rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())
    answer = rehearsal.machine.handle(msg.StopRequested("enough"), 1.0)
    assert [type(i) for i in answer] == [msg.SaveModel, msg.WriteRecord, msg.Finish]
    assert answer[-1] == msg.Finish("stopped")


def test_events_after_the_end_change_nothing() -> None:
    rehearsal = Rehearsal(job(), seed=0)
    rehearsal.run()
    assert rehearsal.machine.handle(msg.ExecutorLost("e1", "late"), 99.0) == []


@pytest.mark.parametrize("reduce", ["direct", "swarm"])
def test_the_federation_says_which_ways_weights_go(reduce: str) -> None:
    rehearsal = Rehearsal(job(exchange={"broadcast": "swarm", "reduce": reduce}), seed=0)
    rehearsal.run()
    (federation,) = rehearsal.tagged(records.Federation)
    assert (federation.broadcast, federation.reduce) == ("swarm", reduce)
    assert (federation.payload()["broadcast"], federation.payload()["reduce"]) == ("swarm", reduce)
    assert "topology" not in federation.payload()
