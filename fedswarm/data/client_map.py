"""FedScale's client maps: CSV files ``client_id,sample_path,label_name,label_id``, one row a training sample.

``sample_path`` is a sample's name in the data set, or else its index there. Rows need no order, client ids may have
gaps, and the label columns are not needed: the data set knows its labels.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import DataError

HEADER: Final = ("client_id", "sample_path", "label_name", "label_id")
MAX_UNKNOWN_SHARE: Final = 0.01


@dataclass(frozen=True)
class ClientMap:
    """Pairs of client and sample, both int64 ``(rows,)``, and how many rows named no sample of the data set."""

    client_ids: NDArray[np.int64]
    sample_indices: NDArray[np.int64]
    unknown_rows: int


def read_client_map(path: Path, samples: int, sample_names: Sequence[str] | None = None) -> ClientMap:
    """Reads ``path`` against a data set of ``samples`` training samples and, if it has them, their names.

    Raises :class:`DataError` for a file that is missing or no client map, a row that is none, and when more than 1 %
    of the rows name unknown samples: then the map was made for other data.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            header = tuple(column.strip() for column in next(rows, []))
            if header[:2] != HEADER[:2]:
                raise DataError(f"{path}:1: the header is {','.join(header)!r}, expected {','.join(HEADER)!r}")
            mapping = _resolve(path, rows, samples, _positions(path, sample_names))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the client map {path}: {error}") from error
    total = mapping.unknown_rows + len(mapping.client_ids)
    if mapping.unknown_rows > MAX_UNKNOWN_SHARE * total:
        raise DataError(
            f"{path}: {mapping.unknown_rows} of {total} rows name samples that the data set lacks "
            f"(more than {MAX_UNKNOWN_SHARE:.0%}): the map belongs to other data"
        )
    return mapping


def _positions(path: Path, sample_names: Sequence[str] | None) -> dict[str, int]:
    positions = {name: index for index, name in enumerate(sample_names or ())}
    if sample_names is not None and len(positions) != len(sample_names):
        raise DataError(f"{path} cannot be resolved: the data set's {len(sample_names)} sample names are not unique")
    return positions


def _resolve(path: Path, rows: Iterable[list[str]], samples: int, positions: dict[str, int]) -> ClientMap:
    client_ids: list[int] = []
    indices: list[int] = []
    unknown_rows = 0
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) < 2 or not row[0].strip().isdecimal():
            raise DataError(f"{path}:{line}: {','.join(row)!r} does not start with a client number and a sample")
        index = _position(row[1].strip(), samples, positions)
        if index is None:
            unknown_rows += 1
            continue
        client_ids.append(int(row[0]))
        indices.append(index)
    return ClientMap(_integers(path, client_ids), np.array(indices, dtype=np.int64), unknown_rows)


def _position(sample: str, samples: int, positions: dict[str, int]) -> int | None:
    if sample in positions:
        return positions[sample]
    if sample.isdecimal() and int(sample) < samples:
        return int(sample)
    return None


def _integers(path: Path, client_ids: list[int]) -> NDArray[np.int64]:
    try:
        return np.array(client_ids, dtype=np.int64)
    except OverflowError as error:
        raise DataError(f"{path}: client id {max(client_ids)} is too large") from error
