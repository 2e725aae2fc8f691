"""A data set in memory: samples normalised once, labels, and what a partition may need to know about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedswarm.errors import DataError

ARRAYS: Final = ("train_x", "train_y", "test_x", "test_y")
OPTIONAL_ARRAYS: Final = ("users", "sample_names")


@dataclass(frozen=True)
class Split:
    """Samples ready for a model: ``inputs`` float32 ``(N, ...)`` and ``labels`` int64 ``(N,)``."""

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.inputs.dtype != torch.float32 or self.inputs.ndim < 2:
            raise DataError(f"inputs must be float32 (N, ...), not {self.inputs.dtype} {tuple(self.inputs.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.inputs.shape[:1]:
            raise DataError(
                f"labels must be int64 ({len(self.inputs)},) to fit the inputs, "
                f"not {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        if len(self.labels) == 0:
            raise DataError("a data set needs at least one training and one test sample")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A classification task.

    ``users`` gives each training sample's natural owner and ``sample_names`` its name, if the data set knows them;
    partitions by user and data maps use them.
    """

    name: str
    train: Split
    test: Split
    classes: int
    users: NDArray[Any] | None = None
    sample_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for half, split in (("training", self.train), ("test", self.test)):
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.classes:
                raise DataError(f"{self.name}: {half} labels span {low}..{high}, expected 0..{self.classes - 1}")
        if self.train.inputs.shape[1:] != self.test.inputs.shape[1:]:
            shapes = f"{self.input_shape} and {tuple(self.test.inputs.shape[1:])}"
            raise DataError(f"{self.name}: training and test samples differ in shape: {shapes}")
        for what, extra in (("users", self.users), ("sample_names", self.sample_names)):
            if extra is not None and len(extra) != len(self.train):
                raise DataError(f"{self.name}: {len(extra)} {what} for {len(self.train)} training samples")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.inputs.shape[1:])


def from_arrays(
    name: str,
    arrays: Mapping[str, NDArray[Any]],
    classes: int | None = None,
    scale: tuple[float, float] | None = None,
) -> Dataset:
    """A data set of NumPy arrays ``train_x (N, ...)``, ``train_y (N,)``, ``test_x``, ``test_y`` (, ``users``...).

    Byte inputs are images: scaled to 0..1, then standardised by ``scale`` (mean, standard deviation) or else by the
    training images' own; ``(N, height, width)`` gets a channel axis. Other numbers are taken as they are. ``classes``
    defaults to the highest label plus one. Raises :class:`DataError` when the arrays do not fit together.
    """
    missing = [key for key in ARRAYS if key not in arrays]
    if missing:
        raise DataError(f"{name} lacks {', '.join(missing)}: it needs the arrays {', '.join(ARRAYS)}")
    train_x, test_x = np.asarray(arrays["train_x"]), np.asarray(arrays["test_x"])
    if scale is None and train_x.dtype == np.uint8:
        scale = _mean_and_deviation(train_x)
    train = Split(_inputs(name, train_x, scale), _labels(name, arrays["train_y"]))
    test = Split(_inputs(name, test_x, scale), _labels(name, arrays["test_y"]))
    names = arrays.get("sample_names")
    return Dataset(
        name=name,
        train=train,
        test=test,
        classes=classes or 1 + int(max(train.labels.max(), test.labels.max())),
        users=arrays.get("users"),
        sample_names=None if names is None else [str(entry) for entry in names],
    )


def _mean_and_deviation(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Of the pixels on the scale 0..1; from counts, so that the result is exact and the same everywhere."""
    counts = np.bincount(images.ravel(), minlength=256).astype(np.float64)
    values = np.arange(256) / 255
    mean = float(counts @ values / max(1.0, counts.sum()))
    variance = float(counts @ (values - mean) ** 2 / max(1.0, counts.sum()))
    return mean, max(variance, 1e-12) ** 0.5


def _inputs(name: str, values: NDArray[Any], scale: tuple[float, float] | None) -> Tensor:
    if values.dtype == np.uint8 and scale is not None:
        mean, deviation = scale
        table = ((np.arange(256) / 255 - mean) / deviation).astype(np.float32)
        images = values[:, np.newaxis] if values.ndim == 3 else values
        return torch.from_numpy(table[images])
    if values.dtype.kind not in "fiu":
        raise DataError(f"{name}: inputs must be numbers, not {values.dtype}")
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _labels(name: str, values: NDArray[Any]) -> Tensor:
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be integers, not {values.dtype}")
    return torch.from_numpy(values.astype(np.int64))
