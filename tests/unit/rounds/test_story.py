from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from fedswarm.jobs.schema import Job
from fedswarm.records.client_outcome import ClientTimes
from fedswarm.rounds import story
from fedswarm.rounds.active_round import ActiveRound
from fedswarm.rounds.deployment import ConnectedDevices, DeploymentRules
from fedswarm.rounds.messages import ClientReport, SendTrain, Traffic
from fedswarm.rounds.plan import RoundPlan
from fedswarm.rounds.roster import Roster
from fedswarm.rounds.rules import Verdict
from fedswarm.training.task import BlockResult


def played(plan: RoundPlan, *reports: ClientReport) -> ActiveRound:
    """A round in which executor ``a`` reported these clients."""
    roster = Roster(own_clients=True)
    rules = DeploymentRules(Job(), roster, None, ConnectedDevices(roster.connected_clients))  # type: ignore[arg-type]
    hosts = dict.fromkeys(plan.to_run, "a")
    active = ActiveRound(plan, rules, "samples", hosts, itertools.count(1), 0.0)
    leases = {order.tasks[0].client_id: order for order in active.issue(["a"], 0.0) if isinstance(order, SendTrain)}
    for report in reports:
        active.trained("a", leases[report.client_id].lease_id, (report,), 1.0)
    return active


def report(client: int, loss: float = 1.0, **fields: Any) -> ClientReport:
    return ClientReport(client, True, moving_loss=loss, trained_samples=40, steps=5, **fields)


def test_the_beginning_tells_who_is_there_and_what_is_planned(by_hand: Any) -> None:
    plan = by_hand((2, 1), stragglers=(3,), times={2: (1.0, 2.0, 3.0), 1: (1.0, 1.0, 1.0), 3: (9.0, 9.0, 9.0)})
    begin = story.round_begin(plan, {"algo": "random"}, ["a", "b"], 30)
    assert (begin.round, begin.clock_start_s, begin.executors, begin.feasible_clients) == (4, 100.0, ["a", "b"], 30)
    assert begin.planned_times[2] == ClientTimes(1.0, 2.0, 3.0, steps=5)
    assert begin.planned_times[3].steps == 0
    assert (tuple(begin.to_run), tuple(begin.planned_stragglers)) == ((2, 1), (3,))


def test_the_mean_loss_is_that_of_the_clients_that_count(by_hand: Any) -> None:
    active = played(by_hand((1, 2, 3)), report(1, 1.0), report(2, 4.0), report(3, 100.0))
    assert story.mean_loss(active, Verdict((2, 1), (3,), (), 1.0)) == 2.5


def test_without_anybody_that_counts_there_is_no_mean_loss(by_hand: Any) -> None:
    assert math.isnan(story.mean_loss(played(by_hand((1,))), Verdict((), (), (1,), 0.0)))


def test_planned_times_win_and_reported_ones_fill_the_gaps(by_hand: Any) -> None:
    plan = by_hand((1, 2), times={1: (3.0, 0.0, 0.0), 2: (3.0, 4.0, 5.0)})
    active = played(plan, *(report(client, download_s=9.0, compute_s=7.0, upload_s=8.0) for client in (1, 2)))
    times = story.client_times(active)
    assert (times[1].download_s, times[1].compute_s, times[1].upload_s) == (3.0, 7.0, 8.0)
    assert (times[2].download_s, times[2].compute_s, times[2].upload_s) == (3.0, 4.0, 5.0)


def test_steps_are_split_by_phase(by_hand: Any) -> None:
    plan = by_hand((1,))
    active = played(plan, report(1, steps_phase1=3, steps_phase2=2, dropout_fraction=0.5))
    times = story.client_times(active)[1]
    assert (times.steps, times.steps_phase2, times.dropout_fraction) == (3, 2, 0.5)


def test_the_summary_tells_the_fate_of_all_and_this_rounds_bytes(by_hand: Any) -> None:
    plan = by_hand((1, 2), stragglers=(3,), inactive=(4,))
    active = played(plan, report(1), ClientReport(2, False, "boom"))
    summary = story.round_summary(active, Verdict((1,), (3,), (4, 2), 7.0), 1.5, Traffic(10, 20, 30, 40))
    assert (summary.completed, list(summary.stragglers), list(summary.dropped)) == ([1], [3], [4, 2])
    assert (summary.sampled_clients, summary.planned_clients, summary.wall_s, summary.duration_s) == (4, 2, 1.5, 7.0)
    sizes = (summary.bytes_sent, summary.bytes_received, summary.bytes_peers, summary.bytes_wasted)
    assert sizes == (10, 20, 30, 40)
    assert set(summary.client_times) == {1, 2}


@pytest.mark.parametrize(
    ("key", "before", "after", "untrained"),
    [
        ("pre_util", "oort_pyr_util_before", "oort_pyr_util_after", {2: 5.0, 3: 7.0}),
        ("bliss_pred_unseen", "bliss_pred_unseen", "bliss_actual_unseen", {2: 0.0, 3: 0.0}),
    ],
)
def test_the_summary_tells_what_became_of_the_utilities_that_were_expected(
    by_hand: Any, key: str, before: str, after: str, untrained: dict[int, float]
) -> None:
    """Reference 7.4: of clients that failed or did not run, Oort keeps the utility and Bliss has none."""
    expected = {1: 3.0, 2: 5.0, 3: 7.0}
    active = played(
        by_hand((1, 2), stragglers=(3,), predictions={key: expected}),
        report(1, utility=6.0),
        ClientReport(2, False, "boom", utility=1.0),
    )
    payload = story.round_summary(active, Verdict((1,), (3,), (2,), 7.0), 1.5, Traffic()).payload()
    assert payload[before] == {str(client): utility for client, utility in expected.items()}
    assert payload[after] == {str(client): utility for client, utility in {1: 6.0, **untrained}.items()}


def test_client_information_has_a_status_each_and_leaves_out_who_could_not_take_part(by_hand: Any) -> None:
    plan = by_hand((1, 2), stragglers=(3,), inactive=(4,))
    active = played(plan, report(1, 0.5, utility=6.0, delta_norm=2.0), ClientReport(2, False, "boom"))
    info = story.client_info(active, Verdict((1,), (3,), (4, 2), 7.0), "random")
    assert {client: outcome.status for client, outcome in info.clients.items()} == {1: "c", 2: "d", 3: "s"}
    counted = info.clients[1]
    assert (counted.loss, counted.computed_utility, counted.samples, counted.delta_norm) == (0.5, 6.0, 40, 2.0)
    assert (counted.executor_id, info.clients[3].executor_id) == ("a", None)


def test_a_test_result_does_not_depend_on_the_order_of_blocks() -> None:
    blocks = [BlockResult(block, 10, block, 2 * block, 0.1 * block) for block in range(5)]
    result = story.evaluation_result(3, 50.0, blocks)
    assert result == story.evaluation_result(3, 50.0, reversed(blocks))
    assert (result.round, result.samples, result.top1, result.top5) == (3, 50, 0.2, 0.4)
    assert result.loss == pytest.approx(0.02)
