"""Which brands and clusters of device models the feature vectors tell apart: data, not code.

The order of the brands is the published one. Which models the published system puts in which of its 27 clusters is not
part of fedswarm: the clusters here are our own grouping of phones and tablets of 2010 to 2017 into 27 families, most
capable first. A job may name files of its own; feature vectors are as long as the lists make them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from fedswarm.errors import DataError

EMBEDDED: Final = Path(__file__).parent / "embedded"
BRANDS: Final = EMBEDDED / "brands.json"
MODEL_CLUSTERS: Final = EMBEDDED / "model_clusters.json"
LARGEST_FILE_BYTES: Final = 1 << 20
MOST_ENTRIES: Final = 1000


@dataclass(frozen=True)
class DeviceCatalogue:
    """Brands, and clusters of models, each in the order of their one-hot features; upper and lower case are equal."""

    brands: tuple[str, ...]
    clusters: tuple[tuple[str, ...], ...]

    def brand_position(self, brand: str) -> int | None:
        """Where the brand stands; None if it is unknown."""
        return self._brand_positions.get(brand.lower())

    def cluster_position(self, model: str) -> int | None:
        """Where the cluster of the model stands; None if the model is unknown."""
        return self._cluster_positions.get(model.lower())

    @cached_property
    def _brand_positions(self) -> dict[str, int]:
        return {brand.lower(): position for position, brand in enumerate(self.brands)}

    @cached_property
    def _cluster_positions(self) -> dict[str, int]:
        return {model.lower(): position for position, models in enumerate(self.clusters) for model in models}


def load_catalogue(brands: Path = BRANDS, model_clusters: Path = MODEL_CLUSTERS) -> DeviceCatalogue:
    """The catalogue of two JSON files: a list of names, and a list of ``{"id": ..., "rank": ..., "models": [...]}``.

    Raises :class:`DataError`, naming the file and the entry, for anything else.
    """
    names = _texts(_entries(brands), f"{brands}: entry")
    clusters = _entries(model_clusters)
    for position, cluster in enumerate(clusters):
        if not isinstance(cluster, dict) or not isinstance(cluster.get("models"), list):
            raise DataError(
                f'{model_clusters}: entry {position} is {cluster!r:.60}: write {{"models": ["...", "..."]}}'
            )
    models = [_texts(cluster["models"], f"{model_clusters}: model of cluster") for cluster in clusters]
    return DeviceCatalogue(names, tuple(models))


def _entries(path: Path) -> list[Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
        if len(content) > LARGEST_FILE_BYTES:
            raise DataError(f"{path} is larger than {LARGEST_FILE_BYTES} bytes: is it the right file?")
        entries = json.loads(content)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}): it must hold a list") from error
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise DataError(f"{path} must hold a list of at most {MOST_ENTRIES} entries")
    return entries


def _texts(entries: Sequence[Any], what: str) -> tuple[str, ...]:
    for entry in entries:
        if not isinstance(entry, str):
            raise DataError(f"{what} {entry!r:.60} is no text: put it in quotes")
    return tuple(entries)
