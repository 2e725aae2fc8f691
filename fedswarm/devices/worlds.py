"""The device world that a job asks for by ``devices.population``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from fedswarm.devices.population_file import load_population
from fedswarm.devices.static import StaticDevices
from fedswarm.devices.traced import TracedDevices
from fedswarm.devices.world import ClientIds, DeviceWorld
from fedswarm.jobs.schema import Job

DEFAULT_POPULATION: Final = Path(__file__).parent / "embedded" / "default_population.safetensors"

MakeWorld: TypeAlias = Callable[[ClientIds], DeviceWorld]


@dataclass(frozen=True)
class JobWorld:
    """Makes the job's world once its clients are known; ``excluded`` says which devices were left out, and why."""

    make: MakeWorld
    excluded: tuple[str, ...] = ()


def open_world(job: Job) -> JobWorld:
    """The world of ``devices.population``.

    Reads the population file at once, so a missing or broken one is a :class:`~fedswarm.errors.DataError` before
    anything runs.
    """
    section = job.devices
    if section.population == "static":
        return JobWorld(lambda client_ids: StaticDevices.draw(client_ids, job.seed, section))
    path = DEFAULT_POPULATION if section.population == "default" else Path(section.population)
    population = load_population(path)
    return JobWorld(
        lambda client_ids: TracedDevices.of(client_ids, population, job.seed, section), tuple(population.excluded)
    )
