import sys

import numpy as np
import pytest

from fedswarm.errors import DependencyError
from fedswarm.jobs.bliss_sections import RegressorSection
from fedswarm.selection.bliss.outlook import Lesson, Outlook
from fedswarm.selection.bliss.regressor import make_regressor
from fedswarm.selection.bliss.ridge import Ridge

MODELS = ("linreg", "mlp", "xgboost")
SMALL = {"mlp": {"hidden_layers": "32,16", "learning_rate": 0.01}, "xgboost": {"n_estimators": 60}}


def section(model):
    return RegressorSection.model_validate({"model": model, **SMALL})


def random(seed=1):
    return np.random.default_rng(seed)


def population(rows, seed=0):
    """Utilities that depend on four of 78 features, the rest being noise or constant, as in a young run."""
    draws = np.random.default_rng(seed)
    features = draws.random((rows, 78)).astype(np.float32)
    features[:, 40:] = 0
    means = 20 + 30 * features[:, 0] + 20 * features[:, 5] * features[:, 6] - 10 * features[:, 12]
    return features, means + draws.normal(0, 3, rows)


@pytest.mark.parametrize("model", MODELS)
def test_regressors_beat_the_mean_predictor_on_clients_they_never_saw(model):
    features, utility = population(500)
    unseen, truth = population(500, seed=1)
    regressor = make_regressor(section(model))
    regressor.fit(features, utility, random())
    error = np.sqrt(np.mean((regressor.predict(unseen) - truth) ** 2))
    assert error < 0.6 * np.sqrt(np.mean((utility.mean() - truth) ** 2))


@pytest.mark.parametrize("model", MODELS)
def test_before_the_first_fit_predictions_are_zeros(model):
    assert make_regressor(section(model)).predict(np.ones((3, 5), dtype=np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("model", MODELS)
def test_no_rows_no_predictions(model):
    regressor = make_regressor(section(model))
    regressor.fit(*population(20), random())
    assert regressor.predict(np.zeros((0, 78), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize("model", MODELS)
def test_a_single_row_is_learnt_as_it_is(model):
    regressor = make_regressor(section(model))
    regressor.fit(np.ones((1, 5), dtype=np.float32), np.asarray([12.0]), random())
    assert regressor.predict(np.ones((1, 5), dtype=np.float32)) == pytest.approx([12.0], rel=0.01)


@pytest.mark.parametrize("model", MODELS)
def test_the_same_draws_give_the_same_model(model):
    rows = population(60)
    first, second = make_regressor(section(model)), make_regressor(section(model))
    first.fit(*rows, random())
    second.fit(*rows, random())
    np.testing.assert_array_equal(first.predict(rows[0]), second.predict(rows[0]))


@pytest.mark.parametrize("model", MODELS)
def test_a_fit_forgets_the_one_before(model):
    fresh, used = make_regressor(section(model)), make_regressor(section(model))
    used.fit(*population(60, seed=3), random(3))
    for regressor in (fresh, used):
        regressor.fit(*population(60), random())
    np.testing.assert_array_equal(fresh.predict(population(9)[0]), used.predict(population(9)[0]))


@pytest.mark.parametrize("model", MODELS)
def test_a_fitted_model_survives_its_state(model):
    features, utility = population(60)
    fitted, restored = make_regressor(section(model)), make_regressor(section(model))
    fitted.fit(features, utility, random())
    restored.load_state_dict(fitted.state_dict())
    np.testing.assert_array_equal(restored.predict(features), fitted.predict(features))


@pytest.mark.parametrize("model", MODELS)
def test_the_state_of_an_unfitted_model_unfits(model):
    fitted = make_regressor(section(model))
    fitted.fit(*population(20), random())
    fitted.load_state_dict(make_regressor(section(model)).state_dict())
    assert not fitted.predict(population(20)[0]).any()


def test_ridge_is_least_squares_where_that_is_unique():
    features, utility = population(500)
    features = features[:, :10]
    ridge = Ridge(1e-9)
    ridge.fit(features, utility, random())
    design = np.column_stack([features, np.ones(500)]).astype(np.float64)
    expected = design @ np.linalg.lstsq(design, utility, rcond=None)[0]
    np.testing.assert_allclose(ridge.predict(features), expected, rtol=1e-6)


def test_the_perceptrons_gradients_are_those_of_its_loss():
    from fedswarm.selection.bliss.perceptron import L2_PENALTY

    draws = random()
    network = make_regressor(
        RegressorSection.model_validate({"model": "mlp", "mlp": {"hidden_layers": "4", "epochs": 1}})
    )
    network.fit(draws.random((6, 3)).astype(np.float32), draws.random(6), draws)
    inputs, wanted = np.column_stack([draws.random((6, 3)), np.ones(6)]), draws.random((6, 1))

    def loss():
        penalty = sum(float(np.sum(layer[:-1] ** 2)) for layer in network._layers)
        return 0.5 * np.mean((network._forward(inputs)[-1] - wanted) ** 2) + 0.5 * L2_PENALTY / 6 * penalty

    for layer, gradient in zip(network._layers, network._gradients(inputs, wanted), strict=True):
        for place in np.ndindex(layer.shape):
            kept = layer[place]
            layer[place] = kept + 1e-6
            above = loss()
            layer[place] = kept - 1e-6
            below = loss()
            layer[place] = kept
            assert gradient[place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_xgboost_that_is_not_installed_is_told_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(DependencyError, match=r"pip install 'fedswarm\[bliss\]'.*linreg or mlp"):
        make_regressor(section("xgboost"))


def lesson(success_where):
    features, utility = population(300)
    success = success_where(features)
    return Lesson(features, np.where(success, utility, np.nan), success), utility


def outlook(apart=True):
    return Outlook(section("linreg"), failures_apart=apart)


def test_failures_do_not_pull_utilities_down_but_the_chance_to_count_does():
    taught, utility = lesson(lambda features: features[:, 20] > 0.5)
    expected = outlook()
    expected.fit(taught, random())
    promising, hopeless = taught.features[:, 20] > 0.9, taught.features[:, 20] < 0.1
    assert expected.predict(taught.features[promising]).mean() == pytest.approx(utility[promising].mean(), rel=0.15)
    assert expected.predict(taught.features[hopeless]).mean() < 0.2 * utility[hopeless].mean()


def test_without_failures_the_expectation_is_the_utility():
    taught, utility = lesson(lambda features: features[:, 20] >= 0)
    expected = outlook()
    expected.fit(taught, random())
    alone = make_regressor(section("linreg"))
    alone.fit(taught.features, utility, random())
    np.testing.assert_allclose(expected.predict(taught.features), np.maximum(alone.predict(taught.features), 0))


def test_utilities_of_nought_teach_nothing():
    expected = outlook(apart=False)
    expected.fit(Lesson(np.ones((4, 2), dtype=np.float32), np.zeros(4), np.zeros(4, dtype=bool)), random())
    assert not expected.fitted


def test_unknown_utilities_alone_teach_nothing():
    expected = outlook()
    expected.fit(Lesson(np.ones((4, 2), dtype=np.float32), np.full(4, np.nan), np.zeros(4, dtype=bool)), random())
    assert not expected.fitted


@pytest.mark.parametrize("apart", [True, False])
def test_an_outlook_survives_its_state(apart):
    taught, _ = lesson(lambda features: features[:, 20] > 0.5)
    known = Lesson(taught.features, taught.utility if apart else np.nan_to_num(taught.utility), taught.success)
    first, second = outlook(apart), outlook(apart)
    first.fit(known, random())
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first.predict(taught.features), second.predict(taught.features))
    assert second.fitted
