import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.devices.feature_windows import feature_windows
from fedswarm.devices.population import Population
from fedswarm.devices.synthesis import synthesize_population

# The published golden vector (appendix A.7 of the dossier on the FedScale fork with Bliss).
GOLDEN = {"network_stamps_s": [0, 100, 200, 172_700], "rate": [54, 11, 36, 5]}


def windows_of(device, now_s):
    return feature_windows(Population.from_profiles([device]), np.asarray([0]), now_s, seed=1)


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        (150.0, [11, 36, 5, 54, 11]),
        (0.0, [54, 11, 36, 5, 54]),
        (100.0, [11, 36, 5, 54, 11]),
        (172_800.0 + 150.0, [11, 36, 5, 54, 11]),
    ],
)
def test_the_last_five_samples_oldest_first(device, now_s, expected):
    assert windows_of(device(**GOLDEN), now_s).rate.tolist() == [expected]


def test_before_its_first_stamp_a_series_is_in_the_sample_of_the_cycle_before(device):
    late = device(network_stamps_s=[100, 200], rate=[11, 36])
    assert windows_of(late, 50.0).rate.tolist() == [[36, 11, 36, 11, 36]]


def test_a_sample_across_an_inactive_half_way_is_replaced_by_the_newer_one(device):
    # Half-way from 100 to 0 the device is inactive; half-way across the cycle's start (172,750 s) it is active.
    away = device(**GOLDEN, active_s=[60, 1000], inactive_s=[40, 900])
    assert windows_of(away, 150.0).rate.tolist() == [[11, 36, 5, 11, 11]]


def test_a_device_that_is_never_active_repeats_its_newest_sample(device):
    assert windows_of(device(**GOLDEN, active_s=[], inactive_s=[0]), 150.0).rate.tolist() == [[11] * 5]


def test_availability_and_battery_share_the_compute_samples(device):
    stamps = {"compute_stamps_s": [0, 100, 200], "availability": [61, 70, 80], "battery_level": [93, -1, 50]}
    windows = windows_of(device(**stamps), 120.0)
    assert windows.availability.tolist() == [[61, 70, 80, 61, 70]]
    assert windows.battery_level.tolist() == [[93, -1, 50, 93, -1]]


def test_the_three_series_lie_side_by_side(device):
    assert windows_of(device(**GOLDEN), 150.0).stacked().shape == (1, 15)


POPULATION = synthesize_population(seed=5, devices=12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True), st.floats(0, 1e6))
def test_a_client_has_the_same_windows_whoever_is_asked_with_it(client_ids, now_s):
    ids = np.asarray(client_ids)
    together = feature_windows(POPULATION, ids, now_s, seed=3).stacked()
    alone = [feature_windows(POPULATION, ids[at : at + 1], now_s, seed=3).stacked()[0] for at in range(len(ids))]
    np.testing.assert_array_equal(together, alone)


def slow_windows(device, stamps_s, values, active, now_s):
    """The description, sample by sample."""
    in_cycle = now_s % 172_800
    before = [index for index, stamp in enumerate(stamps_s) if stamp <= in_cycle]
    at = before[-1] if before else len(stamps_s) - 1
    kept = [values[at]]
    for _ in range(4):
        older = (at - 1) % len(stamps_s)
        half_way = (stamps_s[older] + stamps_s[at]) / 2
        if older >= at:
            half_way = (half_way + 86_400) % 172_800
        kept.append(values[older] if active(half_way) else kept[-1])
        at = older
    return kept[::-1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 11), st.floats(0, 400_000))
def test_windows_equal_the_description_taken_sample_by_sample(row, now_s):
    device = POPULATION.profile(row)

    def active(instant):
        return bool(POPULATION.activity.is_active(np.asarray([row]), instant)[0])

    windows = feature_windows(POPULATION, np.asarray([row]), now_s, seed=3)
    stamps = device.network_stamps_s.astype(float).tolist()
    assert windows.rate[0].tolist() == slow_windows(device, stamps, device.rate.tolist(), active, now_s)
    stamps = device.compute_stamps_s.astype(float).tolist()
    battery = slow_windows(device, stamps, device.battery_level.tolist(), active, now_s)
    assert windows.battery_level[0].tolist() == battery


def test_clients_beyond_the_table_have_windows_of_their_own(device):
    table = Population.from_profiles([device(rate=[24], availability=[60], battery_level=[50])])
    windows = feature_windows(table, np.arange(3), 3600.0, seed=3)
    for series in (windows.rate, windows.availability, windows.battery_level):
        assert len(np.unique(series[:, -1])) == 3
