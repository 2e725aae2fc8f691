import json
import os
import pickle

import pytest

from fedswarm.cli.sparkline import sparkline


def traced_record(**changes):
    return {
        "CPU_FLOPS": 4e9, "GPU_FLOPS": 0, "peak_throughput": 72, "model": "Nexus \x1b[31m5",
        "timestamps-livelab": [0], "rate": [54], "timestamps-carat": [0], "availability": [60], "batteryLevel": [90],
        "active": [0], "inactive": [86_400],
    } | changes  # fmt: skip


@pytest.fixture
def two_devices(fedswarm, tmp_path):
    """A small synthetic population file."""
    fedswarm("devices", "synthesize", "--clients", "2", "--network-points", "20", "--out", "two.safetensors")
    return "two.safetensors"


def test_synthesize_prints_the_file_and_tells_what_it_made(fedswarm):
    code, out, err = fedswarm("devices", "synthesize", "--clients", "3", "--seed", "9", "--out", "made.safetensors")
    assert (code, out) == (0, "made.safetensors\n")
    assert "synthetic: 3 devices, seed 9" in err


def test_a_synthetic_population_has_a_name_by_default(fedswarm, tmp_path):
    assert fedswarm("devices", "synthesize", "--clients", "3", "--seed", "9")[1] == "devices_3_9.safetensors\n"
    assert (tmp_path / "devices_3_9.safetensors").is_file()


def test_equal_seeds_give_equal_files(fedswarm, tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        fedswarm("devices", "synthesize", "--clients", "3", "--seed", seed, "--out", name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_synthesize_as_json(fedswarm):
    facts = json.loads(fedswarm("devices", "synthesize", "--clients", "3", "--out", "made", "--json")[1])
    assert (facts["file"], facts["devices"], facts["excluded"]) == ("made", 3, 0)


def test_an_impossible_trace_is_exit_code_12(fedswarm):
    code, out, err = fedswarm("devices", "synthesize", "--network-points", "0", "--out", "made")
    assert (code, out) == (12, "")
    assert "choose 1 to" in err


def test_import_reports_what_it_left_out(fedswarm, tmp_path):
    records = {0: traced_record(), 1: traced_record(rate=[-1]), 2: traced_record(active=None)}
    (tmp_path / "devices.pkl").write_bytes(pickle.dumps(records))
    code, out, err = fedswarm("devices", "import", "devices.pkl", "--out", "p.safetensors")
    assert (code, out) == (0, "p.safetensors\n")
    assert "left out: devices.pkl: client 1: rate[0] is -1" in err
    assert "left out: devices.pkl: client 2: active is a NoneType" in err
    assert "1 devices imported, 2 left out" in err


def test_many_left_out_are_counted_not_listed(fedswarm, tmp_path):
    records = {0: traced_record()} | {client: {} for client in range(1, 51)}
    (tmp_path / "devices.pkl").write_bytes(pickle.dumps(records))
    err = fedswarm("devices", "import", "devices.pkl", "--out", "p.safetensors")[2]
    assert err.count("left out: ") == 20
    assert "... and 30 more" in err
    facts = json.loads(fedswarm("devices", "inspect", "p.safetensors", "--json")[1])
    assert (facts["devices"], facts["excluded"]) == (1, 50)


def test_import_of_capacities_with_behaviour(fedswarm, tmp_path):
    (tmp_path / "capacity").write_bytes(pickle.dumps({1: {"computation": 30.0, "communication": 9000.0}}))
    presence = {"duration": 1, "active": [0], "inactive": [43_200], "finish_time": 86_400, "model": "LG"}
    (tmp_path / "behaviour").write_bytes(pickle.dumps({1: presence}))
    facts = json.loads(fedswarm("devices", "import", "capacity", "--behaviour", "behaviour", "--out", "p", "--json")[1])
    assert "1 devices of capacity" in facts["provenance"]
    assert json.loads(fedswarm("devices", "inspect", "p", "--json")[1])["mean_online_share"] == pytest.approx(0.5)


def test_a_hostile_pickle_is_exit_code_12_and_leaves_nothing(fedswarm, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'executed'}",)

    (tmp_path / "devices.pkl").write_bytes(pickle.dumps({0: Hostile()}))
    code, out, err = fedswarm("devices", "import", "devices.pkl", "--out", "p.safetensors")
    assert (code, out) == (12, "")
    assert "system" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["devices.pkl"]


def test_inspect_shows_the_shipped_population(fedswarm):
    code, out, err = fedswarm("devices", "inspect")
    assert code == 0
    assert out.startswith("1000 devices, 0 left out, 14 never online")
    assert "online over 48 hours, 38.6 % on average" in out
    assert "synthetic" in err


def test_inspect_as_json_is_one_line(fedswarm, two_devices):
    out = fedswarm("devices", "inspect", two_devices, "--json")[1]
    facts = json.loads(out)
    assert out.count("\n") == 1
    assert facts["network_samples"] == 40
    assert len(facts["online_share"]) == 96
    assert facts["percentiles"] == [5, 25, 50, 75, 95]


def test_inspect_shows_a_devices_week(fedswarm, two_devices):
    out = fedswarm("devices", "inspect", two_devices, "--device", "1")[1]
    assert out.startswith("device 1: ")
    assert out.count("day 7 |") == 3
    week = json.loads(fedswarm("devices", "inspect", two_devices, "--device", "1", "--json")[1])["week"]
    assert {name: len(values) for name, values in week.items()} == dict.fromkeys(week, 336)


def test_inspect_draws_when_asked(fedswarm, two_devices, tmp_path):
    fedswarm("devices", "inspect", two_devices, "--plot", "population.png")
    code, _, err = fedswarm("devices", "inspect", two_devices, "--device", "0", "--plot", "week.png")
    assert (code, "drawn: week.png" in err) == (0, True)
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("population.png", "week.png"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--device", "7"], "device 7 is not there"),
        (["--plot", "out.nothing"], "cannot draw out.nothing"),
        (["--plot", "absent/out.png"], "cannot draw absent"),
    ],
)
def test_mistakes_of_inspect_are_exit_code_12(fedswarm, two_devices, arguments, told):
    code, _, err = fedswarm("devices", "inspect", two_devices, *arguments)
    assert (code, told in err) == (12, True)


def test_texts_of_a_file_do_nothing_to_the_terminal(fedswarm, tmp_path):
    (tmp_path / "devices.pkl").write_bytes(pickle.dumps({0: traced_record()}))
    fedswarm("devices", "import", "devices.pkl", "--out", "p")
    out = fedswarm("devices", "inspect", "p", "--device", "0")[1]
    assert "Nexus ?[31m5\n" in out


def test_a_sparkline_is_blank_only_where_there_is_nothing():
    assert sparkline([0.0, 0.001, 0.5, 0.99, 1.0, 2.0], most=1.0) == " .=@@@"
    assert sparkline([0.0, 0.0], most=0.0) == "  "
