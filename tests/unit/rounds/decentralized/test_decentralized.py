"""Jobs without an aggregator, played through in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.rounds.peer_steps import (
    Aggregate,
    EvaluateOwn,
    Finish,
    Publish,
    Train,
)

Make = Callable[..., Any]


def ring(names: str) -> Callable[[str, str], bool]:
    return lambda one, other: (names.index(one) - names.index(other)) % len(names) in (1, len(names) - 1)


def line(names: str) -> Callable[[str, str], bool]:
    return lambda one, other: abs(names.index(one) - names.index(other)) == 1


def all_equal(vectors: list[np.ndarray]) -> bool:
    return all(np.array_equal(vector, vectors[0]) for vector in vectors)


def federated_averaging(town: Any, names: str, rounds: int) -> np.ndarray:
    """What one aggregator would make of it, in float64."""
    model = np.zeros_like(town.wishes[names[0]], dtype=np.float64)
    weights = np.array([town.samples[name] for name in names])
    for _ in range(rounds):
        trained = np.array([model + (town.wishes[name] - model) / 2 for name in names])
        model = weights @ trained / weights.sum()
    return model


# ---- when everything arrives --------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["a", "ab", "abcdef"])
def test_peers_compute_what_an_aggregator_would(village: Make, names: str) -> None:
    town = village(names)
    town.settle(*names)
    town.run()
    assert town.finished() == set(names)
    assert all_equal(town.models(names))
    assert np.allclose(town.all["a"].model, federated_averaging(town, names, 3), atol=1e-6)


@pytest.mark.parametrize("shape", [ring, line])
def test_updates_of_everyone_arrive_over_any_connected_links(village: Make, shape: Any) -> None:
    town = village("abcdef", shape("abcdef"))
    town.settle(*"abcdef")
    town.run()
    assert town.finished() == set("abcdef")
    assert np.allclose(town.all["f"].model, federated_averaging(town, "abcdef", 3), atol=1e-6)


@pytest.mark.parametrize("shape", [ring, line])
def test_neighbours_average_with_neighbours_alone(village: Make, shape: Any) -> None:
    town = village("abcdef", shape("abcdef"), reach="neighbours")
    town.settle(*"abcdef")
    town.run()
    assert town.finished() == set("abcdef")
    linked = shape("abcdef")
    for villager in town.all.values():
        assert [set(order.others) for order in villager.orders] == [
            {other for other in "abcdef" if linked(villager.name, other)}
        ] * 3
    assert not all_equal(town.models("abcdef"))


def test_a_peer_of_neighbours_waits_for_its_first_link(village: Make) -> None:
    town = village("ab", reach="neighbours")
    town.settle("a", founders="ab")
    town.settle("b", founders="ab", at_s=3.0)
    town.run()
    assert [order.others for order in town.all["a"].orders] == [("b",)] * 3


def test_a_uniform_mean_counts_peers_and_not_samples(village: Make) -> None:
    town = village("ab", rounds=1, aggregation={"weighting": "uniform"})
    town.settle("a", "b")
    town.run()
    assert np.allclose(town.all["a"].model, (town.wishes["a"] + town.wishes["b"]) / 4, atol=1e-6)


def test_nobody_waits_when_all_is_there(village: Make) -> None:
    town = village("abcd", rounds=3)
    town.settle(*"abcd")
    town.run()
    assert town.over_s < 3 * (1.0 + 0.2)  # deadlines of 10 s play no part


def test_the_aggregate_is_tested_in_the_rounds_asked_for_and_at_the_end(village: Make) -> None:
    """Defect B15: peers tested before they aggregated, and the last round was never exchanged."""
    town = village("ab", rounds=5, evaluation_interval=2)
    town.settle("a", "b")
    town.run()
    villager = town.all["a"]
    assert villager.tested == [2, 4, 5]
    assert villager.rounds == [0, 1, 2, 3, 4]
    last_aggregate = villager.said_at(Aggregate)[-1]
    assert len(villager.orders) == 5 and max(villager.said_at(Train)) < last_aggregate


@pytest.mark.parametrize("asked", [True, False])
def test_own_weights_are_tested_in_the_same_rounds_if_the_job_asks_for_it(village: Make, asked: bool) -> None:
    town = village("ab", rounds=5, evaluation_interval=2, before_averaging=asked, aggregation={"consensus_every": 2})
    town.settle("a", "b")
    town.run()
    own = [said.round for _, said in town.all["a"].log if isinstance(said, EvaluateOwn)]
    assert own == ([1, 3, 4] if asked else [])
    assert town.all["a"].tested == [2, 4, 5]


def test_own_weights_are_offered_before_they_are_tested(village: Make) -> None:
    town = village("ab", rounds=1, before_averaging=True)
    town.settle("a", "b")
    town.run()
    said = [type(said) for _, said in town.all["a"].log]
    assert said.index(Publish) < said.index(EvaluateOwn) < said.index(Aggregate)


# ---- deadlines ----------------------------------------------------------------------------------------------------


def test_what_arrived_by_the_deadline_counts_chunk_by_chunk(village: Make) -> None:
    town = village("ab", rounds=1, quorum=0.0)
    town.settle("a", "b")
    town.all["b"].chunk_s = 3.0  # three of its five chunks come within 10 s
    town.run()
    half = town.wishes["a"] / 2
    both = (10 * town.wishes["a"] + 20 * town.wishes["b"]) / 60
    expected = np.concatenate([both[:24], half[24:]])
    assert np.allclose(town.all["a"].aggregates[0], expected, atol=1e-6)


@pytest.mark.parametrize(("missing", "share"), [("renormalise", 1.0), ("shrink", 1 / 3), ("capped", 0.5)])
def test_a_chunk_moves_by_the_rule_for_what_is_missing(village: Make, missing: str, share: float) -> None:
    town = village("ab", rounds=1, quorum=0.0, aggregation={"missing": missing, "missing_cap": 1.5})
    town.settle("a", "b")
    town.all["b"].chunk_s = 100.0
    town.run()
    assert np.allclose(town.all["a"].aggregates[0], share * town.wishes["a"] / 2, atol=1e-6)


def test_without_a_quorum_a_peer_waits_as_long_again(village: Make) -> None:
    """``a`` weighs 10 of 30: too little alone. The rest of ``b`` comes within the second deadline."""
    town = village("ab", rounds=1, quorum=0.5)
    town.settle("a", "b")
    town.all["b"].chunk_s = 3.0
    town.run()
    (order,) = town.all["a"].said_at(Aggregate)
    assert 15.0 < order < 21.0
    assert np.allclose(town.all["a"].aggregates[0], federated_averaging(town, "ab", 1), atol=1e-6)


def test_with_a_quorum_a_peer_goes_on_at_the_deadline(village: Make) -> None:
    town = village("ab", rounds=1, quorum=0.3)
    town.settle("a", "b")
    town.all["b"].chunk_s = 3.0
    town.run()
    assert town.all["a"].said_at(Aggregate) == [pytest.approx(11.0)]


def test_the_second_deadline_is_the_last(village: Make) -> None:
    town = village("ab", rounds=1, quorum=1.0)
    town.settle("a", "b")
    town.all["b"].chunk_s = 100.0
    town.run()
    assert town.all["a"].said_at(Aggregate) == [pytest.approx(21.0)]


# ---- peers that come and go ---------------------------------------------------------------------------------------


def test_a_silent_peer_costs_one_deadline_and_is_expected_no_more(village: Make) -> None:
    """Defect B17: with fewer participants than peers no round was ever complete."""
    town = village("abcd", rounds=4)
    town.settle(*"abcd")
    town.kill("d", at_s=1.5)  # in its second training
    town.run()
    assert town.finished() == set("abc")
    assert [set(order.others) for order in town.all["a"].orders] == [set("bcd"), set("bcd"), set("bc"), set("bc")]
    assert 12.0 < town.over_s < 16.0


def test_a_peer_that_takes_leave_is_not_waited_for(village: Make) -> None:
    town = village("abc", rounds=4)
    town.settle(*"abc")
    town.after(1.5, lambda: town.leave(town.all["c"]))
    town.run()
    assert town.finished() == set("ab")
    assert town.over_s < 6.0


def test_a_peer_left_alone_ends_alone(village: Make) -> None:
    town = village("abc", rounds=5)
    town.settle(*"abc")
    for name in "bc":
        town.kill(name, at_s=1.5)
    town.run()
    assert town.finished() == {"a"}
    assert town.all["a"].rounds == [0, 1, 2, 3, 4]


def test_founders_that_never_come_cost_two_deadlines(village: Make) -> None:
    """Nothing is known of them, so they count as usual and there is no quorum."""
    town = village("abcdef", rounds=2)
    town.settle("a", founders="abcdef")
    town.run()
    assert town.all["a"].said_at(Aggregate) == [pytest.approx(21.0), pytest.approx(22.0)]


def test_a_third_of_the_peers_dies_and_the_rest_goes_on_learning(village: Make) -> None:
    names = "abcdef"
    town = village(names, ring(names), rounds=6)
    town.settle(*names)
    for name in "cf":  # what is left of the ring are two halves
        town.kill(name, at_s=1.5)
    town.run()
    assert town.finished() == set("abde")
    for half in ("ab", "de"):
        assert all_equal(town.models(half))
        wishes = np.average([town.wishes[n] for n in half], axis=0, weights=[town.samples[n] for n in half])
        assert np.abs(town.all[half[0]].model - wishes).max() < 0.25 * np.abs(wishes).max()


# ---- consensus, refusals, farewell --------------------------------------------------------------------------------


def test_consensus_makes_all_equal_where_chunks_were_missed(village: Make) -> None:
    town = village("abcd", rounds=2, quorum=0.0, aggregation={"consensus_every": 1})
    town.settle(*"abcd")
    town.all["d"].chunk_s = 3.0  # nobody gets all of d's update, so a, b and c have other models than d
    town.after(11.5, lambda: setattr(town.all["d"], "chunk_s", 0.01))
    town.run()
    assert town.finished() == set("abcd")
    firsts = [town.all[name].aggregates[0] for name in "abcd"]
    assert not all_equal(firsts)
    assert all_equal([town.all[name].aggregates[3] for name in "abcd"])
    assert all_equal(town.models("abcd"))


def test_consensus_is_the_plain_mean_of_models(village: Make) -> None:
    town = village("ab", rounds=1, quorum=0.0, aggregation={"consensus_every": 1})
    town.settle("a", "b")
    for name in "ab":
        town.all[name].chunk_s = 100.0
        town.after(10.9, lambda name=name: setattr(town.all[name], "chunk_s", 0.01))
    town.run()
    both = np.mean([town.all[name].aggregates[0] for name in "ab"], axis=0)
    assert np.allclose(town.all["a"].aggregates[1], both, atol=1e-6)


def test_a_peer_with_another_initial_model_is_not_waited_for(village: Make) -> None:
    town = village("abc", rounds=2)
    town.settle(*"abc")
    for name in "ab":
        town.refuse(name, "c")
        town.refuse("c", name)
    town.run()
    assert town.finished() == set("abc")
    assert [order.others for order in town.all["a"].orders] == [("b",), ("b",)]
    assert [order.others for order in town.all["c"].orders] == [(), ()]
    assert town.over_s < 5.0


def test_peers_serve_until_all_have_said_farewell(village: Make) -> None:
    town = village("abc", rounds=1)
    town.settle(*"abc")
    town.all["c"].train_s = 5.0
    town.run()
    ends = [town.all[name].said_at(Finish)[0] for name in "abc"]
    assert max(ends) - min(ends) < 0.1


def test_farewells_have_a_deadline(village: Make) -> None:
    town = village("ab", rounds=1)
    town.settle("a", "b")
    town.after(1.06, lambda: setattr(town.all["b"], "is_up", False))  # it hangs: its links stand
    town.run()
    assert "a" in town.finished()
    assert town.over_s == pytest.approx(21.06)


# ---- whatever happens ---------------------------------------------------------------------------------------------

PACES = st.lists(st.floats(0.1, 30.0), min_size=5, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    train_s=PACES,
    chunk_s=PACES,
    arrivals=st.lists(st.floats(0.0, 60.0), min_size=3, max_size=3),
    deaths=st.lists(st.floats(0.0, 60.0), min_size=3, max_size=3),
    reach=st.sampled_from(["everyone", "neighbours"]),
    shape=st.sampled_from([ring, line]),
    quorum=st.sampled_from([0.0, 0.5, 1.0]),
    consensus_every=st.integers(0, 2),
)
def test_whoever_lives_finishes_and_no_wait_is_without_end(
    make_village: Make, train_s: Any, chunk_s: Any, arrivals: Any, deaths: Any, **settings: Any
) -> None:
    shape, consensus_every = settings.pop("shape"), settings.pop("consensus_every")
    town = make_village("abcde", shape("abcde"), aggregation={"consensus_every": consensus_every}, **settings)
    town.settle("a", "b", founders="abcde")
    for name, at_s in zip("cde", arrivals, strict=True):
        town.settle(name, founders="abcde", at_s=at_s)
    for name, villager_train_s, villager_chunk_s in zip("abcde", train_s, chunk_s, strict=True):
        town.all[name].train_s, town.all[name].chunk_s = villager_train_s, villager_chunk_s
    for name, at_s in zip("bcd", deaths, strict=True):
        town.kill(name, at_s)
    town.run()
    assert {"a", "e"} <= town.finished()
    exchanges = town.schedule.farewell + 1
    assert town.over_s <= arrivals[2] + exchanges * (max(train_s) + 4 * 10.0)
    for name in "ae":
        rounds = town.all[name].rounds
        assert rounds == sorted(set(rounds))
