"""Feature vectors against the published indices (section 4.4.4 and appendix A.3 of the dossier)."""

import numpy as np
import pytest

from fedswarm.devices.device_catalogue import DeviceCatalogue, load_catalogue
from fedswarm.devices.feature_windows import FeatureWindows
from fedswarm.devices.static_features import static_feature_count
from fedswarm.selection.bliss.feature_vectors import Participation, first_rows, later_rows, scaled_windows
from fedswarm.selection.bliss.memory import Memory
from fedswarm.selection.bliss.portraits import Portraits

STATIC = np.full((1, 63), 0.5, dtype=np.float32)
ROUND = np.asarray([7], dtype=np.int32)
BEFORE = Participation(
    windows=np.full((1, 15), 0.25, dtype=np.float32),
    utility=np.asarray([30.0]),
    success=np.asarray([True]),
    round=np.asarray([4], dtype=np.int32),
)


def windows_of(rate, availability, battery):
    return scaled_windows(
        FeatureWindows(*(np.asarray([series], dtype=np.float32) for series in (rate, availability, battery)))
    )


def test_windows_are_scaled_as_published():
    scaled = windows_of([54, 11, 1, 1, 1], [61, 35, 100, 35, 35], [93, -1, 99, -1, -1])[0]
    expected = [1, 0.188679, 0, 0, 0, 0.4, 0, 1, 0, 0, 0.94, 0, 1, 0, 0]
    np.testing.assert_allclose(scaled, expected, atol=5e-7)


def test_windows_that_were_never_taken_are_below_the_range():
    assert windows_of([0] * 5, [0] * 5, [0] * 5)[0, ::5] == pytest.approx([-0.018868, -0.538462, 0.01], abs=5e-7)


def test_the_published_vectors_have_78_and_83_numbers():
    windows = np.zeros((1, 15), dtype=np.float32)
    assert first_rows(windows, STATIC, ROUND, published=True).shape == (1, 78)
    assert later_rows(windows, STATIC, BEFORE, ROUND, BEFORE.success, published=True).shape == (1, 83)


def test_the_published_h_ends_with_what_it_should_not_know():
    windows = np.ones((1, 15), dtype=np.float32)
    row = later_rows(windows, STATIC, BEFORE, ROUND, np.asarray([True]), published=True)[0]
    assert row[:15].tolist() == [0.75] * 15
    assert row[78:].tolist() == [30, 1, 4, 1, 7]


def test_by_default_h_sees_no_outcome_of_the_participation_it_predicts():
    windows = np.ones((1, 15), dtype=np.float32)
    failed, good = (
        later_rows(windows, STATIC, BEFORE, ROUND, np.asarray([outcome]), published=False) for outcome in (False, True)
    )
    np.testing.assert_array_equal(failed, good)
    assert good[0, 78:].tolist() == [30, 1, 4, 7]


def test_by_default_g_knows_the_round():
    assert first_rows(np.zeros((1, 15), dtype=np.float32), STATIC, ROUND, published=False)[0, 78:].tolist() == [7]


CATALOGUE = load_catalogue()
SMALL = DeviceCatalogue(("HTC",), (("One",),))


def heard_twice():
    memory = Memory()
    ids = memory.clients.add(np.arange(3))
    for round_index, level in ((0, 0.1), (1, 0.2)):
        memory.begin(ids, np.full((3, 15), level, dtype=np.float32), round_index)
        memory.hear(ids, np.asarray([10.0, 20.0, np.nan]) + round_index, np.asarray([True, True, False]))
    return memory


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("catalogue", [CATALOGUE, SMALL], ids=["published", "small"])
def test_rows_to_learn_from_and_rows_to_predict_have_the_same_columns(published, catalogue):
    portraits = Portraits(heard_twice(), catalogue, published=published)
    rows = np.arange(3)
    assert portraits.first_learnt(rows).shape == portraits.first_ahead(rows, 0.0, 2).shape
    assert portraits.later_learnt(rows).shape == portraits.later_ahead(rows, 0.0, 2).shape
    assert portraits.first_learnt(rows).shape[1] == 15 + static_feature_count(catalogue) + (not published)


@pytest.mark.parametrize(("published", "ahead"), [(False, 2), (True, 0)])
def test_the_round_to_come_is_that_of_now_but_as_published_nought(published, ahead):
    portraits = Portraits(heard_twice(), CATALOGUE, published=published)
    assert portraits.later_ahead(np.arange(3), 0.0, 2)[:, -1].tolist() == [ahead] * 3


def test_h_learns_from_the_last_participation_what_was_known_before_it():
    row = Portraits(heard_twice(), CATALOGUE, published=False).later_learnt(np.asarray([1]))[0]
    np.testing.assert_allclose(row[:15], 0.1, rtol=1e-5)
    assert row[78:].tolist() == [20, 1, 0, 1]


def test_h_predicts_from_the_last_participation():
    row = Portraits(heard_twice(), CATALOGUE, published=False).later_ahead(np.asarray([1]), 0.0, 5)[0]
    np.testing.assert_allclose(row[:15], -0.2, rtol=1e-5)
    assert row[78:].tolist() == [21, 1, 1, 5]


def test_of_a_failure_the_last_known_utility_stays():
    memory = heard_twice()
    memory.begin(np.arange(3), np.zeros((3, 15), dtype=np.float32), 2)
    memory.hear(np.arange(3), np.full(3, np.nan), np.zeros(3, dtype=bool))
    assert memory.latest(np.arange(3)).utility.tolist() == [11, 21, 0]
    assert np.isnan(memory.clients["outcome"]).all()


def test_a_choice_nothing_came_of_leaves_no_trace():
    memory = heard_twice()
    memory.begin(np.asarray([0]), np.ones((1, 15), dtype=np.float32), 2)
    memory.begin(np.asarray([1]), np.ones((1, 15), dtype=np.float32), 3)
    memory.hear(np.asarray([0]), np.asarray([99.0]), np.asarray([True]))
    assert memory.clients["heard"].tolist() == [2, 2, 2]
    assert memory.latest(np.asarray([0])).utility.tolist() == [11]


def test_a_participation_is_heard_of_once():
    memory = heard_twice()
    memory.hear(np.asarray([0]), np.asarray([99.0]), np.asarray([True]))
    assert memory.clients["heard"][0] == 2
