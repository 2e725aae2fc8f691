from itertools import pairwise

import numpy as np
import pytest

from fedswarm.devices import synthesis_tables as tables
from fedswarm.devices.default_population import DEVICES, default_population, synthesize_default
from fedswarm.devices.population import Population
from fedswarm.devices.population_file import load_population, save_population
from fedswarm.devices.published_speeds import CPU_GFLOPS_COUNTS, WIFI_MBPS_COUNTS
from fedswarm.devices.statistics import describe
from fedswarm.devices.synthesis import LINK_RATE_CHAIN, TraceDensity, synthesize_device, synthesize_population
from fedswarm.devices.trace_processes import (
    activity_boundaries,
    availability_walk,
    battery_sawtooth,
    burst_stamps,
    spread_stamps,
)
from fedswarm.devices.worlds import DEFAULT_POPULATION
from fedswarm.errors import DataError
from fedswarm.randomness import generator

SPARSE = TraceDensity(network_points=40, compute_points=8)


@pytest.fixture(scope="module")
def devices():
    """2,000 devices with short traces."""
    return [synthesize_device(7, device, SPARSE) for device in range(2000)]


@pytest.fixture(scope="module")
def statistics(devices):
    return describe(Population.from_profiles(devices))


def shares(values):
    """Percent of each value."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), (100 * counts / counts.sum()).tolist(), strict=True))


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_a_device_depends_on_seed_and_id_alone():
    of_three, of_five = synthesize_population(1, 3, SPARSE), synthesize_population(1, 5, SPARSE)
    assert all(same(of_three.profile(device), of_five.profile(device)) for device in range(3))
    assert not same(synthesize_device(1, 0, SPARSE), synthesize_device(2, 0, SPARSE))


@pytest.mark.parametrize(
    ("field", "published"),
    [
        ("brand", tables.BRAND_SHARES),
        ("ram", tables.RAM_SHARES),
        ("internal_memory", tables.STORAGE_SHARES),
        ("os_version", tables.OS_VERSION_SHARES),
        ("peak_throughput_mbps", {72.0: 16.4, 150.0: 35.0, 433.0: 48.6}),
    ],
)
def test_static_fields_are_as_frequent_as_published(devices, field, published):
    found = shares([getattr(device, field) for device in devices])
    assert {value: found[value] for value in published} == pytest.approx(published, abs=3.5)


@pytest.mark.parametrize(
    ("field", "counts"), [("cpu_flops", CPU_GFLOPS_COUNTS), ("gpu_flops", tables.GPU_GFLOPS_COUNTS)]
)
def test_speeds_are_as_frequent_as_published(devices, field, counts):
    found = shares([getattr(device, field) / 1e9 for device in devices])
    published = {value: 100 * count / tables.DEVICES for value, count in counts.items()}
    assert {value: found.get(value, 0.0) for value in published} == pytest.approx(published, abs=3.5)


def test_the_tables_count_every_published_device():
    assert sum(tables.GPU_GFLOPS_COUNTS.values()) == tables.DEVICES
    assert sum(CPU_GFLOPS_COUNTS.values()) == tables.DEVICES
    assert sum(WIFI_MBPS_COUNTS.values()) == tables.DEVICES


def test_models_are_of_their_brand_and_as_frequent_as_published(devices):
    found = shares([device.model for device in devices])
    assert found["I9305 Galaxy S III"] == pytest.approx(100 * 1373 / tables.DEVICES, abs=2)
    assert {device.brand for device in devices if device.model == "Nexus 5"} == {"LG"}


def test_systems_are_named_after_their_version(devices):
    assert {device.os for device in devices if device.os_version == "4.4.4"} == {"Android 4.4.4 (KitKat)"}


def test_link_rates_have_the_published_shares(devices):
    found = shares(np.concatenate([device.rate for device in devices]))
    assert found == pytest.approx(tables.LINK_RATE_SHARES, abs=1.0)


def test_the_published_shares_of_rates_are_the_stationary_distribution_of_their_chain():
    published = np.asarray(list(tables.LINK_RATE_SHARES.values())) / 100
    assert LINK_RATE_CHAIN.stationary == pytest.approx(published)
    assert published @ LINK_RATE_CHAIN.transitions() == pytest.approx(published, abs=1e-12)


def test_the_chain_reaches_its_distribution_from_anywhere():
    far = np.linalg.matrix_power(LINK_RATE_CHAIN.transitions(), 2000)
    assert far == pytest.approx(np.tile(LINK_RATE_CHAIN.stationary, (9, 1)), abs=1e-9)


def test_a_walk_moves_as_its_matrix_says():
    random, points = generator(3, 0, "walk"), 100_000
    states = np.asarray(LINK_RATE_CHAIN.walk(random, np.arange(points) == 0))
    moves = np.zeros((9, 9))
    np.add.at(moves, (states[:-1], states[1:]), 1)
    moves /= moves.sum(axis=1, keepdims=True)
    assert moves == pytest.approx(LINK_RATE_CHAIN.transitions(), abs=0.04)


def test_network_samples_follow_each_other_by_five_to_seven_seconds_within_a_burst():
    for seed in range(50):
        stamps_s, begins = burst_stamps(generator(seed, 0, "bursts"), 500)
        steps_s = np.diff(stamps_s)
        assert set(steps_s[~begins[1:]].tolist()) <= {5, 6, 7}
        assert steps_s.min() >= 5
        assert 0 <= stamps_s[0] <= stamps_s[-1] < 172_800


def test_bursts_arrive_evenly_over_the_cycle():
    arrivals_s = np.concatenate(
        [stamps[begins] for stamps, begins in (burst_stamps(generator(seed, 0, "b"), 200) for seed in range(500))]
    )
    assert np.histogram(arrivals_s, bins=4, range=(0, 172_800))[0] / len(arrivals_s) == pytest.approx(0.25, abs=0.03)


def test_the_densest_traces_still_fit_the_cycle():
    stamps_s, _ = burst_stamps(generator(1, 0, "dense"), 20_000)
    assert stamps_s[-1] < 172_800
    stamps_s = spread_stamps(generator(1, 0, "dense"), 2000)
    assert stamps_s[-1] < 172_800
    assert np.diff(stamps_s).min() >= 60


@pytest.mark.parametrize("density", [(0, 48), (20_001, 48), (200, 0), (200, 2001)])
def test_traces_that_do_not_fit_are_refused(density):
    with pytest.raises(DataError, match="points: choose 1 to"):
        TraceDensity(*density)


def test_availability_wanders_between_35_and_100_around_60():
    levels = np.asarray([availability_walk(generator(seed, 0, "a"), 48) for seed in range(400)])
    assert (levels.min(), levels.max()) == (35, 100)
    assert levels.mean() == pytest.approx(61, abs=2)
    assert np.abs(np.diff(levels)).max() < 40


def test_batteries_fall_slowly_and_rise_fast_and_are_rarely_unknown():
    stamps_s = np.arange(0, 172_800, 600)
    levels = np.asarray([battery_sawtooth(generator(seed, 0, "b"), stamps_s) for seed in range(200)])
    assert (levels.min(), levels.max()) == (-1, 99)
    assert np.mean(levels == -1) == pytest.approx(0.01, abs=0.005)
    known = (levels[:, 1:] >= 0) & (levels[:, :-1] >= 0)
    steps = np.diff(levels)[known]
    assert np.count_nonzero(steps < 0) > 2 * np.count_nonzero(steps > 0)


def test_devices_are_online_38_percent_of_the_time(statistics):
    assert statistics.mean_online_share == pytest.approx(0.38, abs=0.02)


def test_two_percent_of_the_devices_never_take_part(statistics):
    assert statistics.never_online / statistics.devices == pytest.approx(0.02, abs=0.01)


def test_presence_does_not_depend_on_the_hour(statistics):
    assert statistics.online_share == pytest.approx([0.38] * 96, abs=0.05)


def test_boundaries_take_turns_from_0_on_as_in_the_published_file():
    for seed in range(300):
        active_s, inactive_s = activity_boundaries(generator(seed, 0, "activity"))
        tagged = sorted([(instant, True) for instant in active_s] + [(instant, False) for instant in inactive_s])
        assert tagged[0][0] == 0
        assert tagged[-1][0] < 172_800
        assert all(one < other and was != now for (one, was), (other, now) in pairwise(tagged))
        assert len(active_s) <= 9


@pytest.mark.parametrize("devices", [0, -1, 2**24 + 1])
def test_an_impossible_number_of_devices_is_refused(devices):
    with pytest.raises(DataError, match="choose 1 to 16,777,216"):
        synthesize_population(1, devices)


def test_the_shipped_population_is_small_and_made_by_its_seed(tmp_path):
    save_population(tmp_path / "again.safetensors", synthesize_default())
    assert (tmp_path / "again.safetensors").read_bytes() == DEFAULT_POPULATION.read_bytes()
    assert DEFAULT_POPULATION.stat().st_size < 2_500_000


def test_the_shipped_population_says_that_it_is_synthetic():
    population = default_population()
    assert len(population) == DEVICES
    assert population.excluded == ()
    assert population.provenance.startswith("synthetic: 1000 devices, seed 2026")


def test_a_population_survives_its_file(tmp_path):
    made = synthesize_population(5, 20, SPARSE)
    save_population(tmp_path / "p.safetensors", made)
    loaded = load_population(tmp_path / "p.safetensors")
    assert all(same(made.profile(device), loaded.profile(device)) for device in range(20))
