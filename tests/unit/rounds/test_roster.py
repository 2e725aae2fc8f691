from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds.messages import ExecutorJoined
from fedswarm.rounds.roster import Roster

FIRST = ExecutorJoined("1", "h:1", Layout((TensorSpec("w", (4,)),)), {3: 10, 1: 20}, 2)
SECOND = replace(FIRST, executor="2", target="h:2")


def roster_of(*members: ExecutorJoined, own_clients: bool = False) -> Roster:
    roster = Roster(own_clients=own_clients)
    for member in members:
        assert roster.misfit(member) == ""
        roster.add(member)
    return roster


def test_the_first_executor_fits_whatever_it_brings() -> None:
    assert Roster(own_clients=False).misfit(FIRST) == ""


def test_executors_are_named_in_order_and_counted() -> None:
    roster = roster_of(SECOND, FIRST)
    assert roster.executors == ["1", "2"] and len(roster) == 2 and "1" in roster and "3" not in roster


def test_the_population_is_by_ascending_id() -> None:
    population = roster_of(FIRST).population
    assert population.client_ids.tolist() == [1, 3] and population.samples == {1: 20, 3: 10}


def test_another_model_does_not_fit() -> None:
    other = replace(SECOND, layout=Layout((TensorSpec("v", (4,)),)))
    assert "other tensors" in roster_of(FIRST).misfit(other)


def test_other_test_data_does_not_fit() -> None:
    assert "other test data" in roster_of(FIRST).misfit(replace(SECOND, test_blocks=3))


def test_in_simulation_all_hold_the_same_clients_with_the_same_samples() -> None:
    roster = roster_of(FIRST)
    assert "other clients" in roster.misfit(replace(SECOND, clients={3: 10}))
    assert "other clients" in roster.misfit(replace(SECOND, clients={3: 10, 1: 21}))


def test_what_must_agree_outlives_the_executor_that_came_first() -> None:
    roster = roster_of(FIRST)
    assert roster.remove("1") and not roster.remove("1")
    assert roster.executors == [] and "other clients" in roster.misfit(replace(SECOND, clients={9: 1}))


def test_in_deployment_newcomers_bring_clients_of_their_own() -> None:
    roster = roster_of(FIRST, replace(SECOND, clients={7: 5}), own_clients=True)
    assert roster.population.samples == {1: 20, 3: 10, 7: 5}
    assert roster.hosts == {1: "1", 3: "1", 7: "2"}


def test_in_deployment_nobody_takes_the_client_of_somebody_present() -> None:
    roster = roster_of(FIRST, own_clients=True)
    assert "client 1 is held by executor 1 already" in roster.misfit(replace(SECOND, clients={1: 20}))


def test_in_deployment_a_client_may_move_once_its_host_is_gone() -> None:
    roster = roster_of(FIRST, own_clients=True)
    roster.remove("1")
    moved = replace(SECOND, clients={1: 20})
    assert roster.misfit(moved) == ""
    roster.add(moved)
    assert roster.hosts[1] == "2"


def test_clients_of_executors_that_left_are_not_connected_but_known() -> None:
    roster = roster_of(FIRST, replace(SECOND, clients={7: 5}), own_clients=True)
    roster.remove("1")
    np.testing.assert_array_equal(roster.connected_clients(), [7])
    assert set(roster.population.samples) == {1, 3, 7}


def test_nobody_is_connected_to_an_empty_roster() -> None:
    connected = Roster(own_clients=True).connected_clients()
    assert connected.tolist() == [] and connected.dtype == np.int64
