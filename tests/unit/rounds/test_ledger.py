from __future__ import annotations

from fedswarm.rounds.ledger import LeaseLedger


def test_pieces_go_out_in_shrinking_batches() -> None:
    ledger = LeaseLedger(range(16))
    sizes = []
    while leases := ledger.issue("a", 1, 0.0):
        sizes.append(len(leases))
        for lease in leases:
            ledger.complete(lease.lease_id, lease.executor, 0.0)
    assert sizes == [8, 4, 2, 1, 1]
    assert ledger.finished


def test_an_executor_with_work_in_hand_gets_no_more() -> None:
    ledger = LeaseLedger(range(16))
    assert len(ledger.issue("a", 2, 0.0)) == 4
    assert ledger.issue("a", 2, 0.0) == []
    assert len(ledger.issue("b", 2, 0.0)) == 3


def test_an_executor_down_to_its_last_lease_gets_the_next_ones() -> None:
    ledger = LeaseLedger(range(16))
    first, *rest = ledger.issue("a", 1, 0.0)
    for lease in rest:
        ledger.complete(lease.lease_id, lease.executor, 0.0)
    assert ledger.issue("a", 1, 0.0)
    assert first.executor == "a"


def test_only_the_first_report_of_a_lease_counts() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    assert ledger.complete(lease.lease_id, lease.executor, 0.0) == lease
    assert ledger.complete(lease.lease_id, lease.executor, 0.0) is None


def test_a_withdrawn_lease_is_issued_again_and_its_late_report_ignored() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    assert ledger.void(lease.lease_id)
    (again,) = ledger.issue("b", 1, 0.0)
    assert again.piece == "x"
    assert ledger.complete(lease.lease_id, lease.executor, 0.0) is None
    assert not ledger.finished


def test_a_done_piece_can_be_withdrawn_too() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    ledger.complete(lease.lease_id, lease.executor, 0.0)
    ledger.void(lease.lease_id)
    assert not ledger.finished
    assert ledger.done == ()


def test_an_executor_that_does_not_report_in_time_has_its_pieces_put_back() -> None:
    ledger = LeaseLedger(["x", "y"])
    early = ledger.issue("a", 1, 0.0)
    ledger.issue("b", 1, 8.0)
    assert ledger.expire(10.0, 5.0) == early
    assert [lease.piece for lease in ledger.issue("b", 2, 10.0)] == ["x"]


def test_time_counts_from_the_last_report_so_a_long_queue_is_not_late() -> None:
    ledger = LeaseLedger(range(8))
    leases = ledger.issue("a", 1, 0.0)
    ledger.complete(leases[0].lease_id, "a", 4.0)
    assert ledger.expire(8.0, 5.0) == []
    assert ledger.expire(9.5, 5.0) == leases[1:]


def test_the_first_report_of_an_overdue_piece_wins_whoever_sends_it() -> None:
    ledger = LeaseLedger(["x"])
    (slow,) = ledger.issue("a", 2, 0.0)
    ledger.expire(10.0, 5.0)
    (again,) = ledger.issue("b", 2, 10.0)
    assert ledger.complete(slow.lease_id, "a", 11.0) == slow
    assert ledger.complete(again.lease_id, "b", 12.0) is None
    assert ledger.finished and ledger.done == (slow,)


def test_an_overdue_report_is_ignored_when_another_was_faster() -> None:
    ledger = LeaseLedger(["x"])
    (slow,) = ledger.issue("a", 2, 0.0)
    ledger.expire(10.0, 5.0)
    (again,) = ledger.issue("b", 2, 10.0)
    ledger.complete(again.lease_id, "b", 11.0)
    assert ledger.complete(slow.lease_id, "a", 12.0) is None
    assert ledger.done == (again,)


def test_a_piece_that_came_back_goes_to_somebody_else_first() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 2, 0.0)
    ledger.void(lease.lease_id)
    assert ledger.issue("a", 2, 0.0) == []
    assert [again.piece for again in ledger.issue("b", 2, 0.0)] == ["x"]


def test_a_lone_executor_gets_its_own_piece_back() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    ledger.void(lease.lease_id)
    assert [again.piece for again in ledger.issue("a", 1, 0.0)] == ["x"]


def test_only_who_holds_a_lease_can_report_it() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 2, 0.0)
    assert ledger.complete(lease.lease_id, "b", 0.0) is None
    assert not ledger.finished


def test_an_executor_that_is_gone_reports_nothing_any_more() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 2, 0.0)
    ledger.expire(10.0, 5.0)
    ledger.forget("a")
    assert ledger.complete(lease.lease_id, "a", 11.0) is None
