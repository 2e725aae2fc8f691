"""How far the peers of a job without an aggregator lie apart in one figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """Mean, least and greatest of what several peers measured; every peer counts alike."""

    mean: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The spread of at least one value; raises :class:`ValueError` for none."""
        measured = list(values)
        if not measured:
            raise ValueError("no peer measured anything: a spread needs at least one value")
        return cls(sum(measured) / len(measured), min(measured), max(measured))


def spread_keys(spreads: Mapping[str, Spread]) -> dict[str, float]:
    """A record's keys for them: the mean under the figure's own name, then ``<name>_min`` and ``<name>_max``."""
    keys: dict[str, float] = {}
    for name, spread in spreads.items():
        keys |= {name: spread.mean, f"{name}_min": spread.least, f"{name}_max": spread.greatest}
    return keys
