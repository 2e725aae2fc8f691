"""The IDX files in which MNIST and its relatives are published, plain or gzipped (LeCun, Cortes and Burges 1998).

A file is two zero bytes, a type code (8: unsigned bytes), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values in row-major order.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import DataError

UNSIGNED_BYTE: Final = 8
MAX_VALUES: Final = 1 << 31

Bytes = NDArray[np.uint8]

# Upstream's names; also what Debian's package and torchvision call them.
TRAIN: Final = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST: Final = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def has_idx(folder: Path) -> bool:
    """Whether ``folder`` holds all four files of a data set, each plain or gzipped."""
    return all(_find(folder, name) is not None for name in (*TRAIN, *TEST))


def read_images_and_labels(folder: Path, names: tuple[str, str]) -> tuple[Bytes, Bytes]:
    """Images ``(N, height, width)`` and labels ``(N,)`` of one half (:data:`TRAIN` or :data:`TEST`) of a data set.

    Raises :class:`DataError` if a file is missing, damaged, or the two do not belong together.
    """
    images, labels = (read_idx(_find(folder, name) or folder / name) for name in names)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"{folder}: {names[0]} {images.shape} and {names[1]} {labels.shape} do not belong together")
    return images, labels


def read_idx(path: Path) -> Bytes:
    """The array of unsigned bytes in one IDX file; raises :class:`DataError` on anything else."""
    try:
        with _open(path) as file:
            return _parse(file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _parse(file: BinaryIO, path: Path) -> Bytes:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTE or not 1 <= start[3] <= 4:
        raise DataError(f"{path} is not an IDX file of bytes: it starts with {start.hex() or 'nothing'}")
    header = file.read(4 * start[3])
    if len(header) < 4 * start[3]:
        raise DataError(f"{path} ends within its header: it is damaged")
    shape = struct.unpack(f">{start[3]}I", header)
    expected = int(np.prod(shape, dtype=np.float64))
    if expected > MAX_VALUES:
        raise DataError(f"{path} announces {expected} values of shape {shape}: more than the {MAX_VALUES} allowed")
    values = file.read(expected + 1)
    if len(values) != expected:
        found = "more" if len(values) > expected else str(len(values))
        raise DataError(f"{path} announces {expected} values of shape {shape} but holds {found}: it is damaged")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")
