"""The round machine when each executor is one real client."""

from __future__ import annotations

from typing import Any

import pytest

from fedswarm.jobs.schema import Job
from fedswarm.records import schema as records
from fedswarm.rounds import messages as msg
from fedswarm.rounds.phase import Phase
from tests.unit.rounds.rehearsal import DeployedRehearsal, job


def deployed_job(**changes: Any) -> Job:
    return job(
        **{"experiment_mode": "deployment", "cluster": {"executors": 5}, "selection": {"participants": 3}, **changes}
    )


@pytest.mark.parametrize("participants", [5, 3])
def test_deployed_clients_train_on_their_own_executor_only(participants: int) -> None:
    """Known also of stragglers that have not reported when the round ends."""
    selection = {"participants": participants, "overcommitment": 5 / participants}
    rehearsal = DeployedRehearsal(deployed_job(selection=selection), seed=0)
    rehearsal.run()
    for info in rehearsal.tagged(records.ClientInfo):
        assert all(o.executor_id == f"e{client}" for client, o in info.clients.items())


def test_a_deployed_round_ends_with_the_kth_success_and_the_rest_are_stragglers() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=3), seed=0)
    rehearsal.run()
    for summary in rehearsal.tagged(records.RoundSummary):
        assert len(summary.completed) == 3
        assert summary.sampled_clients == 3 + len(summary.stragglers) + len(summary.dropped)


def test_a_deployed_client_that_dies_is_dropped_and_the_round_goes_on() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=1, selection={"participants": 5}), seed=0)
    for _ in range(5):
        rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())
    rehearsal.kill("e4")
    while rehearsal.finish is None:
        busy = next(e for e in rehearsal.executors.values() if e.outbox)
        rehearsal.deliver(busy.outbox.popleft())
    summary = rehearsal.tagged(records.RoundSummary)[0]
    assert list(summary.dropped) == [4]
    assert summary.completed == [1, 2, 3, 5]


def test_a_deployed_run_waits_for_clients_when_all_have_left() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=1, cluster={"executors": 1}), seed=0)
    rehearsal.join()
    rehearsal.deliver(rehearsal.executors["e1"].outbox.popleft())
    rehearsal.kill("e1")
    assert rehearsal.machine.phase is Phase.WAITING
    rehearsal.join()
    while rehearsal.finish is None:
        rehearsal.deliver(rehearsal.executors["e2"].outbox.popleft())
    assert rehearsal.tagged(records.RoundSummary)[0].completed == [2]


def test_a_deployed_clients_upload_is_the_measured_way_of_its_sum() -> None:
    rehearsal = DeployedRehearsal(deployed_job(rounds=1), seed=0)
    deliver = rehearsal.deliver

    def timed(event: msg.Event) -> None:
        deliver(msg.SumFetched(event.order_id, 2.5) if isinstance(event, msg.SumFetched) else event)

    rehearsal.deliver = timed  # type: ignore[method-assign]
    rehearsal.run()
    info, summary = rehearsal.tagged(records.ClientInfo)[0], rehearsal.tagged(records.RoundSummary)[0]
    assert {info.clients[client].times.upload_s for client in summary.completed} == {2.5}
    assert summary.duration_s == max(info.clients[client].times.total_s for client in summary.completed)
