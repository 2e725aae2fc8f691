"""Populations in files: safetensors, so that any tool can read the columns and none can hide code in them.

Each column is a tensor, named ``speeds.cpu_flops``, ``texts.model`` (numbers of texts), ``network.offsets``,
``network.rate``, ``activity.starts_s`` and so on; all of them are one-dimensional. The metadata has one key,
``fedswarm.population``: a JSON object with ``schema`` (2), ``provenance`` (prose), ``texts`` (a list for each text
column), ``excluded`` (a line for each device left out when the file was made) and ``blake3`` (the digest of all the
rest). Columns are mapped into memory, not read: processes of one host share them. Equal populations give equal bytes.

Reading trusts nothing: a file that is torn, changed or of another shape is refused, and a device that breaks a rule of
:mod:`fedswarm.devices.trace_rules` is left out and told in :attr:`Population.excluded`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fedswarm.devices.population import Population
from fedswarm.devices.population_columns import columns_of, faults_of, population_of
from fedswarm.errors import DataError

METADATA_KEY: Final = "fedswarm.population"
SCHEMA: Final = 2
MAX_DEVICES: Final = 2**24
DTYPES: Final = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1", "I8": "i1"}

Columns = Mapping[str, NDArray[Any]]


def save_population(path: Path, population: Population) -> None:
    """Writes all of the file or nothing; raises :class:`DataError` if it cannot."""
    columns = columns_of(population)
    about = {
        "schema": SCHEMA,
        "provenance": population.provenance,
        "texts": {name: list(column.texts) for name, column in population.texts.items()},
        "excluded": list(population.excluded),
    }
    about["blake3"] = _digest(columns, about)
    metadata = {METADATA_KEY: json.dumps(about, sort_keys=True)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, columns, metadata)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot write the population {path}: {error}") from error


def load_population(path: Path) -> Population:
    """The population of a file that :func:`save_population` wrote, its columns mapped.

    Raises :class:`DataError`, naming the file and the column, if it cannot be read, is no population, is damaged or
    has no device that keeps the rules.
    """
    try:
        about = _metadata(path)
        columns = _mapped_columns(path)
    except SafetensorError as error:
        hint = "'fedswarm devices import' makes a population of a pickle"
        raise DataError(f"cannot read the population {path}: {error}; {hint}") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"cannot read the population {path}: {error}") from error
    if about.pop("blake3", None) != _digest(columns, about):
        raise DataError(f"{path} is damaged: its content does not match its digest; make or fetch it again")
    try:
        population = population_of(columns, about, MAX_DEVICES)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return _without_faults(path, population)


def _write_atomically(path: Path, columns: Columns, metadata: dict[str, str]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.touch()
        mode = part.stat().st_mode  # what the umask leaves; safetensors takes the file from everybody but its owner
        save_file(dict(columns), part, metadata=metadata)
        part.chmod(mode)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _without_faults(path: Path, population: Population) -> Population:
    first_faults: dict[int, str] = {}
    for fault in faults_of(population):
        first_faults.setdefault(fault.row, fault.text)
    if not first_faults:
        return population
    told = [f"{path}: device {row}: {text}" for row, text in sorted(first_faults.items())]
    kept = np.setdiff1d(np.arange(len(population)), list(first_faults))
    if len(kept) == 0:
        raise DataError(f"none of the {len(population)} devices keeps the rules; the first: {told[0]}")
    return replace(population.take(kept), excluded=(*population.excluded, *told))


def _metadata(path: Path) -> dict[str, Any]:
    """The JSON object of the metadata; opening the file checks that header, sizes and length fit each other."""
    with safe_open(path, framework="numpy") as file:
        text = (file.metadata() or {}).get(METADATA_KEY)
    try:
        about = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise DataError(f"{path} has no {METADATA_KEY!r} in its metadata: it is not a population of fedswarm")
    if about.get("schema") != SCHEMA:
        raise DataError(f"{path} has schema {about.get('schema')!r}, this fedswarm reads {SCHEMA}: make the file anew")
    return about


def _mapped_columns(path: Path) -> dict[str, NDArray[Any]]:
    """Views into the mapped file, read-only."""
    content = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    data = 8 + int.from_bytes(content[:8].tobytes(), "little")
    columns = {}
    for name, tensor in json.loads(content[8:data].tobytes()).items():
        if name == "__metadata__":
            continue
        if tensor["dtype"] not in DTYPES or len(tensor["shape"]) != 1:
            raise DataError(f"{path}: {name} has shape {tensor['shape']} of {tensor['dtype']}: not a column of ours")
        start, end = tensor["data_offsets"]
        columns[name] = content[data + start : data + end].view(DTYPES[tensor["dtype"]])
    return columns


def _digest(columns: Columns, about: Mapping[str, Any]) -> str:
    hasher = blake3(json.dumps(about, sort_keys=True).encode())
    for name in sorted(columns):
        column = np.ascontiguousarray(columns[name])
        hasher.update(f"\n{name} {column.dtype.str} {len(column)}\n".encode())
        for piece in _pieces(column.view(np.uint8)):
            hasher.update(piece.data)
    return hasher.hexdigest()


def _pieces(content: NDArray[np.uint8], size: int = 2**24) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
