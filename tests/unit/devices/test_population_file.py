from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fedswarm.devices import population_file
from fedswarm.devices.population import Population
from fedswarm.devices.population_columns import columns_of
from fedswarm.devices.population_file import METADATA_KEY, load_population, save_population
from fedswarm.devices.profile import TEXT_FIELDS
from fedswarm.errors import DataError

Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.fixture
def population(device: Any) -> Population:
    devices = [
        device(model="A", network_stamps_s=[0, 5, 9], rate=[54, 11, 1]),
        device(model="B", active_s=[10, 30], inactive_s=[20, 40]),
        device(model="A", active_s=[]),
    ]
    return Population.from_profiles(devices, provenance="made for a test")


@pytest.fixture
def path(tmp_path: Path, population: Population) -> Path:
    save_population(tmp_path / "devices.safetensors", population)
    return tmp_path / "devices.safetensors"


def tamper(path: Path, change: Change) -> None:
    """Changes columns and metadata and seals the file with a fitting digest, as an adversary would."""
    columns = load_file(path)
    about = population_file._metadata(path)
    del about["blake3"]
    change(columns, about)
    about["blake3"] = population_file._digest(columns, about)
    save_file(columns, path, metadata={METADATA_KEY: json.dumps(about)})


def test_a_file_gives_back_the_population(path: Path, population: Population) -> None:
    found = load_population(path)
    columns, expected = columns_of(found), columns_of(population)
    assert columns.keys() == expected.keys()
    for name, column in columns.items():
        np.testing.assert_array_equal(column, expected[name], strict=True)
    assert [found.texts[name].texts for name in TEXT_FIELDS] == [population.texts[name].texts for name in TEXT_FIELDS]
    assert (found.provenance, found.excluded) == ("made for a test", ())


def test_equal_populations_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    save_population(tmp_path / "again.safetensors", load_population(path))
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_whoever_may_read_what_the_user_makes_may_read_a_population(path: Path, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_columns_are_mapped_and_cannot_be_written(path: Path) -> None:
    rate = load_population(path).network["rate"]
    assert not rate.flags.writeable and not rate.flags.owndata


def test_what_was_left_out_stays_told(path: Path, population: Population) -> None:
    save_population(path, replace(population, excluded=("client 3: rate is empty",)))
    assert load_population(path).excluded == ("client 3: rate is empty",)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_torn_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    torn = path.with_name("torn")
    torn.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="cannot read the population"):
        load_population(torn)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed(path: Path, share: float, flip: int) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= flip
    changed = path.with_name("changed")
    changed.write_bytes(content)
    with pytest.raises(DataError):
        load_population(changed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda columns, about: columns.pop("network.rate"), "network.rate is missing"),
        (
            lambda columns, about: columns.update({"network.rate": np.zeros(9, np.uint8)}),
            "network.rate has 9 entries",
        ),
        (lambda columns, about: columns.update({"network.rate": np.zeros(5)}), "network.rate is float64, expected"),
        (lambda columns, about: columns.update({"network.rate": np.zeros((5, 1))}), "network.rate has shape"),
        (lambda columns, about: columns.update({"network.offsets": np.asarray([0, 4, 3, 5])}), "must ascend from 0"),
        (
            lambda columns, about: columns.update({"network.offsets": np.asarray([0, 3, 4, 2**60])}),
            "must ascend from 0",
        ),
        (lambda columns, about: columns.update({"activity.offsets": np.asarray([-1, 1, 3, 3])}), "must ascend from 0"),
        (
            lambda columns, about: columns.update({"texts.model": np.asarray([0, 1, 2], np.int32)}),
            "refers to texts 0 to 2",
        ),
        (lambda columns, about: columns.update({"texts.model": np.asarray([0, -1, 1], np.int32)}), "texts -1 to 1"),
        (lambda columns, about: about.update(texts=[]), "in the metadata must be text"),
        (lambda columns, about: about["texts"].update(model=["x" * 501, "B"]), "more than 500 characters"),
        (lambda columns, about: about.update(provenance=7), "provenance in the metadata must be text"),
        (lambda columns, about: about.update(schema=1), "has schema 1, this fedswarm reads 2"),
        (lambda columns, about: [columns.update({n: c[:0]}) for n, c in columns.items()], "has 0 devices"),
    ],
)
def test_a_sealed_file_of_another_shape_is_refused_by_column(path: Path, change: Change, told: str) -> None:
    tamper(path, change)
    with pytest.raises(DataError, match=told) as caught:
        load_population(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda columns, about: columns["network.network_stamps_s"].__setitem__(1, 900),
            r"stamps_s\[2\] is 9 after",
        ),
        (lambda columns, about: columns["network.network_stamps_s"].__setitem__(1, np.nan), r"stamps_s\[1\] is nan"),
        (lambda columns, about: columns["network.network_stamps_s"].__setitem__(1, 0.01), "a multiple of 1/64"),
        (lambda columns, about: columns["network.rate"].__setitem__(1, 55), r"rate\[1\] is 55: it must lie"),
        (lambda columns, about: columns["compute.battery_level"].__setitem__(0, 101), r"battery_level\[0\] is 101"),
        (lambda columns, about: columns["speeds.cpu_flops"].__setitem__(0, -1), r"cpu_flops\[0\] is -1"),
        (lambda columns, about: columns["activity.ends_s"].__setitem__(0, 0), "active interval 0, .* is empty"),
    ],
)
def test_a_device_that_breaks_a_rule_is_left_out_and_told(path: Path, change: Change, told: str) -> None:
    tamper(path, change)
    found = load_population(path)
    assert [found.profile(row).model for row in range(len(found))] == ["B", "A"]
    (line,) = found.excluded
    assert line.startswith(f"{path}: device 0: ")
    assert re.search(told, line)


def test_overlapping_intervals_leave_the_device_out(path: Path) -> None:
    tamper(path, lambda columns, about: columns["activity.starts_s"].__setitem__(2, 20))
    (line,) = load_population(path).excluded
    assert "device 1: active interval 1, [20, 40), is empty or begins before" in line


def test_a_file_without_a_single_sound_device_is_an_error(path: Path) -> None:
    tamper(path, lambda columns, about: columns["speeds.cpu_flops"].fill(np.nan))
    with pytest.raises(DataError, match=r"none of the 3 devices keeps the rules; the first: .*device 0"):
        load_population(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04.", (2**63).to_bytes(8, "little") + b"{}"])
def test_something_else_is_no_population(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "else"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot read the population"):
        load_population(path)


def test_a_checkpoint_is_no_population(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3)}, tmp_path / "weights.safetensors", metadata={"fedswarm.layout": "[]"})
    with pytest.raises(DataError, match="it is not a population of fedswarm"):
        load_population(tmp_path / "weights.safetensors")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the population .*absent"):
        load_population(tmp_path / "absent")


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path, population: Population) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the population"):
        save_population(tmp_path / "file" / "devices.safetensors", population)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
