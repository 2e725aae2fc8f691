import numpy as np
import pytest

from fedswarm.devices.device_catalogue import load_catalogue
from fedswarm.devices.synthesis import TraceDensity, synthesize_population
from fedswarm.devices.traced import TracedDevices
from fedswarm.jobs.bliss_sections import BlissSection
from fedswarm.jobs.schema import Job
from fedswarm.selection.bliss.candidates import learning_rows, most_useful, newcomers
from fedswarm.selection.bliss.make import make_bliss
from fedswarm.selection.bliss.policy import BlissSelector
from fedswarm.selection.bliss.ranking import picks
from fedswarm.selection.bliss.reward import rewards
from fedswarm.selection.conformance import CHECKS, resumes_as_if_nothing_had_happened, stored
from fedswarm.selection.contract import Feedback, Moment

POPULATION = synthesize_population(seed=4, devices=40, density=TraceDensity(20, 10))
CATALOGUE = load_catalogue()
NOBODY = np.empty(0, dtype=np.int64)
SMALL = {"mlp": {"hidden_layers": "8", "epochs": 3}, "xgboost": {"n_estimators": 5}}


def random(seed=1):
    return np.random.default_rng(seed)


def selector(seed=1, clients=60, *, adaptive=False, sink=None, t_budget_s=100.0, model="linreg", **settings):
    regressor = {"model": model, **SMALL}
    section = BlissSection.model_validate({"g": regressor, "h": regressor, **settings})
    bliss = BlissSelector(section, seed, t_budget_s, adaptive=adaptive, catalogue=CATALOGUE, sink=sink)
    ids = np.arange(clients)
    bliss.register_clients(ids, np.full(clients, 50), TracedDevices(ids, POPULATION, seed=1))
    return bliss


def moment(draw, online=60):
    return Moment(600.0 * draw, draw, draw, np.arange(online))


def play(bliss, first, last, utility, success=lambda ids: np.ones(len(ids), dtype=bool), count=10, online=60):
    """Rounds in which everybody's utility is a function of its id; returns the choices."""
    choices = []
    for draw in range(first, last):
        chosen = bliss.select_participants(count, moment(draw, online))
        good = success(chosen)
        worth = np.where(good, utility(chosen), np.nan)
        took = np.full(len(chosen), 50.0)
        bliss.register_feedback(Feedback.of(draw, chosen, success=good, utility=worth, duration_s=took))
        choices.append(chosen)
    return choices


def contender(seed, model="linreg", **settings):
    few = {"predict_candidates": 8, "refresh_candidates": 9, "predict_rows": 15, "refresh_rows": 12, "pacer_step": 5}
    return selector(seed, clients=0, t_budget_s=60.0, model=model, **few, **settings)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fidelity", ["paper", "reference"])
def test_bliss_keeps_the_contract(check, fidelity):
    check(lambda seed: contender(seed, fidelity=fidelity))


@pytest.mark.parametrize("settings", [{"model": "mlp", "ranking": "weighted"}, {"model": "xgboost"}])
def test_bliss_resumes_with_any_regressor(settings):
    resumes_as_if_nothing_had_happened(lambda seed: contender(seed, **settings))


# Candidates, ranking, reward


def test_newcomers_are_drawn_without_repetition():
    drawn = newcomers(np.arange(50), 20, random())
    assert len(set(drawn.tolist())) == 20


def test_nobody_new_is_no_error():
    assert len(newcomers(NOBODY, 20, random())) == 0


def test_the_most_useful_come_in_order_and_ties_go_to_the_smaller():
    assert most_useful(np.arange(10, 16), np.asarray([5.0, 1, 5, 9, 5, 0]), 3).tolist() == [10, 12, 13]


def test_rows_to_learn_from_are_drawn_by_utility():
    utility = np.where(np.arange(1000) < 500, 1e-9, 10.0)
    drawn = learning_rows(np.arange(1000), utility, 400, random())
    assert np.all(drawn >= 500)
    assert np.all(np.diff(drawn) > 0)


def test_the_top_are_the_largest_and_ties_keep_their_order():
    assert picks(np.asarray([1.0, 3, 3, 2, 3]), 3, "top", random()).tolist() == [1, 2, 4]


def test_weighted_picks_follow_the_predictions():
    counts = np.zeros(3)
    for seed in range(2000):
        counts[picks(np.asarray([1.0, 2.0, 5.0]), 1, "weighted", random(seed))] += 1
    np.testing.assert_allclose(counts / 2000, [0.125, 0.25, 0.625], atol=0.04)


def test_a_client_that_is_expected_to_be_worth_nothing_can_fill_a_round():
    assert sorted(picks(np.asarray([0.0, -3.0, 5.0]), 3, "weighted", random()).tolist()) == [0, 1, 2]


def outcome(durations_s, success=True):
    count = len(durations_s)
    return Feedback.of(
        0,
        np.arange(count),
        success=np.full(count, success),
        utility=np.full(count, 8.0),
        duration_s=np.asarray(durations_s, dtype=float),
    )


def test_slow_clients_are_penalised_and_never_rewarded():
    durations = [1.0, 100.0, 200.0, 400.0, np.nan]
    assert rewards(outcome(durations), 100.0, 2.0, failures_apart=True).tolist() == [8, 8, 2, 0.5, 8]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0])
def test_a_reward_is_never_above_the_utility(exponent):
    durations = random().uniform(0, 1000, 500)
    assert np.all(rewards(outcome(durations), 100.0, exponent, failures_apart=True) <= 8.0)


def test_a_straggler_that_was_trained_has_a_utility_to_learn_from_but_not_as_published():
    late = outcome([50.0], success=False)
    assert rewards(late, 100.0, 2.0, failures_apart=True).tolist() == [8]
    assert rewards(late, 100.0, 2.0, failures_apart=False).tolist() == [0]


def test_with_adaptive_training_the_slow_are_not_penalised():
    for adaptive, worth in ((True, 8.0), (False, 2.0)):
        bliss = selector(adaptive=adaptive)
        (client, *_) = chosen = bliss.select_participants(5, moment(0))
        slow = {"success": np.ones(5, dtype=bool), "utility": np.full(5, 8.0), "duration_s": np.full(5, 200.0)}
        bliss.register_feedback(Feedback.of(0, chosen, **slow))
        assert bliss.metrics()["avg_util"] == pytest.approx(worth), client


# The policy


def test_the_first_round_takes_the_first_of_a_random_list():
    assert selector(seed=1).select_participants(10, moment(0)).tolist() != list(range(10))


def test_too_few_candidates_are_filled_up_with_others_online():
    bliss = selector(predict_candidates=3, refresh_candidates=2)
    chosen = bliss.select_participants(10, moment(0, online=12))
    assert len(chosen) == 10
    assert chosen.max() < 12


def test_clients_worth_more_are_chosen_more_often():
    bliss = selector(predict_candidates=20)
    choices = play(bliss, 0, 40, lambda ids: 10.0 + 50 * (ids % 4 == 0))
    late = np.concatenate(choices[25:])
    assert np.mean(late % 4 == 0) > 0.5


def test_clients_that_never_count_are_left_alone():
    bliss = selector(predict_candidates=20)
    choices = play(bliss, 0, 40, lambda ids: np.full(len(ids), 10.0), success=lambda ids: ids % 2 == 0)
    assert np.mean(np.concatenate(choices[25:]) % 2 == 1) < 0.2


def test_while_h_knows_nothing_g_predicts_those_seen_but_not_as_published():
    for fidelity, nought in (("paper", False), ("reference", True)):
        bliss = selector(fidelity=fidelity)
        play(bliss, 0, 1, lambda ids: np.full(len(ids), 10.0))
        bliss.select_participants(10, moment(1))
        seen = bliss.predicted_utilities()["bliss_pred_seen"]
        assert len(seen) == 10
        assert (not any(seen.values())) == nought


def test_predictions_cover_all_candidates_not_only_the_picked():
    bliss = selector(predict_candidates=25, refresh_candidates=7)
    play(bliss, 0, 2, lambda ids: ids + 1.0)
    bliss.select_participants(10, moment(2))
    predicted = bliss.predicted_utilities()
    assert (len(predicted["bliss_pred_unseen"]), len(predicted["bliss_pred_seen"])) == (25, 7)


def test_the_pacer_gives_more_time_when_utility_is_flat():
    bliss = selector(pacer_step=3, pacer_delta=20.0)
    play(bliss, 0, 5, lambda ids: np.full(len(ids), 10.0))
    assert bliss.t_budget_s == 100
    play(bliss, 5, 6, lambda ids: np.full(len(ids), 10.0))
    assert bliss.t_budget_s == 120
    bliss.select_participants(10, moment(6))
    paced = {"t_budget": 120, "t_budget_before": 100, "pacer_step": 3, "pacer_delta": 20}
    assert bliss.describe() == {"algo": "bliss", "round": 7, **paced}


def test_rounds_in_which_nobody_counts_are_not_a_fall_of_utility():
    bliss = selector(pacer_step=3, pacer_delta=20.0)
    nobody = {"success": lambda ids: np.zeros(len(ids), dtype=bool)}
    for first, outcome in ((0, {}), (3, nobody), (6, {})):
        play(bliss, first, first + 3, lambda ids: np.full(len(ids), 10.0), **outcome)
    assert bliss.t_budget_s == 120


def test_the_pacer_takes_time_away_when_utility_leaps():
    bliss = selector(pacer_step=3, pacer_delta=20.0)
    play(bliss, 0, 3, lambda ids: np.full(len(ids), 1.0))
    play(bliss, 3, 6, lambda ids: np.full(len(ids), 6.5))
    assert bliss.t_budget_s == 80


def test_metrics_look_at_the_round_before():
    bliss = selector()
    play(bliss, 0, 2, lambda ids: np.full(len(ids), 10.0), success=lambda ids: ids % 2 == 0)
    metrics = bliss.metrics()
    assert metrics["round"] == 2
    assert len(metrics["utils_last_round"]) == 10
    assert len(metrics["succ_utils_last_round"]) == 10 - int(np.sum(np.asarray(metrics["utils_last_round"]) == 0))
    assert metrics["seen"] + metrics["unseen"] == 60
    assert metrics["avg_util_no_strag"] == 10


def test_rows_are_collected_as_the_regressors_learn_them():
    collected = []
    bliss = selector(sink=lambda *rows: collected.append(rows), predict_candidates=12)
    play(bliss, 0, 4, lambda ids: ids + 1.0, online=15)
    names = [(name, round_index) for name, round_index, *_ in collected]
    assert names[0] == ("g", 1)
    assert ("h", 3) in names
    for name, _, ids, features, targets in collected:
        assert features.shape == (len(ids), {"g": 79, "h": 82}[name])
        assert targets.shape == ids.shape


def test_a_client_takes_no_more_than_64_bytes():
    assert selector()._memory.clients.bytes_per_client <= 64


def test_a_job_makes_it():
    job = Job.model_validate({"selection": {"policy": "bliss", "t_budget_s": 77.0}})
    assert make_bliss(job).t_budget_s == 77


def test_clients_that_always_fail_are_learnt_from_even_when_rows_are_few():
    collected = []
    bliss = selector(sink=lambda *rows: collected.append(rows), predict_rows=10, predict_candidates=60)
    play(bliss, 0, 5, lambda ids: ids + 1.0, success=lambda ids: ids % 2 == 0, count=30)
    learnt = [ids for name, _, ids, *_ in collected if name == "g"]
    assert np.any(np.concatenate(learnt[1:]) % 2 == 1)


@pytest.mark.parametrize("model", ["linreg", "mlp", "xgboost"])
def test_a_state_taken_over_is_the_same_state(model):
    first, second = selector(model=model, pacer_step=2), selector(model=model, pacer_step=2)
    play(first, 0, 5, lambda ids: np.full(len(ids), 10.0), success=lambda ids: ids % 3 > 0)
    second.load_state_dict(stored(first.state_dict()))
    np.testing.assert_equal(stored(second.state_dict()), stored(first.state_dict()))
    assert second.describe() == first.describe()
    assert second.predicted_utilities() == first.predicted_utilities()
