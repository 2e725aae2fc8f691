from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedswarm.devices.noise import compute_noise
from fedswarm.devices.population import Population
from fedswarm.devices.time_model import Workload
from fedswarm.devices.traced import TracedDevices
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DevicesSection

DAY_S = 86_400.0
SPEECH = Workload(682.0, 21_313_415, batch_size=16, steps=np.asarray([30], dtype=np.int64))


def ids(*clients: int) -> np.ndarray:
    return np.asarray(clients, dtype=np.int64)


def work_for(clients: int, mbit: float = 100.0, dropout: float = 0.0) -> Workload:
    return Workload(mbit, 1000, batch_size=16, steps=np.full(clients, 20, dtype=np.int64), dropout=dropout)


@pytest.fixture(scope="module")
def world(device: Any) -> TracedDevices:
    """Three devices with random traces, over six clients: the last three are varied."""
    random = np.random.default_rng(11)

    def stamps(count: int) -> np.ndarray:
        return np.sort(random.integers(0, 172_800, count))

    devices = [
        device(
            cpu_flops=5e6,
            network_stamps_s=stamps(points),
            rate=random.choice([0, 1, 11, 54], points),
            compute_stamps_s=stamps(9),
            availability=random.integers(35, 101, 9),
            battery_level=random.integers(-1, 100, 9),
            active_s=stamps(4),
            inactive_s=stamps(4),
        )
        for points in (200, 31, 7)
    ]
    section = DevicesSection(clock_factor=2.0)
    return TracedDevices.of(ids(5, 0, 1, 2, 3, 4), Population.from_profiles(devices), 17, section)


@pytest.mark.parametrize(
    ("fields", "scale", "expected"),
    [
        ({"cpu_flops": 40e9, "gpu_flops": 3.375e9, "peak_throughput_mbps": 433}, 1.0, (1.575058, 0.707581, 3.150115)),
        (
            {"cpu_flops": 40e9, "gpu_flops": 3.375e9, "peak_throughput_mbps": 433},
            30.0,
            (47.251732, 21.227424, 94.503464),
        ),
        (
            {"cpu_flops": 4e9, "peak_throughput_mbps": 72, "rate": [11], "availability": [35], "battery_level": [5]},
            30.0,
            (1395.0, 1644.17773, 2790.0),
        ),
    ],
)
def test_golden_phase_times_of_the_reference(
    device: Any, fields: dict[str, Any], scale: float, expected: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reference section 2.6, without noise."""
    monkeypatch.setattr("fedswarm.devices.traced.compute_noise", lambda *_: np.ones(1))
    population = Population.from_profiles([device(**fields)])
    devices = TracedDevices.of(ids(0), population, 1, DevicesSection(clock_factor=scale))
    times = devices.phase_times(ids(0), 0, 1000.0, SPEECH)
    assert (times.download_s[0], times.compute_s[0], times.upload_s[0]) == pytest.approx(expected, rel=1e-6)
    assert times.total_s[0] == pytest.approx(sum(expected), rel=1e-6)


def test_phases_follow_each_other_on_the_trace(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Download until 100 at 54 Mb/s, compute 60 s, and the upload meets the slower link."""
    monkeypatch.setattr("fedswarm.devices.traced.compute_noise", lambda *_: np.ones(1))
    population = Population.from_profiles([device(network_stamps_s=[0, 101], rate=[54, 27], cpu_flops=16_000.0)])
    devices = TracedDevices.of(ids(0), population, 1, DevicesSection())
    times = devices.phase_times(ids(0), 0, 0.0, work_for(1, mbit=5400.0))
    assert (times.download_s[0], times.compute_s[0]) == (100.0, 60.0)
    assert times.upload_s[0] == 2 * 5400.0 / 27.0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1e6), mbit=st.floats(0, 1e4), dropout=st.sampled_from([0.0, 0.7]), client=st.integers(0, 5))
def test_a_client_alone_gets_the_planned_times_to_the_last_bit(
    world: TracedDevices, start: float, mbit: float, dropout: float, client: int
) -> None:
    """What the executor simulates scalar by scalar is what the aggregator planned for all at once."""
    everybody = ids(0, 1, 2, 3, 4, 5)
    work = work_for(6, mbit, dropout)
    planned = world.phase_times(everybody, 9, start, work)
    alone = world.client_time(client, 9)
    received = alone.finish_transfer(start, work.download_mbit(alone.network_scale))
    trained = alone.finish_compute(received, float(work.compute_flop(alone.compute_scale)[0]))
    sent = alone.finish_transfer(trained, float(work.upload_mbit(alone.network_scale)))
    assert planned.download_s[client] == received - start
    assert planned.compute_s[client] == trained - received
    assert planned.upload_s[client] == sent - trained
    ends = start + planned.total_s
    stays = world.active_throughout(everybody, start, ends)
    assert alone.active_throughout(start, float(ends[client])) == stays[client]
    here = alone.active_throughout(start, math.nextafter(start, math.inf))
    assert here == (client in world.online(start))


@pytest.mark.parametrize("client", [1, 4])
def test_speeds_at_an_instant_are_those_of_the_tables(world: TracedDevices, client: int) -> None:
    network, compute, (row,) = world._traces(ids(client))
    alone, at, noise = world.client_time(client, 2), np.asarray([DAY_S]), compute_noise(17, 2, ids(client))
    assert alone.bandwidth_mbps(DAY_S) == network.speed(ids(row), at)[0]
    assert alone.speed_flops(DAY_S) == compute.speed(ids(row), at)[0] * noise[0]


def test_who_is_asked_together_with_whom_plays_no_part(world: TracedDevices) -> None:
    """Defect D20: results depended on the executor that ran the client."""
    together = world.phase_times(ids(0, 4, 2), 3, 100.0, work_for(3))
    for at, client in enumerate((0, 4, 2)):
        assert world.phase_times(ids(client), 3, 100.0, work_for(1)).total_s[0] == together.total_s[at]


def test_noise_is_on_compute_alone_and_anew_each_round(world: TracedDevices) -> None:
    first, second = (world.phase_times(ids(0), index, 0.0, work_for(1)) for index in (0, 1))
    assert first.download_s == second.download_s
    assert first.compute_s != second.compute_s


def test_a_device_that_never_gets_there_takes_for_ever(device: Any) -> None:
    population = Population.from_profiles([device(rate=[0]), device(availability=[0]), device()])
    devices = TracedDevices.of(ids(0, 1, 2), population, 1, DevicesSection())
    times = devices.phase_times(ids(0, 1, 2), 0, 5.0, work_for(3))
    assert np.isinf(times.total_s).tolist() == [True, True, False]
    assert np.isinf(times.download_s).tolist() == [True, False, False]
    assert np.isinf(times.compute_s).tolist() == [True, True, False]


def test_online_are_the_ids_in_ascending_order_whose_row_is_active(device: Any) -> None:
    devices = [device(active_s=[0], inactive_s=[50]), device(active_s=[40], inactive_s=[90])]
    world = TracedDevices.of(ids(9, 4, 3, 2), Population.from_profiles(devices), 1, DevicesSection())
    assert world.online(10.0).tolist() == [2, 4]
    assert world.online(45.0).tolist() == [2, 3, 4, 9]
    assert world.online(172_800.0 + 60.0).tolist() == [3, 9]


def test_only_the_clients_of_the_run_decide_who_is_next(device: Any) -> None:
    """Defect D16: with nobody online, the run goes on when somebody comes."""
    devices = [device(active_s=[3600], inactive_s=[7200]), device(active_s=[60], inactive_s=[120])]
    world = TracedDevices.of(ids(0, 2), Population.from_profiles(devices), 1, DevicesSection())
    assert world.next_online_s(0.0) == 3600.0
    assert world.next_online_s(5000.0) == 5000.0
    assert world.next_online_s(7200.0) == 172_800.0 + 3600.0


def test_a_negative_id_is_refused(device: Any) -> None:
    with pytest.raises(DataError, match="client id -1 is negative"):
        TracedDevices.of(ids(3, -1), Population.from_profiles([device()]), 1, DevicesSection())


def test_scales_follow_the_clock_factor_unless_given(device: Any) -> None:
    section = DevicesSection(clock_factor=30.0, compute_scale=5.0)
    world = TracedDevices.of(ids(0), Population.from_profiles([device()]), 1, section)
    assert (world.compute_scale, world.network_scale) == (5.0, 30.0)
    alone = world.client_time(0, 0)
    assert (alone.compute_scale, alone.network_scale) == (5.0, 30.0)
