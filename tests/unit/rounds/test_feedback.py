from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.records.client_outcome import ClientTimes
from fedswarm.rounds.feedback import feedback_on
from fedswarm.rounds.messages import ClientReport
from fedswarm.rounds.plan import PlannedTask
from fedswarm.rounds.rules import Verdict
from fedswarm.selection.contract import Feedback

COUNTS, TRAINED_LATE, NEVER_TRAINED, FAILED, INACTIVE = 1, 2, 3, 4, 5


@pytest.fixture
def feedback(by_hand: Any) -> Feedback:
    plan = by_hand((COUNTS, TRAINED_LATE, FAILED), stragglers=(NEVER_TRAINED,), inactive=(INACTIVE,))
    reports = {
        COUNTS: ClientReport(COUNTS, True, utility=8.0, delta_norm=2.0, steps=5, dropout_fraction=0.25),
        TRAINED_LATE: ClientReport(TRAINED_LATE, True, utility=6.0, delta_norm=3.0, steps=7),
        FAILED: ClientReport(FAILED, False, "boom", utility=9.0, steps=1, compute_s=0.1),
    }
    times = {client: ClientTimes(1.0, 10.0 * client, 2.0) for client in (COUNTS, TRAINED_LATE, NEVER_TRAINED, FAILED)}
    verdict = Verdict((COUNTS,), (TRAINED_LATE, NEVER_TRAINED), (FAILED, INACTIVE), 13.0)
    return feedback_on(plan, verdict, reports, times)


def column(feedback: Feedback, name: str) -> dict[int, float]:
    return dict(zip(feedback.client_ids.tolist(), getattr(feedback, name).tolist(), strict=True))


def test_everybody_sampled_gets_one_row_under_this_round(feedback: Feedback) -> None:
    assert sorted(feedback.client_ids.tolist()) == [COUNTS, TRAINED_LATE, NEVER_TRAINED, FAILED, INACTIVE]
    assert feedback.round_index == 4


def test_only_those_that_count_succeeded(feedback: Feedback) -> None:
    assert [client for client, success in column(feedback, "success").items() if success] == [COUNTS]


def test_utilities_are_those_of_trained_clients_that_did_not_fail(feedback: Feedback) -> None:
    utility = column(feedback, "utility")
    assert (utility[COUNTS], utility[TRAINED_LATE]) == (8.0, 6.0)
    assert np.isnan([utility[NEVER_TRAINED], utility[FAILED], utility[INACTIVE]]).all()


def test_a_failure_says_nothing_about_speed(feedback: Feedback) -> None:
    for name in ("duration_s", "compute_s", "upload_s"):
        values = column(feedback, name)
        assert np.isnan([values[FAILED], values[INACTIVE]]).all()
    assert column(feedback, "duration_s")[NEVER_TRAINED] == 33.0
    assert column(feedback, "compute_s")[TRAINED_LATE] == 20.0


def test_norms_steps_and_dropout_come_from_the_report(feedback: Feedback) -> None:
    assert column(feedback, "delta_norm")[COUNTS] == 2.0
    assert column(feedback, "steps") == {COUNTS: 5, TRAINED_LATE: 7, NEVER_TRAINED: 0, FAILED: 0, INACTIVE: 0}
    assert column(feedback, "dropout_fraction")[COUNTS] == 0.25


def test_a_straggler_that_never_trained_would_have_done_what_was_planned(by_hand: Any) -> None:
    tasks = {1: PlannedTask(1, 5), 3: PlannedTask(3, 40, dropout_fraction=0.5)}
    plan = by_hand((1,), stragglers=(3,), tasks=tasks)
    times = {1: ClientTimes(1.0, 1.0, 1.0), 3: ClientTimes(9.0, 9.0, 9.0)}
    heard = feedback_on(plan, Verdict((1,), (3,), (), 3.0), {1: ClientReport(1, True, steps=5)}, times)
    assert (column(heard, "steps")[3], column(heard, "dropout_fraction")[3]) == (40, 0.5)


def test_a_client_that_was_not_heard_of_is_not_infinitely_fast(by_hand: Any) -> None:
    """In deployment times are measured, and a straggler's are not yet."""
    plan = by_hand((1, 2))
    times = {1: ClientTimes(1.0, 1.0, 1.0), 2: ClientTimes(0.0, 0.0, 0.0)}
    heard = feedback_on(plan, Verdict((1,), (2,), (), 3.0), {1: ClientReport(1, True, steps=5)}, times)
    assert np.isnan(column(heard, "duration_s")[2])
