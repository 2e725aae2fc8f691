from __future__ import annotations

import numpy as np
import pytest

from fedswarm.devices.published_speeds import CPU_GFLOPS_COUNTS, WIFI_MBPS_COUNTS
from fedswarm.devices.static import StaticDevices
from fedswarm.devices.time_model import Workload, megabits
from fedswarm.jobs.schema import DevicesSection

IDS = np.arange(2000, dtype=np.int64)


def one_device(flops: float, mbps: float, scale: float) -> StaticDevices:
    ids = np.asarray([0], dtype=np.int64)
    return StaticDevices(ids, np.asarray([flops]), np.asarray([mbps]), 1, compute_scale=scale, network_scale=scale)


@pytest.mark.parametrize(
    ("flops", "mbps", "scale", "expected"),
    [
        (43.375e9, 433.0, 1.0, (1.575058, 0.707581, 3.150115)),
        (43.375e9, 433.0, 30.0, (47.251732, 21.227424, 94.503464)),
        # peak 72 at rate 11/54, availability 35 %, battery factor 0.4: folded into constant speeds
        (4e9 * 0.35 * 0.4, 72.0 * 11 / 54, 30.0, (1395.0, 1644.17773, 2790.0)),
    ],
)
def test_golden_phase_times_of_the_reference(
    flops: float, mbps: float, scale: float, expected: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reference section 2.6, constant traces and no noise."""
    monkeypatch.setattr("fedswarm.devices.static.compute_noise", lambda *_: np.ones(1))
    work = Workload(682.0, 21_313_415, batch_size=16, steps=np.asarray([30], dtype=np.int64))
    times = one_device(flops, mbps, scale).phase_times(np.asarray([0]), 0, 0.0, work)
    assert (times.download_s[0], times.compute_s[0], times.upload_s[0]) == pytest.approx(expected, rel=1e-6)
    assert times.total_s[0] == pytest.approx(sum(expected), rel=1e-6)


def test_a_small_model_still_takes_time_to_send() -> None:
    """Defect D18 of the reference: sizes were truncated to whole megabits, so small models travelled for free."""
    work = Workload(megabits(31_400), 7850, batch_size=16, steps=np.asarray([3], dtype=np.int64))
    assert one_device(1e9, 72.0, 1.0).phase_times(np.asarray([0]), 0, 0.0, work).download_s[0] > 0


def test_dropout_shortens_the_upload_alone() -> None:
    steps = np.asarray([3], dtype=np.int64)
    full = one_device(1e9, 72.0, 1.0).phase_times(np.asarray([0]), 0, 0.0, Workload(10.0, 1000, 16, steps))
    half = one_device(1e9, 72.0, 1.0).phase_times(np.asarray([0]), 0, 0.0, Workload(10.0, 1000, 16, steps, 0.5))
    assert half.upload_s[0] == full.upload_s[0] / 2
    assert half.download_s[0] == full.download_s[0]


def test_speeds_are_as_frequent_as_in_the_published_table() -> None:
    devices = StaticDevices.draw(IDS, seed=3, section=DevicesSection())
    fast_links = np.mean(devices.link_mbps == 433.0)
    assert fast_links == pytest.approx(WIFI_MBPS_COUNTS[433.0] / sum(WIFI_MBPS_COUNTS.values()), abs=0.04)
    assert set(devices.compute_flops / 1e9) <= set(CPU_GFLOPS_COUNTS)


def test_a_device_does_not_change_with_who_else_is_there() -> None:
    some = StaticDevices.draw(IDS[10:20], seed=3, section=DevicesSection())
    everybody = StaticDevices.draw(IDS, seed=3, section=DevicesSection())
    assert np.array_equal(some.compute_flops, everybody.compute_flops[10:20])


def test_scales_follow_the_clock_factor_unless_given() -> None:
    section = DevicesSection(clock_factor=30.0, compute_scale=5.0)
    devices = StaticDevices.draw(IDS[:1], seed=3, section=section)
    assert (devices.compute_scale, devices.network_scale) == (5.0, 30.0)


def test_everybody_is_online_all_the_time() -> None:
    devices = StaticDevices.draw(IDS[:5], seed=3, section=DevicesSection())
    assert np.array_equal(devices.online(1e9), IDS[:5])
    assert devices.active_throughout(IDS[:5], 0.0, np.full(5, 1e9)).all()
    assert devices.next_online_s(12.0) == 12.0
