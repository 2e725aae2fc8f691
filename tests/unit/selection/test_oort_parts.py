"""The parts of Oort against the golden values of its published code and against the paper's claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.selection.oort.blacklist import blacklisted
from fedswarm.selection.oort.exploitation import exploit, pool
from fedswarm.selection.oort.exploration import ExplorationSchedule, device_speed, explore
from fedswarm.selection.oort.pacer import PercentilePacer, SecondsPacer
from fedswarm.selection.oort.score import normalised, slowness_penalty, uncertainty

# Five clients in round 10 with a preferred duration of 358 s and a clip at the 0.9 quantile.
REWARDS = np.asarray([120.0, 80.0, 60.0, 300.0, 0.0])
DURATIONS_S = np.asarray([200.0, 400.0, 100.0, 358.0, 900.0])
LAST_ROUNDS = np.asarray([9, 7, 2, 9, 8])
NORMALISED = [0.4, 0.266667, 0.2, 1.0, 0.0]
UNCERTAINTY = [0.159951, 0.181367, 0.339307, 0.159951, 0.169654]
PENALTY = [1.0, 0.801025, 1.0, 1.0, 0.158227]
SCORES = [0.559951, 0.358886, 0.539307, 1.159951, 0.026844]
DRAW_SHARES = [0.211707, 0.135688, 0.203902, 0.438555, 0.010149]


def draws(key: int = 0) -> np.random.Generator:
    return np.random.default_rng(key)


def golden_scores() -> np.ndarray:
    value = normalised(REWARDS, 0.9, by_largest=True) + uncertainty(10, LAST_ROUNDS)
    return value * slowness_penalty(DURATIONS_S, 358.0, 2.0)


# Scores


def test_golden_scores_of_the_reference() -> None:
    np.testing.assert_allclose(normalised(REWARDS, 0.9, by_largest=True), NORMALISED, atol=1e-6)
    np.testing.assert_allclose(uncertainty(10, LAST_ROUNDS), UNCERTAINTY, atol=1e-6)
    np.testing.assert_allclose(slowness_penalty(DURATIONS_S, 358.0, 2.0), PENALTY, atol=1e-6)
    np.testing.assert_allclose(golden_scores(), SCORES, atol=1e-6)


def test_exactly_the_preferred_duration_is_not_penalised() -> None:
    assert slowness_penalty(np.asarray([358.0]), 358.0, 2.0)[0] == 1.0


@given(
    st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30),
    st.floats(0.01, 1e6) | st.just(math.inf),
    st.floats(0, 4),
)
def test_a_penalty_is_never_a_reward_and_grows_with_duration(
    durations: list[float], preferred: float, exponent: float
) -> None:
    """Defect D10, in Bliss: the ratio was turned round."""
    penalties = slowness_penalty(np.sort(np.asarray(durations)), preferred, exponent)
    assert np.all((penalties >= 0) & (penalties <= 1))
    assert np.all(np.diff(penalties) <= 0)


def test_an_unknown_duration_is_not_penalised() -> None:
    assert slowness_penalty(np.asarray([math.nan]), 1.0, 2.0)[0] == 1.0


def test_uncertainty_grows_while_a_client_is_left_alone() -> None:
    assert np.all(np.diff(uncertainty(50, np.asarray([49, 30, 10, 1]))) > 0)
    assert uncertainty(60, np.asarray([10]))[0] > uncertainty(50, np.asarray([10]))[0]


def test_an_outlier_is_capped_by_the_papers_clip_and_flattens_all_others_in_the_reference() -> None:
    utilities = np.append(np.linspace(1, 10, 99), 1e9)
    assert normalised(utilities, 0.95, by_largest=False)[-1] == 1.0
    assert np.ptp(normalised(utilities, 0.95, by_largest=False)[:90]) > 0.5
    assert np.ptp(normalised(utilities, 0.95, by_largest=True)[:90]) < 1e-6


@given(st.lists(st.floats(0, 1e9), max_size=40), st.floats(0, 1), st.booleans())
def test_normalised_utilities_keep_their_order(utilities: list[float], clip: float, by_largest: bool) -> None:
    scaled = normalised(np.sort(np.asarray(utilities, dtype=np.float64)), clip, by_largest=by_largest)
    assert np.all(np.diff(scaled) >= 0)
    assert np.all((scaled >= 0) & (scaled <= 1 + 1e-9))


# Exploitation


def test_golden_pool_and_draw_shares_of_the_reference() -> None:
    """The last client is below the cut-off, but the pool has fewer than ten times as many as are needed."""
    scores = golden_scores()
    assert sorted(pool(scores, 2, 0.05, reference=True)) == [0, 1, 2, 3, 4]
    firsts = np.bincount([exploit(draws(key), scores, 1, 0.05, reference=True)[0] for key in range(4000)], minlength=5)
    np.testing.assert_allclose(firsts / 4000, DRAW_SHARES, atol=0.025)


def test_the_papers_pool_ends_at_the_cut_off() -> None:
    scores = np.asarray([1.0, 0.9, 0.86, 0.85, 0.5])
    assert sorted(pool(scores, 2, 0.95, reference=False)) == [0, 1, 2]  # 0.95 x 0.9 = 0.855


def test_the_references_pool_runs_on_to_ten_times_what_is_needed() -> None:
    scores = np.linspace(1, 0.001, 100)
    assert len(pool(scores, 2, 1.0, reference=True)) == 21


def test_a_pool_holds_the_best() -> None:
    scores = draws().random(500)
    for reference in (False, True):
        admitted = pool(scores, 20, 0.95, reference=reference)
        assert scores[admitted].min() >= np.delete(scores, admitted).max()


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_any_number_of_tried_clients_will_do(count: int, reference: bool) -> None:
    """Defect D9: the cut-off was looked up behind the last client."""
    for scores in (np.empty(0), np.zeros(5), golden_scores()):
        chosen = exploit(draws(), scores, count, 0.95, reference=reference)
        assert len(set(chosen.tolist())) == min(count, len(scores))


# Exploration


def test_golden_schedule_of_exploration() -> None:
    schedule = ExplorationSchedule(0.9, 0.98, 0.2)
    assert [round(schedule.share(r), 6) for r in (1, 2, 10)] == [0.882, 0.86436, 0.735366]
    assert schedule.split(1, 130, untried=1000, tried=1000) == (114, 16)


@pytest.mark.parametrize(("floor", "first"), [(0.3, 55), (0.2, 75), (0.1, 109)])
def test_the_share_reaches_its_floor_when_it_should(floor: float, first: int) -> None:
    schedule = ExplorationSchedule(0.9, 0.98, floor)
    assert schedule.share(first) == floor < schedule.share(first - 1)


@given(st.integers(1, 200), st.integers(0, 300), st.integers(0, 200), st.integers(0, 200))
def test_what_one_side_lacks_the_other_provides(round_number: int, count: int, untried: int, tried: int) -> None:
    explored, exploited = ExplorationSchedule(0.9, 0.98, 0.2).split(round_number, count, untried, tried)
    assert explored + exploited == min(count, untried + tried)
    assert 0 <= explored <= untried
    assert 0 <= exploited <= tried


SPEEDS = np.asarray([4.0, 2.0, 1.0, 1.0])


def first_explored(speeds: np.ndarray) -> np.ndarray:
    """How often each client is explored first."""
    return np.bincount([explore(draws(key), speeds, 1)[0] for key in range(4000)], minlength=len(speeds)) / 4000


def test_who_was_never_tried_is_explored_by_speed() -> None:
    np.testing.assert_allclose(first_explored(SPEEDS), SPEEDS / SPEEDS.sum(), atol=0.025)


def test_without_speeds_all_are_explored_alike() -> None:
    np.testing.assert_allclose(first_explored(np.where(SPEEDS == 2.0, np.nan, SPEEDS)), 0.25, atol=0.025)


def test_a_devices_speed_weighs_computing_and_transfers_alike() -> None:
    profiles = {
        "cpu_flops": np.asarray([4e9, 8e9, 4e9]),
        "gpu_flops": np.asarray([0.0, 8e9, 0.0]),
        "peak_throughput_mbps": np.asarray([100.0, 100.0, 400.0]),
    }
    assert device_speed(profiles).tolist() == [20.0, 40.0, 40.0]


# Blacklist


def test_the_most_often_chosen_are_left_out_up_to_a_cap() -> None:
    """Defect D9: the cap was a fraction of a client."""
    times = np.asarray([0, 12, 30, 11, 10, 40, 1])
    assert sorted(blacklisted(times, 10, 1.0)) == [1, 2, 3, 5]
    assert sorted(blacklisted(times, 10, 0.3)) == [2, 5]
    assert len(blacklisted(times, -1, 1.0)) == 0


# Pacer


def watched(pacer: PercentilePacer | SecondsPacer, *windows: float) -> object:
    for utility in windows:
        for _ in range(4):
            pacer.observe(utility)
    return pacer.describe().get("round_threshold", pacer.describe().get("t_budget"))


@pytest.mark.parametrize(("second", "percentile"), [(9.0, 35.0), (10.0, 30.0), (11.0, 30.0)])
def test_the_papers_pacer_relaxes_when_utility_falls(second: float, percentile: float) -> None:
    assert watched(PercentilePacer(4, 5.0, 30.0), 10.0, second) == percentile


@pytest.mark.parametrize(
    ("second", "budget_s"), [(10.0, 250.0), (9.0, 250.0), (8.9, 200.0), (2.0, 200.0), (59.0, 200.0), (60.0, 150.0)]
)
def test_the_references_pacer_relaxes_on_a_plateau_and_tightens_on_a_leap(second: float, budget_s: float) -> None:
    assert watched(SecondsPacer(4, 50.0, 200.0), 10.0, second) == budget_s


def test_the_budget_is_never_tightened_below_delta() -> None:
    assert watched(SecondsPacer(4, 150.0, 200.0), 1.0, 100.0) == 150.0
    assert watched(SecondsPacer(4, 150.0, 100.0), 1.0, 100.0) == 100.0


def test_windows_without_utility_move_no_budget() -> None:
    assert watched(SecondsPacer(4, 50.0, 200.0), 0.0, 10.0) == 200.0


def test_the_percentile_ends_at_a_hundred_where_nobody_is_slow() -> None:
    pacer = PercentilePacer(1, 40.0, 50.0)
    for utility in (4.0, 3.0, 2.0):
        pacer.observe(utility)
    assert pacer.describe()["round_threshold"] == 100.0
    assert pacer.preferred_s(np.asarray([1.0])) == math.inf


def test_the_percentile_looks_at_known_durations_alone() -> None:
    durations = np.asarray([math.nan, 50.0, 10.0, 40.0, math.nan, 20.0, 30.0])
    assert PercentilePacer(4, 5.0, 40.0).preferred_s(durations) == 30.0
    assert PercentilePacer(4, 5.0, 40.0).preferred_s(np.asarray([math.nan])) == math.inf
