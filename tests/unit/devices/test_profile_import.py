import pickle
import random
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.devices.capacity_records import CapacityUnits, behaviour_presence, capacity_profile, two_days
from fedswarm.devices.population import Population
from fedswarm.devices.profile_import import ImportSettings, import_profiles
from fedswarm.devices.time_model import Workload
from fedswarm.devices.traced import TracedDevices
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DevicesSection

CYCLE_S = 172_800


def traced(**changes):
    """A record in the form of the 12,641-device file; a value of None drops the field."""
    record = {
        "id": 0, "livelab-id": 17, "uid": "B03", "model": "Fire HDX 8.9 (2014)", "brand": "Amazon",
        "osVersion": "4.2.2", "OS": "Android 4.4 (KitKat - customized)", "timeZone": "Europe/Helsinki",
        "network_technology": "None", "CPU": "Quad-core 2.5 GHz", "CPU_FLOPS": 40_000_000_000, "GPU_FLOPS": 3.375e9,
        "internal_memory": "16/32/64 GB", "RAM": "2 GB RAM", "WLAN": "802.11 a/b/g/n/ac", "peak_throughput": 433,
        "battery": "Non-removable Li-Ion battery",
        "timestamps-livelab": [0, 100, 200, 172_700], "rate": [54, 11, 36, 5], "rssi": [-50, -105],
        "timestamps-carat": [60, 9000], "availability": [61, 100], "batteryLevel": [93, -1],
        "active": [0, 5000], "inactive": [3600, 9000],
    } | changes  # fmt: skip
    return {field: value for field, value in record.items() if value is not None}


def behaviour(active, inactive, finish_time, **changes):
    return {
        "duration": 1, "inactive": inactive, "active": active, "finish_time": finish_time, "model": "LG-K350",
    } | changes  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """Writes a pickle and returns its path."""

    def write(content, name="devices.pkl", protocol=4):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        return path

    return write


def sole(imported):
    assert imported.excluded == []
    (profile,) = imported.profiles
    return profile


def online_s(presence):
    population = Population.from_profiles(
        [capacity_profile({"computation": 1, "communication": 1}, CapacityUnits(), presence)]
    )
    activity = population.activity
    return list(zip(activity.starts_s.tolist(), activity.ends_s.tolist(), strict=True))


def test_a_traced_record_keeps_every_field_of_use(file):
    profile = sole(import_profiles([file(OrderedDict({0: traced()}))]))
    assert (profile.cpu_flops, profile.gpu_flops, profile.peak_throughput_mbps) == (40e9, 3.375e9, 433.0)
    assert (profile.model, profile.brand, profile.os_version) == ("Fire HDX 8.9 (2014)", "Amazon", "4.2.2")
    assert (profile.os, profile.ram) == ("Android 4.4 (KitKat - customized)", "2 GB RAM")
    assert (profile.internal_memory, profile.battery) == ("16/32/64 GB", "Non-removable Li-Ion battery")
    assert (profile.cpu, profile.wlan) == ("Quad-core 2.5 GHz", "802.11 a/b/g/n/ac")
    assert (profile.network_technology, profile.chipset) == ("", "")  # "None", and not in the record
    assert (profile.time_zone, profile.uid) == ("Europe/Helsinki", "B03")
    assert profile.network_stamps_s.tolist() == [0, 100, 200, 172_700]
    assert profile.rate.tolist() == [54, 11, 36, 5]
    assert profile.compute_stamps_s.tolist() == [60, 9000]
    assert profile.availability.tolist() == [61, 100]
    assert profile.battery_level.tolist() == [93, -1]
    assert (profile.active_s.tolist(), profile.inactive_s.tolist()) == ([0, 5000], [3600, 9000])


def test_an_imported_device_takes_the_golden_times_of_the_reference(file):
    """Reference section 2.6, constant traces; only the noise of computing is not in its figures."""
    constant = {
        "timestamps-livelab": [0],
        "rate": [54],
        "timestamps-carat": [0],
        "availability": [100],
        "batteryLevel": [99],
    }
    imported = import_profiles([file({0: traced(**constant)})])
    world = TracedDevices.of(np.asarray([0]), Population.from_profiles(imported.profiles), 1, DevicesSection())
    work = Workload(682.0, 21_313_415, batch_size=16, steps=np.asarray([30], dtype=np.int64))
    times = world.phase_times(np.asarray([0]), 0, 0.0, work)
    assert (times.download_s[0], times.upload_s[0]) == pytest.approx((1.575058, 3.150115), rel=1e-6)


@pytest.mark.parametrize("first", [0, 1])
def test_devices_come_in_the_order_of_their_ids_wherever_these_begin(file, first):
    records = {first + place: traced(peak_throughput=place + 1) for place in (2, 0, 1)}
    imported = import_profiles([file(records)])
    assert [profile.peak_throughput_mbps for profile in imported.profiles] == [1, 2, 3]


def test_clients_missing_from_the_map_are_told(file):
    imported = import_profiles([file(dict.fromkeys([1, 2, 4, 2**62], traced()))])
    assert len(imported.profiles) == 4
    assert [told.split(": ", 1)[1] for told in imported.excluded] == [
        "client 3: missing from the map, whose ids go from 2 to 4 there",
        f"clients 5 to {2**62 - 1}: missing from the map, whose ids go from 4 to {2**62} there",
    ]


def test_arrays_smoothed_rates_and_missing_texts_are_taken(file):
    record = traced(rate=np.asarray([54.0, 10.5, 36, 5]), model=None, RAM="None", osVersion=6.0)
    profile = sole(import_profiles([file({0: record})]))
    assert profile.rate.tolist() == [54, 10.5, 36, 5]
    assert (profile.model, profile.ram, profile.os_version) == ("", "", "6.0")


NESTED = [1]
for _ in range(60):
    NESTED = [NESTED, NESTED]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"CPU_FLOPS": None}, "CPU_FLOPS is missing"),
        ({"CPU_FLOPS": "fast"}, "CPU_FLOPS is a str"),
        ({"GPU_FLOPS": -1.0}, r"GPU_FLOPS is -1"),
        ({"GPU_FLOPS": NESTED}, "GPU_FLOPS is a list"),
        ({"peak_throughput": float("nan")}, "peak_throughput is nan"),
        ({"rate": [54, 11, 36]}, "rate has 3 samples, timestamps-livelab has 4"),
        ({"rate": [54, -11, 36, 5]}, r"rate\[1\] is -11"),
        ({"rate": [54, float("nan"), 36, 5]}, r"rate\[1\] is nan"),
        ({"rate": [54, None, 36, 5]}, "rate holds NoneType"),
        ({"rate": [54, NESTED, 36, 5]}, "rate holds list"),
        ({"rate": {}}, "rate is a dict"),
        ({"rate": [], "timestamps-livelab": []}, "timestamps-livelab is empty"),
        ({"timestamps-livelab": [0, 300, 200, 400]}, r"timestamps-livelab\[2\] is 200 after 300"),
        ({"timestamps-livelab": [0, 100, 200, 172_801]}, r"timestamps-livelab\[3\] is 172801"),
        ({"timestamps-carat": None}, "timestamps-carat is missing"),
        ({"availability": [61, 101]}, r"availability\[1\] is 101"),
        ({"batteryLevel": [True, False]}, "batteryLevel holds bool"),
        ({"active": [-1]}, r"active\[0\] is -1"),
        ({"inactive": "never"}, "inactive is a str"),
        ({"OS": NESTED}, "OS is a list"),
        ({"model": "x" * 501}, "model is 'xxx"),
    ],
)
def test_a_bad_record_is_told_by_file_client_and_field_and_left_out(file, changes, told):
    path = file({4: traced(), 5: traced(**changes), 6: traced()})
    imported = import_profiles([path])
    assert len(imported.profiles) == 2
    (line,) = imported.excluded
    assert line.startswith(f"{path}: client 5: ")
    with pytest.raises(DataError, match=told):
        raise DataError(line)


@pytest.mark.parametrize("record", [None, [], "text", 7, NESTED])
def test_a_record_that_is_no_dictionary_is_left_out(file, record):
    imported = import_profiles([file({0: traced(), 1: record})])
    assert "client 1: is a" in imported.excluded[0]


def test_a_client_whose_id_is_text_is_left_out(file):
    imported = import_profiles([file({0: traced(), "one": traced()})])
    assert (len(imported.profiles), len(imported.excluded)) == (1, 1)
    assert "'one'" in imported.excluded[0]


@pytest.mark.parametrize("content", [[], {}, {1: {"weather": "fair"}}, {1: 2}, 5])
def test_a_file_without_devices_is_refused(file, content):
    with pytest.raises(DataError, match=r"devices\.pkl: holds"):
        import_profiles([file(content)])


def test_files_follow_each_other_and_are_named_as_the_source(file):
    imported = import_profiles([file({0: traced()}, "a.pkl"), file({0: traced(), 1: traced()}, "b.pkl")])
    assert imported.provenance == ("imported: 1 devices of a.pkl (traced devices); 2 devices of b.pkl (traced devices)")


def test_only_so_many_clients_are_read(file):
    imported = import_profiles([file({client: traced() for client in range(9)})], ImportSettings(clients=4))
    assert len(imported.profiles) == 4


def test_a_capacity_takes_the_time_that_fedscale_says(file):
    """Computation: 3 * batch * steps * ms / 1000 seconds; communication: kibibit over kibibit a second."""
    imported = import_profiles(
        [file({1: {"computation": 153.0, "communication": 2209.6}}, protocol=2)],
        ImportSettings(units=CapacityUnits(reference_weights=1000)),
    )
    profile = sole(imported)
    assert 3 * 1000 * 16 * 30 / profile.cpu_flops == pytest.approx(3.0 * 16 * 30 * 153 / 1000)
    one_mebibyte_mbit = 1024 * 1024 * 8 / 1e6
    assert one_mebibyte_mbit / profile.peak_throughput_mbps == pytest.approx(1024 * 8 / 2209.6)
    assert (profile.rate.tolist(), profile.availability.tolist(), profile.battery_level.tolist()) == ([54], [100], [99])


def test_a_capacity_of_oort_is_a_speed(file):
    units = CapacityUnits("samples-per-second", reference_weights=1000)
    profile = sole(
        import_profiles([file({1: {"computation": 25.0, "communication": 9000.0}})], ImportSettings(units=units))
    )
    assert 3 * 1000 * 16 * 30 / profile.cpu_flops == pytest.approx(3 * 16 * 30 / 25.0)


def test_without_behaviour_capacities_are_always_there(file):
    imported = import_profiles([file({1: {"computation": 15, "communication": 1e4}})])
    assert Population.from_profiles(imported.profiles).activity.active_throughout(
        np.asarray([0]), 5.0, np.asarray([1e6])
    )


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"computation": 0, "communication": 9.0}, "computation is 0"),
        ({"computation": 5.0}, "communication is missing"),
        ({"computation": 5.0, "communication": float("inf")}, "communication is inf"),
    ],
)
def test_a_bad_capacity_is_left_out(file, record, told):
    imported = import_profiles([file({1: {"computation": 15, "communication": 1e4}, 2: record})])
    assert "client 2: " + told in imported.excluded[0]


def test_behaviours_are_dealt_in_turn_by_client_id(file):
    capacities = file({client: {"computation": 15, "communication": 1e4} for client in range(1, 6)})
    present = {1: behaviour([0], [86_400], 86_400), 2: behaviour([], [], 86_400)}
    imported = import_profiles([capacities], ImportSettings(behaviour=file(present, "behaviour.pkl")))
    activity = Population.from_profiles(imported.profiles).activity
    assert activity.active_rows(3600.0).tolist() == [False, True, False, True, False]


def test_a_bad_behaviour_is_left_out_and_the_others_dealt(file):
    capacities = file({client: {"computation": 15, "communication": 1e4} for client in range(3)})
    present = file({1: behaviour([0], [], 86_400), 2: behaviour([0], [86_400], 86_400)}, "behaviour.pkl")
    imported = import_profiles([capacities], ImportSettings(behaviour=present))
    assert len(imported.profiles) == 3
    assert imported.excluded == [f"{present}: client 1: active has 1 instants, inactive 0: they must come in pairs"]


def test_traced_devices_take_no_behaviour_file(file):
    settings = ImportSettings(behaviour=file({1: behaviour([0], [86_400], 86_400)}, "behaviour.pkl"))
    with pytest.raises(DataError, match="leave the behaviour file out"):
        import_profiles([file({0: traced()})], settings)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (behaviour([0], [10], 0), "finish_time is 0"),
        (behaviour([0], [10], float("nan")), "finish_time is nan"),
        (behaviour([0, 5], [10, 20], 86_400), "take turns"),
        (behaviour([20], [10], 86_400), "take turns"),
        (behaviour([-5], [10], 86_400), "take turns"),
        (behaviour([0], [86_401], 86_400), "take turns"),
        (behaviour([0], [float("nan")], 86_400), "take turns"),
    ],
)
def test_a_bad_behaviour_is_told_by_field(record, told):
    with pytest.raises(DataError, match=told):
        behaviour_presence(record, 1)


def test_a_day_long_behaviour_is_told_twice():
    assert online_s(behaviour_presence(behaviour([3600], [7200], 86_400), 1)) == [(3600, 7200), (90_000, 93_600)]


def test_a_long_behaviour_gives_two_days_of_its_own():
    """The published example, 13 days long: what is kept is what it says of those two days."""
    record = behaviour([51490, 60870, 140727, 164520], [59046, 87718, 161219, 1081886], 1_123_200)
    kept = {tuple(online_s(behaviour_presence(record, client))) for client in range(100)}
    assert kept == {
        tuple(
            online_s(
                two_days(np.asarray(record["active"]), np.asarray(record["inactive"]), 1_123_200.0, day * 86_400.0)
            )
        )
        for day in range(13)
    }


@given(st.lists(st.integers(0, 400_000), max_size=12, unique=True), st.integers(0, 14), st.integers(0, 50_000))
def test_two_days_are_what_the_behaviour_says_second_by_second(boundaries, day, more_s):
    boundaries = sorted(boundaries)[: len(boundaries) // 2 * 2]
    begin, end = np.asarray(boundaries[::2], dtype=float), np.asarray(boundaries[1::2], dtype=float)
    cycle_s = max([86_400, *boundaries]) + more_s
    kept = online_s(two_days(begin, end, float(cycle_s), day * 86_400.0))
    for instant in random.Random(1).sample(range(CYCLE_S), 200):
        original = (day * 86_400 + instant) % cycle_s
        expected = bool(np.any((begin <= original) & (original < end)))
        assert any(start <= instant < stop for start, stop in kept) == expected


def test_the_share_of_time_online_survives_the_cut():
    begin, end = np.asarray([0.0, 500_000.0]), np.asarray([90_000.0, 600_000.0])
    shares = [
        sum(stop - start for start, stop in online_s(two_days(begin, end, 864_000.0, day * 86_400.0))) / CYCLE_S
        for day in range(10)
    ]
    assert np.mean(shares) == pytest.approx(190_000 / 864_000)
