from __future__ import annotations

from fedswarm.rounds.ledger import LeaseLedger


def test_pieces_go_out_in_shrinking_batches() -> None:
    ledger = LeaseLedger(range(16))
    sizes = []
    while leases := ledger.issue("a", 1, 0.0):
        sizes.append(len(leases))
        for lease in leases:
            ledger.complete(lease.lease_id)
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
        ledger.complete(lease.lease_id)
    assert ledger.issue("a", 1, 0.0)
    assert first.executor == "a"


def test_only_the_first_report_of_a_lease_counts() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    assert ledger.complete(lease.lease_id) == lease
    assert ledger.complete(lease.lease_id) is None


def test_a_withdrawn_lease_is_issued_again_and_its_late_report_ignored() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    assert ledger.withdraw(lease.lease_id)
    (again,) = ledger.issue("b", 1, 0.0)
    assert again.piece == "x"
    assert ledger.complete(lease.lease_id) is None
    assert not ledger.finished


def test_a_done_piece_can_be_withdrawn_too() -> None:
    ledger = LeaseLedger(["x"])
    (lease,) = ledger.issue("a", 1, 0.0)
    ledger.complete(lease.lease_id)
    ledger.withdraw(lease.lease_id)
    assert not ledger.finished
    assert ledger.done == ()


def test_overdue_leases_are_those_issued_too_long_ago() -> None:
    ledger = LeaseLedger(["x", "y"])
    early = ledger.issue("a", 1, 0.0)
    ledger.issue("b", 1, 8.0)
    assert ledger.overdue(10.0, 5.0) == early
