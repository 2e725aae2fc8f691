"""Clients beyond the table (reference section 2.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.devices.population import Population
from fedswarm.devices.variation import devices_of


@pytest.fixture
def population(device: Any) -> Population:
    """A device with two active intervals, [0, 100) and [1000, 2000), and one that is always there."""
    busy = device(
        network_stamps_s=[0, 50, 100, 500, 1000, 1500, 2000],
        rate=[24, 36, 18, 24, 24, 0, 24],
        compute_stamps_s=[0, 50, 1000, 5000],
        availability=[60, 70, 50, 40],
        battery_level=[50, -1, 60, 80],
        active_s=[0, 1000],
        inactive_s=[100, 2000],
    )
    return Population.from_profiles([busy, device(rate=[11])])


def ids(*clients: int) -> np.ndarray:
    return np.asarray(clients, dtype=np.int64)


def test_clients_in_the_table_are_its_rows(population: Population) -> None:
    found = devices_of(population, ids(1, 0), seed=3)
    assert found.profile(0).rate.tolist() == [11]
    np.testing.assert_array_equal(found.profile(1).rate, population.profile(0).rate)


def test_a_client_beyond_the_table_has_its_rows_activity_and_stamps(population: Population) -> None:
    found, row = devices_of(population, ids(2), seed=3).profile(0), population.profile(0)
    for name in ("active_s", "inactive_s", "network_stamps_s", "compute_stamps_s"):
        np.testing.assert_array_equal(getattr(found, name), getattr(row, name))
    assert found.cpu_flops == row.cpu_flops


def test_all_samples_of_an_active_interval_move_by_one_shift_and_others_stay(population: Population) -> None:
    found, row = devices_of(population, ids(2), seed=3).profile(0), population.profile(0)
    moved = found.rate - row.rate
    assert moved[0] == moved[1] != 0
    assert moved[4] not in (0, moved[0])
    assert moved[[2, 3, 6]].tolist() == [0, 0, 0]


def test_a_pause_stays_a_pause_and_an_unknown_battery_unknown(population: Population) -> None:
    found = devices_of(population, ids(2), seed=3).profile(0)
    assert (found.rate[5], found.battery_level[1]) == (0, -1)


def test_series_move_independently(population: Population) -> None:
    found, row = devices_of(population, ids(2), seed=3).profile(0), population.profile(0)
    shifts = {
        (found.rate[0] - row.rate[0]) / 53,
        (found.availability[0] - row.availability[0]) / 65,
        (found.battery_level[0] - row.battery_level[0]) / 100,
    }
    assert len(np.unique(np.round(list(shifts), 4))) == 3


def test_shifts_have_the_published_spread(population: Population) -> None:
    clients = np.arange(2, 20_002, 2)
    found = devices_of(population, clients, seed=1)
    rates = found.network["rate"].reshape(len(clients), -1)
    shifts = (rates[:, 0] - 24.0) / 53.0
    assert np.mean(shifts) == pytest.approx(0.0, abs=0.003)
    assert np.std(shifts) == pytest.approx(0.07, abs=0.003)


def test_shifted_values_keep_to_the_usual_range(device: Any) -> None:
    edge = Population.from_profiles([device(rate=[54], availability=[35], battery_level=[99])])
    found = devices_of(edge, np.arange(1, 500), seed=1)
    assert found.network["rate"].max() == 54 and found.network["rate"].min() < 54
    assert found.compute["availability"].min() == 35 and found.compute["availability"].max() > 35
    assert found.compute["battery_level"].max() == 99


def test_a_client_does_not_change_with_who_else_is_asked_for(population: Population) -> None:
    alone = devices_of(population, ids(8), seed=3)
    among = devices_of(population, ids(3, 8, 0), seed=3)
    np.testing.assert_array_equal(alone.profile(0).rate, among.profile(1).rate)
    np.testing.assert_array_equal(alone.profile(0).availability, among.profile(1).availability)


def test_clients_of_one_row_and_seeds_differ(population: Population) -> None:
    two = devices_of(population, ids(2, 4), seed=3)
    other_seed = devices_of(population, ids(2), seed=4)
    assert two.profile(0).rate[0] != two.profile(1).rate[0]
    assert two.profile(0).rate[0] != other_seed.profile(0).rate[0]
