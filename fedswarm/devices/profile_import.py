"""Device profiles out of the pickles in circulation.

Two formats are recognised by their fields: the 12,641-device file of the FedScale fork with Bliss
(:mod:`~fedswarm.devices.traced_records`) and FedScale's capacity file, with or without its behaviour file
(:mod:`~fedswarm.devices.capacity_records`). A file maps client ids to records; ids may begin at 0 or 1.

A record that is no device is reported, with file, client and field, and left out, and so is an id that is missing
between others; the rest is imported in the order of the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from fedswarm.devices.capacity_records import (
    ALWAYS,
    CapacityUnits,
    Presence,
    behaviour_presence,
    capacity_profile,
    is_capacity,
)
from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.restricted_pickle import read_pickle
from fedswarm.devices.traced_records import is_traced, traced_profile
from fedswarm.errors import DataError

Record = Mapping[Any, Any]
Converter = Callable[[Record, int], DeviceProfile]

RECORDS_LOOKED_AT: Final = 100


@dataclass
class ImportedProfiles:
    """What came out of one or more files; ``excluded`` tells, one line each, what did not and why."""

    profiles: list[DeviceProfile] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    provenance: str = ""


@dataclass(frozen=True)
class ImportSettings:
    """How files are read; ``clients`` limits how many records of each file are."""

    behaviour: Path | None = None
    units: CapacityUnits = field(default_factory=CapacityUnits)
    clients: int | None = None


def import_profiles(files: Sequence[Path], settings: ImportSettings = ImportSettings()) -> ImportedProfiles:
    """The devices of some pickles, file after file.

    Raises DataError for a file that cannot be read, holds anything but plain data or is of neither format.
    """
    imported = ImportedProfiles()
    presences = [ALWAYS]
    if settings.behaviour is not None:
        presences = _read_presences(settings.behaviour, imported)
    told = []
    for file in files:
        before = len(imported.profiles)
        records = _read_records(file, imported.excluded)
        kind, convert = _converter(file, records, settings, presences)
        for client, record in records[: settings.clients]:
            _convert_one(file, client, record, convert, imported)
        told.append(f"{len(imported.profiles) - before:,} devices of {file.name} ({kind})")
    if settings.behaviour is not None:
        told.append(f"presence of {len(presences):,} devices of {settings.behaviour.name}, two days of each")
    imported.provenance = "imported: " + "; ".join(told)
    return imported


def _converter(
    file: Path, records: Sequence[tuple[int, Any]], settings: ImportSettings, presences: Sequence[Presence]
) -> tuple[str, Converter]:
    looked_at = [record for _, record in records[:RECORDS_LOOKED_AT] if isinstance(record, dict)]
    if any(map(is_traced, looked_at)):
        if settings.behaviour is not None:
            raise DataError(f"{file}: its devices have traces of their own; leave the behaviour file out")
        return "traced devices", lambda record, _: traced_profile(record)
    if any(map(is_capacity, looked_at)):
        units = settings.units
        return (
            f"capacities, {units.computation}, as for a model of {units.reference_weights:,} weights",
            lambda record, place: capacity_profile(record, units, presences[place % len(presences)]),
        )
    raise DataError(
        f"{file}: holds no devices; expected records with CPU_FLOPS, rate, ... or with computation and communication"
    )


def _convert_one(file: Path, client: int, record: Any, convert: Converter, imported: ImportedProfiles) -> None:
    try:
        imported.profiles.append(convert(_as_record(record), client))
    except DataError as error:
        imported.excluded.append(f"{file}: client {client}: {error}")


def _read_presences(file: Path, imported: ImportedProfiles) -> list[Presence]:
    presences = []
    for client, record in _read_records(file, imported.excluded):
        try:
            presences.append(behaviour_presence(_as_record(record), client))
        except DataError as error:
            imported.excluded.append(f"{file}: client {client}: {error}")
    if not presences:
        raise DataError(f"{file}: no usable record; expected active, inactive and finish_time in each")
    return presences


def _as_record(record: Any) -> Record:
    if not isinstance(record, dict):
        raise DataError(f"is a {type(record).__name__}: it must be a dictionary of fields")
    return record


def _read_records(file: Path, excluded: list[str]) -> list[tuple[int, Any]]:
    """Ids and records of a file, ascending by id."""
    content = read_pickle(file)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{file}: holds a {type(content).__name__}; expected a dictionary from client id to record")
    excluded += [f"{file}: client {key[:40]!r}: its id is no number" for key in content if isinstance(key, str)]
    records = sorted((item for item in content.items() if isinstance(item[0], int)), key=itemgetter(0))
    excluded += [f"{file}: {gap}" for gap in _gaps([client for client, _ in records])]
    return records


def _gaps(ids: Sequence[int]) -> Iterator[str]:
    """Tells of clients between the first and the last that the map does not have; ids ascend."""
    for before, after in pairwise(ids):
        if after - before > 1:
            missing = f"client {before + 1}" if after - before == 2 else f"clients {before + 1} to {after - 1}"
            yield f"{missing}: missing from the map, whose ids go from {before} to {after} there"
