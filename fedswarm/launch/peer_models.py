"""How far the final models of a run's peers lie apart, from the files they left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import ModelError
from fedswarm.models.checkpoint import load_safetensors
from fedswarm.records.peer_schema import PeerModels

PREFIX = "peer-"


def peer_models(checkpoints: Path) -> PeerModels | None:
    """Compares all ``peer-<id>.safetensors`` of a folder; ``None`` for fewer than two.

    The files are read twice, one at a time, so memory holds a handful of models however many there are. Raises
    :class:`ModelError` for a file that is no checkpoint, or one of another size than the others.
    """
    paths = sorted(checkpoints.glob(f"{PREFIX}*.safetensors"), key=lambda path: (len(path.name), path.name))
    if len(paths) < 2:
        return None
    least, greatest, mean = _extent(paths)
    squares = [float(np.square(_weights(path, len(mean)) - mean).sum()) for path in paths]
    return PeerModels(
        peers=[path.stem.removeprefix(PREFIX) for path in paths],
        largest_difference=float((greatest - least).max(initial=0.0)),
        consensus_distance=float(np.sqrt(np.mean(squares))),
        norm=float(np.linalg.norm(mean)),
    )


def _extent(paths: Sequence[Path]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Each weight's least and greatest value over the peers, and its mean."""
    first = _weights(paths[0])
    least, greatest, mean = first.copy(), first.copy(), first.copy()
    for count, path in enumerate(paths[1:], 2):
        weights = _weights(path, len(first))
        np.minimum(least, weights, out=least)
        np.maximum(greatest, weights, out=greatest)
        mean += (weights - mean) / count  # equal models have exactly themselves as their mean
    return least, greatest, mean


def _weights(path: Path, expected: int | None = None) -> NDArray[np.float64]:
    _, vector, _ = load_safetensors(path)
    if expected is not None and len(vector) != expected:
        raise ModelError(f"{path} has {len(vector)} weights, the other peers' models {expected}: are they of one run?")
    return vector.astype(np.float64)
