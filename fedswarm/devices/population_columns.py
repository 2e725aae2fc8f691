"""A population as named columns, and back: the shape of a population file, checked column by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.activity import Activity
from fedswarm.devices.population import Population, TextColumn
from fedswarm.devices.profile import LONGEST_TEXT, STAMPS_PER_S, TEXT_FIELDS, VALUE_STEPS
from fedswarm.devices.ragged import Offsets
from fedswarm.devices.trace_rules import (
    COMPUTE_RANGES,
    NETWORK_RANGES,
    SPEED_RANGES,
    STAMPS,
    Fault,
    empty_faults,
    grid_faults,
    interval_faults,
    order_faults,
    range_faults,
)
from fedswarm.errors import DataError

Column = NDArray[Any]

STAMP_DTYPES: Final = ("<f4",)
VALUE_DTYPES: Final = ("<f4", "|u1", "|i1")


def columns_of(population: Population) -> dict[str, Column]:
    """Every array of the population under its name in a file."""
    return {
        **{f"speeds.{name}": column for name, column in population.speeds.items()},
        **{f"texts.{name}": column.codes for name, column in population.texts.items()},
        "network.offsets": population.network_offsets,
        **{f"network.{name}": column for name, column in population.network.items()},
        "compute.offsets": population.compute_offsets,
        **{f"compute.{name}": column for name, column in population.compute.items()},
        "activity.offsets": population.activity.offsets,
        "activity.starts_s": population.activity.starts_s,
        "activity.ends_s": population.activity.ends_s,
    }


def population_of(columns: Mapping[str, Column], about: Mapping[str, Any], max_devices: int) -> Population:
    """The population of these columns; raises :class:`DataError`, naming the column, if they do not fit together."""
    devices = len(_column(columns, "speeds.cpu_flops", ("<f8",)))
    if not 0 < devices <= max_devices:
        raise DataError(f"speeds.cpu_flops has {devices} devices: there must be 1 to {max_devices}")
    activity_offsets = _offsets(columns, "activity", "starts_s", devices)
    intervals = int(activity_offsets[-1])
    network_offsets = _offsets(columns, "network", "network_stamps_s", devices)
    compute_offsets = _offsets(columns, "compute", "compute_stamps_s", devices)
    return Population(
        speeds={name: _column(columns, f"speeds.{name}", ("<f8",), devices) for name in SPEED_RANGES},
        texts={name: _texts(columns, name, about.get("texts"), devices) for name in TEXT_FIELDS},
        network_offsets=network_offsets,
        network=_series(columns, "network", NETWORK_RANGES, int(network_offsets[-1])),
        compute_offsets=compute_offsets,
        compute=_series(columns, "compute", COMPUTE_RANGES, int(compute_offsets[-1])),
        activity=Activity(
            activity_offsets,
            _column(columns, "activity.starts_s", STAMP_DTYPES, intervals),
            _column(columns, "activity.ends_s", STAMP_DTYPES, intervals),
        ),
        excluded=_strings(about.get("excluded"), "excluded"),
        provenance=_strings([about.get("provenance")], "provenance")[0],
    )


def faults_of(population: Population) -> Iterator[Fault]:
    """Why which rows break a rule that :class:`DeviceProfile` keeps."""
    each_row = np.arange(len(population) + 1)
    for name, limits in SPEED_RANGES.items():
        yield from range_faults(name, population.speeds[name], each_row, limits)
    for series, offsets, ranges in (
        (population.network, population.network_offsets, NETWORK_RANGES),
        (population.compute, population.compute_offsets, COMPUTE_RANGES),
    ):
        stamps = next(iter(ranges))
        yield from empty_faults(stamps, offsets)
        yield from order_faults(stamps, series[stamps], offsets)
        for name, limits in ranges.items():
            yield from range_faults(name, series[name], offsets, limits)
            yield from grid_faults(name, series[name], offsets, STAMPS_PER_S if name == stamps else VALUE_STEPS)
    activity = population.activity
    for name, instants in (("active_s", activity.starts_s), ("inactive_s", activity.ends_s)):
        yield from range_faults(name, instants, activity.offsets, STAMPS)
        yield from grid_faults(name, instants, activity.offsets, STAMPS_PER_S)
    yield from interval_faults(activity.starts_s, activity.ends_s, activity.offsets)


def _column(columns: Mapping[str, Column], name: str, dtypes: tuple[str, ...], length: int | None = None) -> Column:
    if name not in columns:
        raise DataError(f"{name} is missing")
    column = columns[name]
    if column.dtype.str not in dtypes:
        raise DataError(f"{name} is {column.dtype}, expected {' or '.join(dtypes)}")
    if length is not None and len(column) != length:
        raise DataError(f"{name} has {len(column)} entries, expected {length}")
    return column


def _offsets(columns: Mapping[str, Column], kind: str, flat: str, devices: int) -> Offsets:
    offsets = _column(columns, f"{kind}.offsets", ("<i8",), devices + 1)
    entries = len(_column(columns, f"{kind}.{flat}", STAMP_DTYPES))
    if offsets[0] != 0 or offsets[-1] != entries or np.any(offsets[1:] < offsets[:-1]):
        raise DataError(f"{kind}.offsets must ascend from 0 to {entries}, the entries of {kind}.{flat}")
    return offsets


def _series(columns: Mapping[str, Column], kind: str, names: Mapping[str, object], entries: int) -> dict[str, Column]:
    return {
        name: _column(columns, f"{kind}.{name}", STAMP_DTYPES if name.endswith("_s") else VALUE_DTYPES, entries)
        for name in names
    }


def _texts(columns: Mapping[str, Column], name: str, texts: Any, devices: int) -> TextColumn:
    codes = _column(columns, f"texts.{name}", ("<i4",), devices)
    known = _strings(texts.get(name) if isinstance(texts, dict) else None, f"texts.{name}")
    if any(len(text) > LONGEST_TEXT for text in known):
        raise DataError(f"texts.{name} holds a text of more than {LONGEST_TEXT} characters")
    if codes.min() < 0 or codes.max() >= len(known):
        raise DataError(f"texts.{name} refers to texts {codes.min()} to {codes.max()}, there are {len(known)}")
    return TextColumn(known, codes)


def _strings(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DataError(f"{name} in the metadata must be text")
    return tuple(values)
