from __future__ import annotations

import itertools
from typing import Any

import pytest

from fedswarm.rounds import messages as msg
from fedswarm.rounds.active_round import ActiveRound, ActiveTest
from fedswarm.rounds.plan import PlannedTask, PlannedTimes, RoundPlan
from fedswarm.rounds.rules import Reports, Verdict, succeeded
from fedswarm.training.task import BlockResult

COHORTS = ((1, 2), (3,))


class Rules:
    """Everybody that succeeds counts, once all reported."""

    def __init__(self, *, pinned: bool = False) -> None:
        self.pinned = pinned

    def plan(self, round_index: int, clock_s: float, draw: int) -> RoundPlan:
        raise NotImplementedError

    def decided(self, plan: RoundPlan, reports: Reports, all_reported: bool) -> bool:
        return all_reported

    def verdict(self, plan: RoundPlan, reports: Reports) -> Verdict:
        good = succeeded(reports)
        kept = tuple(client for client in plan.to_run if client in good)
        return Verdict(kept, (), tuple(client for client in plan.to_run if client not in good), 1.0)


def make_plan(cohorts: tuple[tuple[int, ...], ...] = COHORTS) -> RoundPlan:
    clients = tuple(client for cohort in cohorts for client in cohort)
    return RoundPlan(
        round_index=6,
        start_clock_s=0.0,
        learning_rate=0.1,
        online=clients,
        sampled=clients,
        to_run=clients,
        stragglers=(),
        inactive=(),
        times={client: PlannedTimes(1.0, 1.0, 1.0) for client in clients},
        tasks={client: PlannedTask(client, 4) for client in clients},
        cohorts=cohorts,
    )


def make_round(
    *,
    pinned: bool = False,
    hosts: dict[int, str] | None = None,
    weighting: str = "samples",
    reduces: bool = False,
    **plan: Any,
) -> ActiveRound:
    rules, ids = Rules(pinned=pinned), itertools.count(1)
    return ActiveRound(make_plan(**plan), rules, weighting, hosts or {}, ids, 0.0, reduces=reduces)


def reports(*clients: int, samples: int = 10, **fields: Any) -> tuple[msg.ClientReport, ...]:
    return tuple(msg.ClientReport(client, True, trained_samples=samples, **fields) for client in clients)


def trained(active: ActiveRound, executors: list[str] | None = None) -> list[msg.SendTrain]:
    """Leases everything and reports success for each."""
    done: list[msg.SendTrain] = []
    while True:
        orders = [order for order in active.issue(executors or ["a", "b"], 0.0) if isinstance(order, msg.SendTrain)]
        if not orders:
            return done
        for order in orders:
            active.trained(order.executor, order.lease_id, reports(*(t.client_id for t in order.tasks)), 1.0)
        done += orders


def orders_of(active: ActiveRound) -> list[msg.OrderSum]:
    return [order for order in active.order_sums() if isinstance(order, msg.OrderSum)]


def shares_of(*orders: msg.OrderSum) -> dict[int, float]:
    return {client: share for order in orders for part in order.parts for client, share in part.shares}


def test_a_lease_carries_the_plans_round_rate_and_tasks() -> None:
    order, *_ = make_round().issue(["a"], 0.0)
    assert isinstance(order, msg.SendTrain)
    assert (order.round_index, order.learning_rate) == (6, 0.1)
    assert order.tasks == (PlannedTask(1, 4), PlannedTask(2, 4))


def test_a_client_missing_from_its_report_failed() -> None:
    active = make_round()
    order, *_ = active.issue(["a"], 0.0)
    assert isinstance(order, msg.SendTrain)
    active.trained("a", order.lease_id, reports(1), 1.0)
    assert active.reports[1].success
    assert not active.reports[2].success and "no report of this client" in active.reports[2].error


def test_reports_of_clients_outside_the_lease_are_ignored() -> None:
    active = make_round()
    order, *_ = active.issue(["a"], 0.0)
    assert isinstance(order, msg.SendTrain)
    active.trained("a", order.lease_id, reports(1, 2, 3, 99), 1.0)
    assert set(active.reports) == {1, 2}


def test_a_lease_reported_by_somebody_else_is_ignored() -> None:
    active = make_round()
    order, *_ = active.issue(["a"], 0.0)
    assert isinstance(order, msg.SendTrain)
    active.trained("b", order.lease_id, reports(1, 2), 1.0)
    assert active.reports == {}


def test_the_first_report_of_a_lease_counts() -> None:
    active = make_round()
    order, *_ = active.issue(["a"], 0.0)
    assert isinstance(order, msg.SendTrain)
    active.trained("a", order.lease_id, reports(1, 2, utility=1.0), 1.0)
    active.trained("a", order.lease_id, reports(1, 2, utility=9.0), 1.0)
    assert active.reports[1].utility == 1.0


def test_a_lease_can_be_failed_by_its_own_executor_only() -> None:
    active = make_round()
    order, *_ = active.issue(["a"], 0.0)
    assert isinstance(order, msg.SendTrain)
    assert not active.lease_failed("b", order.lease_id, "mine!")
    assert active.lease_failed("a", order.lease_id, "disk full")
    assert not active.lease_failed("a", order.lease_id, "disk full")


def test_nothing_is_summed_before_the_verdict() -> None:
    active = make_round()
    active.issue(["a"], 0.0)
    assert active.order_sums() == [] and not active.summed


def test_each_executor_sums_what_it_trained_with_shares_of_the_whole() -> None:
    active = make_round()
    trained(active)
    orders = orders_of(active)
    assert shares_of(*orders) == {1: pytest.approx(1 / 3), 2: pytest.approx(1 / 3), 3: pytest.approx(1 / 3)}
    parts = [part for order in orders for part in order.parts]
    assert all(active.trained_by[client] == part.executor for part in parts for client, _ in part.shares)
    assert [order.round_index for order in orders] == [6] * len(orders)


def test_shares_follow_the_samples_trained() -> None:
    active = make_round(cohorts=((1,), (2,)))
    for order, samples in zip(active.issue(["a", "b"], 0.0), (30, 10), strict=True):
        assert isinstance(order, msg.SendTrain)
        active.trained(order.executor, order.lease_id, reports(order.tasks[0].client_id, samples=samples), 1.0)
    assert shares_of(*orders_of(active)) == {1: 0.75, 2: 0.25}


def test_uniform_shares_do_not_look_at_samples() -> None:
    active = make_round(cohorts=((1,), (2,)), weighting="uniform")
    for order, samples in zip(active.issue(["a", "b"], 0.0), (30, 10), strict=True):
        assert isinstance(order, msg.SendTrain)
        active.trained(order.executor, order.lease_id, reports(order.tasks[0].client_id, samples=samples), 1.0)
    assert shares_of(*orders_of(active)) == {1: 0.5, 2: 0.5}


def test_sums_are_ordered_once_and_the_round_is_summed_when_all_are_fetched() -> None:
    active = make_round()
    trained(active)
    orders = orders_of(active)
    assert orders_of(active) == []
    for order in orders:
        assert not active.summed
        assert active.sum_fetched(order.order_id) == [part.executor for part in order.parts]
    assert active.summed
    assert active.sum_fetched(orders[0].order_id) == []


def test_a_sum_that_cannot_be_had_is_trained_again_and_ordered_anew() -> None:
    active = make_round()
    trained(active)
    first, *rest = orders_of(active)
    for order in rest:
        active.sum_fetched(order.order_id)
    (part,) = first.parts
    assert active.sum_failed(first.order_id, "reset", part.executor)
    assert not active.sum_failed(first.order_id, "reset", part.executor)
    assert not active.decided
    trained(active)
    (again,) = orders_of(active)
    assert shares_of(again) == shares_of(first)
    active.sum_fetched(again.order_id)
    assert active.summed


def test_executors_that_add_up_among_themselves_get_one_order() -> None:
    active = make_round(reduces=True)
    trained(active)
    (order,) = orders_of(active)
    assert [part.executor for part in order.parts] == ["a", "b"]
    assert shares_of(order) == {client: pytest.approx(1 / 3) for client in (1, 2, 3)}
    assert active.sum_fetched(order.order_id) == ["a", "b"]
    assert active.summed


def test_a_common_sum_is_void_when_one_of_those_who_add_up_is_lost() -> None:
    active = make_round(reduces=True)
    trained(active)
    (order,) = orders_of(active)
    assert active.lost("a", "gone") == 1
    assert active.sum_fetched(order.order_id) == []
    trained(active, ["b"])
    (again,) = orders_of(active)
    assert [part.executor for part in again.parts] == ["b"]
    assert shares_of(again) == shares_of(order)


def test_only_the_culprit_trains_again_when_a_common_sum_fails() -> None:
    active = make_round(reduces=True)
    trained(active)
    (order,) = orders_of(active)
    assert active.sum_failed(order.order_id, "reset", "a")
    retrained = trained(active, ["b"])
    assert [task.client_id for lease in retrained for task in lease.tasks] == [c for c, _ in order.parts[0].shares]
    assert len(orders_of(active)) == 1


def test_each_executor_sums_by_itself_once_adding_up_failed_by_nobodys_fault() -> None:
    active = make_round(reduces=True)
    trained(active)
    (order,) = orders_of(active)
    assert active.sum_failed(order.order_id, "none of them can", "")
    assert active.decided
    assert [[part.executor for part in again.parts] for again in orders_of(active)] == [["a"], ["b"]]


def test_what_an_executor_delivered_outlives_it() -> None:
    active = make_round()
    trained(active)
    for order in orders_of(active):
        active.sum_fetched(order.order_id)
    assert active.lost("a", "gone") == 0
    assert active.summed


def test_what_an_executor_had_not_delivered_is_taken_back() -> None:
    active = make_round()
    orders = trained(active)
    active.order_sums()
    of_a = [order for order in orders if order.executor == "a"]
    assert active.lost("a", "gone") == len(of_a) > 0
    assert not active.decided


# Pinned clients


def test_pinned_clients_go_to_their_own_executor_all_at_once() -> None:
    active = make_round(pinned=True, hosts={1: "a", 2: "b", 3: "a"}, cohorts=((1,), (2,), (3,)))
    orders = active.issue(["a", "b"], 0.0)
    assert [(order.executor, order.tasks[0].client_id) for order in orders if isinstance(order, msg.SendTrain)] == [
        ("a", 1),
        ("a", 3),
        ("b", 2),
    ]


def test_a_pinned_client_whose_executor_is_lost_went_away() -> None:
    active = make_round(pinned=True, hosts={1: "a"}, cohorts=((1,),))
    active.issue(["a"], 0.0)
    active.lost("a", "its session ended")
    assert active.decided
    assert (active.reports[1].success, active.reports[1].went_away) == (False, True)
    assert active.reports[1].error == "its session ended"


def test_pinned_work_is_never_offered_to_others_for_being_slow() -> None:
    active = make_round(pinned=True, hosts={1: "a"}, cohorts=((1,),))
    active.issue(["a"], 0.0)
    assert active.expire(1e9, 1.0) == []


def test_slow_work_is_offered_to_others() -> None:
    active = make_round()
    active.issue(["a"], 0.0)
    assert active.expire(0.5, 1.0) == []
    assert set(active.expire(2.0, 1.0)) == {"a"}
    assert active.issue(["b"], 2.0)


# Tests of the model


def one_test() -> tuple[ActiveTest, int]:
    test = ActiveTest(2, [(0, 1)], itertools.count(1))
    (order,) = test.issue(["a"], 0.0)
    assert isinstance(order, msg.SendTest) and (order.version, order.blocks) == (2, (0, 1))
    return test, order.lease_id


def blocks(*numbers: int, samples: int = 10) -> tuple[BlockResult, ...]:
    return tuple(BlockResult(number, samples, 1, 2, 0.5) for number in numbers)


def test_a_whole_report_finishes_the_test_in_any_order_of_blocks() -> None:
    test, lease_id = one_test()
    assert test.tested("a", lease_id, blocks(1, 0), 1.0)
    assert test.finished and set(test.blocks) == {0, 1}


@pytest.mark.parametrize("bad", [(), blocks(0), blocks(0, 0), blocks(0, 2), blocks(0, 1, 2), blocks(0, 1, samples=0)])
def test_a_report_that_does_not_fit_its_lease_is_refused_and_issued_again(bad: tuple[BlockResult, ...]) -> None:
    test, lease_id = one_test()
    assert not test.tested("a", lease_id, bad, 1.0)
    assert test.blocks == {} and not test.finished
    assert test.issue(["a"], 1.0)


def test_a_test_lease_can_be_failed_by_its_own_executor_only() -> None:
    test, lease_id = one_test()
    assert not test.lease_failed("b", lease_id)
    assert test.lease_failed("a", lease_id)
    assert test.issue(["a"], 1.0)


def test_a_lost_executors_test_goes_to_another() -> None:
    test, lease_id = one_test()
    assert test.lost("a") == 1
    assert [order.executor for order in test.issue(["b"], 1.0) if isinstance(order, msg.SendTest)] == ["b"]
    test.tested("a", lease_id, blocks(0, 1), 1.0)
    assert not test.finished
