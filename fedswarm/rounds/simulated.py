"""What the two ways with simulated devices have in common: what they look at."""

from __future__ import annotations

from fedswarm.devices.world import DeviceWorld
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout
from fedswarm.rounds.plan import Population
from fedswarm.selection.contract import Selector


class SimulatedRules:
    """Every executor can train every client; when who is where is up to the device world."""

    pinned = False

    def __init__(
        self, job: Job, population: Population, layout: Layout, selector: Selector, devices: DeviceWorld
    ) -> None:
        self._job = job
        self._population = population
        self._layout = layout
        self._selector = selector
        self._devices = devices
