"""Whether what a job names is there: its model, its data, its policy, its files.

Names, import paths and files are looked at; nothing is imported or read, so torch is not needed. What shows only then
(a function that fails, a damaged file) is told when the run starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Final

from fedswarm.errors import DataError, DependencyError, FedswarmError, JobError, ModelError
from fedswarm.jobs.built_in import EMBEDDED_DATA_SET, IDX_DATA_SETS, MODELS, POLICIES, POPULATIONS
from fedswarm.jobs.mistakes import Mistake, shown
from fedswarm.jobs.reading import Reading
from fedswarm.jobs.vocabulary import Path, nearest
from fedswarm.references import fault_of, is_reference

MODEL: Final[Path] = ("model", "name")
DATA: Final[Path] = ("data", "name")
FOLDER: Final[Path] = ("data", "folder")
PARTITION: Final[Path] = ("data", "partition", "kind")
CLIENT_MAP: Final[Path] = ("data", "partition", "path")
POLICY: Final[Path] = ("selection", "policy")
DEVICE_LISTS: Final[tuple[Path, ...]] = (("selection", "bliss", "brands"), ("selection", "bliss", "model_clusters"))
REGRESSORS: Final[tuple[Path, ...]] = (("selection", "bliss", "g", "model"), ("selection", "bliss", "h", "model"))
POPULATION: Final[Path] = ("devices", "population")


def missing_things(reading: Reading, here: FilePath) -> list[Mistake]:
    """A mistake for each name of something that is not there; relative paths start ``here``."""
    look = _Look(reading, here)
    look.at((MODEL,), ModelError, look.model)
    look.at((DATA, FOLDER), DataError, look.data)
    look.at((FOLDER, DATA), DataError, look.folder)
    look.at((CLIENT_MAP, PARTITION), DataError, look.client_map)
    look.at((POLICY,), JobError, look.policy)
    look.at((POPULATION,), DataError, look.population)
    for path in DEVICE_LISTS:
        look.at((path, POLICY), DataError, look.device_list)
    for path in REGRESSORS:
        look.at((path, POLICY), DependencyError, look.regressor)
    return look.mistakes


class _Look:
    def __init__(self, reading: Reading, here: FilePath) -> None:
        self.mistakes: list[Mistake] = []
        self._reading = reading
        self._here = here

    def at(self, paths: Iterable[Path], kind: type[FedswarmError], complaint: Callable[..., str | None]) -> None:
        """Tells what ``complaint`` has to say about the values at ``paths``, at the first of them."""
        path, *_ = paths = tuple(paths)
        if not all(map(self._reading.fits, paths)):
            return
        text = complaint(*map(self._reading.value, paths))
        node = self._reading.node(path)
        if text is not None and node is not None:
            self.mistakes.append(Mistake(node.place, node.label or ".".join(path), text, kind))

    def model(self, name: str) -> str | None:
        if is_reference(name):
            return self._reference(name, "my_models:build")
        if name in MODELS:
            return None
        return f"{shown(name)} is unknown; {_choices(name, MODELS)}, or module:function of your own"

    def data(self, name: str, folder: str | None) -> str | None:
        if is_reference(name):
            return self._reference(name, "my_data:load")
        if folder is None:
            return _not_embedded(name)
        place = self._here / folder
        if name in IDX_DATA_SETS or not _is_folder(place) or _is_file(place / f"{name}.npz"):
            return None
        near = nearest(name, (path.stem for path in place.glob("*.npz")))
        hint = f"did you mean {near}?" if near else f"put the arrays train_x, train_y, test_x, test_y into {name}.npz"
        return f"{shown(name)} is not in {folder}, which has no {name}.npz; {hint}"

    def folder(self, folder: str | None, name: str) -> str | None:
        if folder is None or is_reference(name) or _is_folder(self._here / folder):
            return None
        way_out = "write the folder that holds the data"
        if name == EMBEDDED_DATA_SET:
            way_out = f"run `fedswarm data fetch --folder {folder}`, or delete the line for the embedded images"
        return f"there is no folder {shown(folder)}, seen from {self._here}; {way_out}"

    def client_map(self, path: str | None, kind: str) -> str | None:
        if path is None or kind != "data_map" or _is_file(self._here / path):
            return None
        return f"there is no file {shown(path)}, seen from {self._here}; write the CSV that maps clients to samples"

    def policy(self, name: str) -> str | None:
        if is_reference(name):
            return self._reference(name, "my_policy:Selector")
        if name in POLICIES:
            return None
        return f"{shown(name)} is unknown; {_choices(name, POLICIES)}, or module:class of your own"

    def population(self, name: str) -> str | None:
        if name in POPULATIONS or _is_file(self._here / name):
            return None
        return (
            f"there is no file {shown(name)}, seen from {self._here}; {_choices(name, POPULATIONS)},"
            " or make one with `fedswarm devices synthesize`"
        )

    def device_list(self, path: str | None, policy: str) -> str | None:
        if path is None or policy != "bliss" or _is_file(self._here / path):
            return None
        return f"there is no file {shown(path)}, seen from {self._here}; delete the line for the list of fedswarm's own"

    def regressor(self, model: str, policy: str) -> str | None:
        if model != "xgboost" or policy != "bliss" or find_spec("xgboost") is not None:
            return None
        return "XGBoost is not installed; pip install 'fedswarm[bliss]', or write model: linreg or mlp"

    def _reference(self, name: str, example: str) -> str | None:
        fault = fault_of(name, self._here)
        return None if fault is None else f"{shown(name)}: {fault}; write module:function, e.g. {example}"


def _not_embedded(name: str) -> str | None:
    if name == EMBEDDED_DATA_SET:
        return None
    files = "its IDX files are" if name in IDX_DATA_SETS else f"{name}.npz is"
    near = None if name in IDX_DATA_SETS else nearest(name, IDX_DATA_SETS)
    hint = f"did you mean {near}? " if near else ""
    return f"{shown(name)} is not embedded; {hint}write data.folder: where {files}"


def _choices(word: str, choices: Iterable[str]) -> str:
    near = nearest(word, choices)
    return f"did you mean {near}?" if near else f"there are {', '.join(choices)}"


def _is_folder(path: FilePath) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _is_file(path: FilePath) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
