from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.devices.device_classes import DEVICE_CLASSES
from fedswarm.devices.population import Population
from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.static import StaticClientTime
from fedswarm.devices.time_model import Workload, megabits
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.traced import TracedDevices
from fedswarm.jobs.exchange_sections import ShapingSection
from fedswarm.swarm.shaping import DeviceRate, LinkShape

MB = 1_000_000


def section(**fields: object) -> ShapingSection:
    return ShapingSection.model_validate(fields)


def phone(stamps: list[float], rates: list[float], network_scale: float = 1.0) -> TracedDevices:
    """One device whose link is as many Mb/s as its rate."""
    profile = DeviceProfile(
        cpu_flops=1e9,
        gpu_flops=0,
        peak_throughput_mbps=54,
        network_stamps_s=np.asarray(stamps),
        rate=np.asarray(rates),
        compute_stamps_s=np.zeros(1),
        availability=np.full(1, 100.0),
        battery_level=np.full(1, 99.0),
        active_s=np.zeros(1),
        inactive_s=np.zeros(0),
    )
    population = Population.from_profiles([profile])
    return TracedDevices(np.zeros(1, dtype=np.int64), population, seed=0, network_scale=network_scale)


def test_a_laptop_emulates_a_phone_of_5_mbit_a_second() -> None:
    """2 MB in chunks of 64 KiB through the uplink take 3.2 s, give or take the burst."""
    bucket = LinkShape.of_executor(section(link="smartphone_low")).up.for_all(0.0)
    assert bucket is not None
    now_s, left = 0.0, 2 * MB
    while left > 0:
        now_s = bucket.ready_s(now_s)
        size = min(65_536, left)
        bucket.take(now_s, size)
        left -= size
    assert bucket.ready_s(now_s) == pytest.approx(2 * MB * 8 / 5e6, rel=0.01)
    assert bucket.bps(now_s) == 5e6


def test_every_class_of_a_job_has_its_figures() -> None:
    names = set(get_args(ShapingSection.model_fields["link"].annotation)) - {"none", "device"}
    assert names == set(DEVICE_CLASSES)
    for name in names:
        shape = LinkShape.of_executor(section(link=name))
        assert shape.up.total is not None and shape.down.total is not None
        assert shape.up.total.bps(0.0) == DEVICE_CLASSES[name].up_mbps * 1e6
        assert shape.down.total.bps(0.0) == DEVICE_CLASSES[name].down_mbps * 1e6


def test_without_shaping_there_are_no_buckets() -> None:
    shape = LinkShape.of_executor(section())
    assert shape == LinkShape.of_process(section()) == LinkShape()
    assert shape.up.for_all(0.0) is None and shape.down.for_one(0.0) is None


def test_limits_of_the_job_hold_for_every_process_and_each_peer() -> None:
    shape = LinkShape.of_process(section(up_mbps=8, peer_down_mbps=2))
    assert shape == LinkShape.of_executor(section(up_mbps=8, peer_down_mbps=2))
    total, each = shape.up.for_all(0.0), shape.down.for_one(0.0)
    assert total is not None and each is not None
    assert (total.bps(0.0), each.bps(0.0)) == (8e6, 2e6)
    assert shape.up.for_one(0.0) is None and shape.down.for_all(0.0) is None


def test_buckets_of_two_peers_are_two() -> None:
    shape = LinkShape.of_process(section(peer_up_mbps=1))
    one, other = shape.up.for_one(0.0), shape.up.for_one(0.0)
    assert one is not None and other is not None
    one.take(0.0, MB)
    assert one.delay_s(0.0) > 0 == other.delay_s(0.0)


def test_the_aggregator_emulates_no_device() -> None:
    assert LinkShape.of_process(section(link="smartphone_low")).up.total is None


def test_a_device_sends_half_as_fast_as_it_receives() -> None:
    shape = LinkShape.of_executor(section(link="device"), StaticClientTime(1e9, link_mbps=10.0), 7.0)
    assert shape.up.total is not None and shape.down.total is not None
    assert shape.up.total.finish_s(9.0, MB) == pytest.approx(9.0 + 1.6)
    assert shape.down.total.finish_s(9.0, MB) == pytest.approx(9.0 + 0.8)


def test_a_link_of_a_device_needs_the_device() -> None:
    with pytest.raises(ValueError, match="no device was given"):
        LinkShape.of_executor(section(link="device"))


def test_the_trace_begins_where_the_job_says_and_a_pause_is_waited_out() -> None:
    device = phone([0, 100, 160], [8, 0, 4]).client_time(0, 0)
    shape = LinkShape.of_executor(section(link="device", trace_start_s=99.0), device, now_s=5000.0)
    assert shape.down.total is not None
    assert shape.down.total.bps(5000.0) == pytest.approx(8e6)
    assert shape.down.total.bps(5001.0) == 0
    assert shape.down.total.finish_s(5000.0, MB) == pytest.approx(5001.0)
    assert shape.down.total.finish_s(5000.0, MB + 500_000) == pytest.approx(5061.0 + 1.0)


def test_a_device_without_any_rate_never_sends() -> None:
    shape = LinkShape.of_executor(section(link="device"), phone([0], [0]).client_time(0, 0))
    bucket = shape.up.for_all(0.0)
    assert bucket is not None
    bucket.take(0.0, MB)
    assert bucket.ready_s(0.0) == np.inf


@given(
    st.lists(st.integers(0, 54), min_size=3, max_size=3).filter(any),
    st.sampled_from([1.0, 2.0, 0.5]),
    st.floats(0, CYCLE_S),
    st.integers(1, 100 * MB),
)
def test_the_clock_factor_and_all_else_are_the_simulations(
    rates: list[int], scale: float, start_s: float, n_bytes: int
) -> None:
    devices = phone([0, 1000, 2000], [float(rate) for rate in rates], scale)
    rate = DeviceRate(devices.client_time(0, 0), 1.0, origin_s=0.0)
    work = Workload(megabits(n_bytes), weights=1, batch_size=1, steps=np.zeros(1, dtype=np.int64))
    times = devices.phase_times(np.zeros(1, dtype=np.int64), 0, start_s, work)
    assert rate.finish_s(start_s, n_bytes) - start_s == pytest.approx(times.download_s[0], abs=1e-6)
