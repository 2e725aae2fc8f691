import numpy as np
import pytest

from fedswarm.devices.plots import population_plot, week_plot
from fedswarm.devices.population import Population
from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.statistics import describe, describe_week, online_shares
from fedswarm.devices.synthesis import TraceDensity, synthesize_population
from fedswarm.errors import DataError


def device(active_s, inactive_s, rate=(54.0,), stamps_s=(0.0,)):
    """100 Mb/s at most and 10 GFLOP/s at half."""
    return DeviceProfile(
        cpu_flops=8e9,
        gpu_flops=2e9,
        peak_throughput_mbps=100.0,
        network_stamps_s=np.asarray(stamps_s),
        rate=np.asarray(rate),
        compute_stamps_s=np.zeros(1),
        availability=np.asarray([50.0]),
        battery_level=np.asarray([99.0]),
        active_s=np.asarray(active_s, dtype=float),
        inactive_s=np.asarray(inactive_s, dtype=float),
    )


@pytest.fixture
def population():
    return Population.from_profiles([device([0], []), device([0], [900]), device([], [])])


def test_online_shares_are_means_over_each_half_hour(population):
    shares = online_shares(population.activity)
    assert shares[0] == pytest.approx((1 + 0.5 + 0) / 3)
    assert shares[1:] == pytest.approx([1 / 3] * 95)


def test_speeds_are_means_over_the_cycle():
    half = device([0], [], rate=[54, 0], stamps_s=[0, 86_400])
    assert describe(Population.from_profiles([half])).bandwidth_mbps == pytest.approx([50.0] * 5)
    assert describe(Population.from_profiles([half])).compute_gflops == pytest.approx([5.0] * 5)


def test_devices_that_never_take_part_are_counted(population):
    assert (describe(population).devices, describe(population).never_online) == (3, 1)


def test_time_online_is_told_in_percent(population):
    assert describe(population).online_percent[2] == pytest.approx(100 * 900 / 172_800)


def test_a_week_is_three_and_a_half_cycles():
    population = Population.from_profiles([device([0], [1800], rate=[54, 27], stamps_s=[0, 86_400])])
    week = describe_week(population, 0)
    assert len(week.online_share) == 7 * 48
    assert np.flatnonzero(week.online_share).tolist() == [0, 96, 192, 288]
    assert week.bandwidth_mbps[:48] == pytest.approx([100.0] * 48)
    assert week.bandwidth_mbps[48:96] == pytest.approx([50.0] * 48)
    assert week.bandwidth_mbps[288:] == pytest.approx([100.0] * 48)


def test_a_device_that_is_not_there_has_no_week(population):
    with pytest.raises(DataError, match="device 3 is not there"):
        describe_week(population, 3)


def test_plots_are_drawn(tmp_path):
    population = synthesize_population(1, 5, TraceDensity(20, 5))
    population_plot(population, describe(population)).savefig(tmp_path / "population.png")
    week_plot(0, describe_week(population, 0)).savefig(tmp_path / "week.png")
    assert (tmp_path / "population.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "week.png").read_bytes().startswith(b"\x89PNG")
