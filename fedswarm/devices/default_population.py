"""The population that ships with fedswarm: 1,000 synthetic devices, so that every example runs.

``fedswarm devices synthesize --clients 1000 --seed 2026`` makes the same file, byte for byte
with the same NumPy.
"""

from __future__ import annotations

from typing import Final

from fedswarm.devices.population import Population
from fedswarm.devices.population_file import load_population
from fedswarm.devices.synthesis import synthesize_population
from fedswarm.devices.worlds import DEFAULT_POPULATION

DEVICES: Final = 1_000
SEED: Final = 2026


def default_population() -> Population:
    """The shipped population, mapped. Raises DataError if the installation is damaged."""
    return load_population(DEFAULT_POPULATION)


def synthesize_default() -> Population:
    """The same population made anew."""
    return synthesize_population(SEED, DEVICES)
