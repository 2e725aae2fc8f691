from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.devices.population import Population
from fedswarm.devices.profile import DeviceProfile
from fedswarm.errors import DataError

SERIES = ("network_stamps_s", "rate", "compute_stamps_s", "availability", "battery_level")


@pytest.fixture
def profiles(device: Any) -> list[DeviceProfile]:
    return [
        device(model="Nexus 5", network_stamps_s=[0, 9.5], rate=[54, 1]),
        device(brand="LG", compute_stamps_s=[3, 4, 5], availability=[35, 36.5, 100], battery_level=[-1, 0, 99]),
        device(model="Nexus 5", active_s=[], inactive_s=[0], gpu_flops=7.0),
    ]


def test_a_population_gives_back_its_devices(profiles: list[DeviceProfile]) -> None:
    population = Population.from_profiles(profiles)
    assert len(population) == 3
    for row, profile in enumerate(profiles):
        found = population.profile(row)
        assert (found.model, found.brand, found.gpu_flops) == (profile.model, profile.brand, profile.gpu_flops)
        for name in SERIES:
            np.testing.assert_array_equal(getattr(found, name), getattr(profile, name))


def test_activity_comes_back_as_intervals(device: Any) -> None:
    population = Population.from_profiles([device(active_s=[100], inactive_s=[50])])
    found = population.profile(0)
    assert (found.active_s.tolist(), found.inactive_s.tolist()) == ([0, 100], [50, 172_800])


def test_rows_are_taken_in_their_order_and_may_repeat(profiles: list[DeviceProfile]) -> None:
    taken = Population.from_profiles(profiles).take(np.asarray([2, 1, 1]))
    assert [taken.profile(row).brand for row in range(3)] == ["", "LG", "LG"]
    assert taken.profile(2).availability.tolist() == [35, 36.5, 100]
    assert taken.activity.active_rows(0.0).tolist() == [False, True, True]


def test_whole_small_numbers_take_a_byte_each(profiles: list[DeviceProfile]) -> None:
    population = Population.from_profiles(profiles)
    assert population.network["rate"].dtype == np.uint8
    assert population.compute["battery_level"].dtype == np.int8
    assert population.compute["availability"].dtype == np.float32


def test_speeds_over_time_follow_the_published_formulas(profiles: list[DeviceProfile]) -> None:
    population = Population.from_profiles(profiles)
    at = np.asarray([100.0])
    assert population.network_traces.speed(np.asarray([0]), at) == pytest.approx(54.0 * 1 / 54)
    assert population.compute_traces.speed(np.asarray([1]), at) == pytest.approx(1000.0 * 1.0 * 1.0)
    assert population.compute_traces.speed(np.asarray([1]), np.zeros(1)) == pytest.approx(1000.0 * 0.35 * 0.4)
    assert population.compute_traces.speed(np.asarray([2]), at) == pytest.approx(1007.0)


def test_what_was_left_out_is_told(profiles: list[DeviceProfile]) -> None:
    assert Population.from_profiles(profiles, excluded=["a.pkl: client 7: rate is empty"]).excluded == (
        "a.pkl: client 7: rate is empty",
    )


def test_a_population_of_nobody_is_refused_with_the_first_reason() -> None:
    with pytest.raises(DataError, match="at least one device; the first of 2 left out: no rate"):
        Population.from_profiles([], excluded=["no rate", "no stamps"])


@pytest.mark.parametrize("row", [-1, 3])
def test_a_device_that_is_not_there_is_an_error(profiles: list[DeviceProfile], row: int) -> None:
    with pytest.raises(DataError, match="holds 0 to 2"):
        Population.from_profiles(profiles).profile(row)
