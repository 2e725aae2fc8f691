"""Finds the data set a job names: embedded, IDX files, a ``.npz`` archive, or a function of the user's own."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.data import idx
from fedswarm.data.dataset import ARRAYS, OPTIONAL_ARRAYS, Dataset, from_arrays
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DataSection
from fedswarm.jobs.vocabulary import nearest
from fedswarm.references import is_reference, resolve

# Mean and standard deviation of the full training sets' pixels on the scale 0..1, so that a subset and the whole
# agree about what a pixel means.
IDX_SCALES: Final = {"fashion_mnist": (0.2860, 0.3530), "mnist": (0.1307, 0.3081)}
IDX_CLASSES: Final = 10


def load_dataset(section: DataSection) -> Dataset:
    """The data set that ``section`` names, normalised; raises :class:`DataError` with the way out.

    - ``fashion_mnist``: the embedded subset, or the IDX files in ``section.folder``;
    - ``mnist``: the IDX files in ``section.folder``;
    - any other name: ``<name>.npz`` in ``section.folder`` (see :func:`fedswarm.data.dataset.from_arrays`);
    - ``module:function``: called with ``folder=``, returns a :class:`Dataset` or a mapping of such arrays.
    """
    name = section.name
    if is_reference(name):
        return _own(name, section.folder)
    if section.folder is None:
        return _embedded(name)
    folder = Path(section.folder)
    if not folder.is_dir():
        raise DataError(f"data folder {folder} does not exist: {_way_out(name, folder)}")
    if name in IDX_SCALES:
        return _idx(name, folder)
    return _archive(name, folder)


def _embedded(name: str) -> Dataset:
    if name == "fashion_mnist":
        with resources.as_file(resources.files("fedswarm.data") / "embedded" / "fashion_mnist.npz") as path:
            return from_arrays(name, _read_archive(path), IDX_CLASSES, IDX_SCALES[name])
    if name in IDX_SCALES:
        raise DataError(f"data set {name!r} is not embedded: set data.folder to where its IDX files are")
    close = nearest(name, IDX_SCALES)
    hint = f" (did you mean {close!r}?)" if close else ""
    raise DataError(f"unknown data set {name!r}{hint}: set data.folder to where {name}.npz is, or name module:function")


def _idx(name: str, folder: Path) -> Dataset:
    if not idx.has_idx(folder):
        raise DataError(f"{folder} lacks IDX files of {name}: {_way_out(name, folder)}")
    train_x, train_y = idx.read_images_and_labels(folder, idx.TRAIN)
    test_x, test_y = idx.read_images_and_labels(folder, idx.TEST)
    arrays = {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}
    return from_arrays(name, arrays, IDX_CLASSES, IDX_SCALES[name])


def _archive(name: str, folder: Path) -> Dataset:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise DataError(f"{path} does not exist: {_way_out(name, folder)}")
    return from_arrays(name, _read_archive(path))


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive")
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files if key in (*ARRAYS, *OPTIONAL_ARRAYS)}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"cannot read {path}: {error}; it must be an .npz of plain arrays {', '.join(ARRAYS)}"
        ) from error


def _own(reference: str, folder: str | None) -> Dataset:
    function = resolve(reference, DataError)
    try:
        made = function(folder=folder)
    except Exception as error:  # the user's code: anything may go wrong
        raise DataError(f"{reference}(folder={folder!r}) failed: {type(error).__name__}: {error}") from error
    if isinstance(made, Dataset):
        return made
    if isinstance(made, Mapping):
        return from_arrays(reference, made)
    raise DataError(f"{reference} returned a {type(made).__name__}: return a Dataset or a dict of {', '.join(ARRAYS)}")


def _way_out(name: str, folder: Path) -> str:
    if name == "fashion_mnist":
        command = f"fedswarm data fetch fashion_mnist --folder {folder}"
        return f"run `{command}`, or leave data.folder out for the embedded subset"
    if name in IDX_SCALES:
        return f"put the four IDX files {', '.join((*idx.TRAIN, *idx.TEST))} there"
    return f"put {name}.npz with the arrays {', '.join(ARRAYS)} there"
