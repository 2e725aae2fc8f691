"""Peers that come late, fall behind or lag: whose model they take over, and who waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fedswarm.rounds.decentralized import DecentralizedPeer
from fedswarm.rounds.peer_steps import (
    CatchUp,
    FetchModel,
    ModelFetched,
    ModelLost,
    ModelOffered,
    Started,
    UpdateOffered,
)

Make = Callable[..., Any]


def test_a_late_peer_takes_over_the_model_and_joins_the_next_round(village: Make) -> None:
    town = village("abcd", rounds=8)
    town.settle("a", "b", "c")
    town.settle("d", founders="abc", at_s=3.4)
    town.run()
    assert town.finished() == set("abcd")
    (caught_up,) = town.all["d"].caught_up
    assert (caught_up.left_round, caught_up.round) in [(0, 4), (0, 5)] and caught_up.source in "abc"
    assert np.allclose(town.models("abc"), town.all["d"].model, atol=1e-6)
    assert "d" in town.all["a"].orders[-1].others


def test_who_hears_how_far_the_others_are_before_it_begins_trains_nothing_in_vain(village: Make) -> None:
    town = village("ab")
    town.settle("a", founders="ab", at_s=1e9)
    machine: DecentralizedPeer = town.all["a"].machine
    machine.handle(UpdateOffered("b", 2, 20), 0.0)
    machine.handle(ModelOffered("b", 2), 0.0)
    (fetch,) = machine.handle(Started(), 0.1)
    assert isinstance(fetch, FetchModel) and (fetch.peer, fetch.exchange) == ("b", 2)


def test_a_model_that_its_owner_has_forgotten_meanwhile_is_not_waited_for(village: Make) -> None:
    town = village("ab", rounds=9)
    town.settle("a", founders="ab", at_s=1e9)
    machine: DecentralizedPeer = town.all["a"].machine
    machine.handle(UpdateOffered("b", 2, 20), 0.0)
    machine.handle(ModelOffered("b", 2), 0.0)
    machine.handle(Started(), 0.0)
    assert machine.handle(ModelOffered("b", 3), 0.1) == []  # the one before the last is still to be had
    (fetch,) = machine.handle(ModelOffered("b", 4), 0.2)
    assert isinstance(fetch, FetchModel) and fetch.exchange == 4
    assert machine.handle(ModelLost("b", 2), 0.3) == []
    assert machine.handle(ModelFetched("b", 2), 0.3) == []
    caught_up, *_ = machine.handle(ModelFetched("b", 4), 0.4)
    assert caught_up == CatchUp("b", 0, 4)


def test_who_lags_by_a_moment_is_waited_for_in_the_next_exchange(village: Make) -> None:
    """``b`` begins when ``a`` has given up on it, and would be late for every exchange."""
    town = village("ab", rounds=4, quorum=0.0)
    town.settle("a", founders="ab")
    town.settle("b", founders="ab", at_s=10.05)
    town.run()
    assert [order.others for order in town.all["a"].orders] == [("b",)] * 4
    assert town.all["a"].orders[0].total_weight == 20 and town.all["a"].orders[1].total_weight == 30
    assert np.allclose(town.all["a"].model, town.all["b"].model, atol=1e-6)


def test_nobody_stops_for_a_late_peer(village: Make) -> None:
    town = village("abcd", rounds=8)
    town.settle("a", "b", "c")
    town.settle("d", founders="abc", at_s=3.4)
    town.all["d"].train_s = 3.0
    town.run(until_s=6.4)
    assert min(len(town.all[name].rounds) for name in "abc") == 6


def test_a_peer_that_fell_behind_goes_on_with_the_others(village: Make) -> None:
    town = village("abc", rounds=8, deadline_s=2.0, quorum=0.0)
    town.settle("a", "b", "c")
    town.all["a"].train_s = 7.5
    town.after(7.0, lambda: setattr(town.all["a"], "train_s", 1.0))
    town.run()
    assert town.finished() == set("abc")
    assert len(town.all["a"].caught_up) == 1
    assert town.all["a"].rounds[-1] == 7
    assert np.allclose(town.models("abc"), town.all["a"].model, atol=1e-6)


def test_who_comes_after_the_end_takes_over_the_final_model(village: Make) -> None:
    town = village("abc", rounds=2, deadline_s=5.0)
    town.settle("a", "b", founders="abc")
    town.all["b"].train_s = 4.0
    town.kill("b", at_s=13.0)
    town.settle("c", founders="abc", at_s=12.0)
    town.run()
    assert "c" in town.finished() and town.all["c"].tested[-1] == 2


def test_where_no_model_can_be_had_a_late_peer_goes_on_with_its_own(village: Make) -> None:
    town = village("abc", rounds=12, deadline_s=2.0)
    town.settle("a", "b")
    town.settle("c", founders="ab", at_s=3.4)
    town.models_travel = False
    town.run()
    assert town.finished() == set("abc")
    assert [caught_up.source for caught_up in town.all["c"].caught_up] == [""]
    assert np.allclose(town.all["a"].model, town.all["c"].model, atol=1e-6)


@pytest.mark.parametrize("model_s", [0.3, 1.1, 1.9, 2.3, 4.0, 6.0])
def test_a_late_peer_joins_the_others_however_many_exchanges_a_model_travels(village: Make, model_s: float) -> None:
    """An exchange takes a second, and models that do not last are forgotten after two."""
    town = village("abcd", rounds=20)
    town.settle("a", "b", "c")
    town.settle("d", founders="abc", at_s=3.4)
    town.model_s = model_s
    town.run()
    assert town.finished() == set("abcd")
    (caught_up,) = town.all["d"].caught_up
    assert caught_up.source != ""
    joined = [order.exchange for order in town.all["a"].orders if order.exchange > 3 and "d" in order.others]
    assert joined == list(range(caught_up.round + 1, 20))
    assert np.allclose(town.models("abc"), town.all["d"].model, atol=1e-6)


def fetching_slowly(village: Make) -> DecentralizedPeer:
    """A peer that came late and fetches the model of exchange 2 from the instant 0 on."""
    town = village("ab", rounds=9)
    town.settle("a", founders="ab", at_s=1e9)
    machine: DecentralizedPeer = town.all["a"].machine
    machine.handle(UpdateOffered("b", 2, 20), 0.0)
    machine.handle(ModelOffered("b", 2, lasts=True), 0.0)
    machine.handle(Started(), 0.0)
    return machine


def test_who_fetched_slowly_goes_on_where_the_others_train_next(village: Make) -> None:
    machine = fetching_slowly(village)
    machine.handle(UpdateOffered("b", 6, 20), 1.0)
    caught_up, begin, train = machine.handle(ModelFetched("b", 2), 1.0)
    assert caught_up == CatchUp("b", 0, 7)
    assert (begin.exchange, train.round) == (7, 7)


def test_who_fetched_until_the_last_exchange_takes_part_in_that(village: Make) -> None:
    machine = fetching_slowly(village)
    machine.handle(UpdateOffered("b", 8, 20), 1.0)
    caught_up, *_ = machine.handle(ModelFetched("b", 2), 1.0)
    assert caught_up == CatchUp("b", 0, 8)


def test_who_fetched_until_the_others_were_done_looks_for_their_final_model(village: Make) -> None:
    machine = fetching_slowly(village)
    machine.handle(UpdateOffered("b", 9, 20), 1.0)
    machine.handle(ModelOffered("b", 9), 1.0)
    caught_up, fetch = machine.handle(ModelFetched("b", 2), 1.0)
    assert caught_up == CatchUp("b", 0, 2)
    assert isinstance(fetch, FetchModel) and (fetch.exchange, fetch.deadline_s) == (9, 11.0)
