"""Which rules a job's rounds follow."""

from __future__ import annotations

from fedswarm.devices.world import DeviceWorld
from fedswarm.devices.worlds import MakeWorld
from fedswarm.jobs.schema import Job
from fedswarm.rounds.adaptive import AdaptiveRules
from fedswarm.rounds.deployment import ConnectedDevices, DeploymentRules
from fedswarm.rounds.fixed_step import FixedStepRules
from fedswarm.rounds.roster import Roster
from fedswarm.rounds.rules import RoundRules
from fedswarm.selection.contract import Selector


def make_rules(job: Job, roster: Roster, selector: Selector, make_world: MakeWorld) -> tuple[RoundRules, DeviceWorld]:
    """The rules of a job, and the world they look at, once the roster knows its clients."""
    if job.experiment_mode == "deployment":
        connected = ConnectedDevices(roster.connected_clients)
        return DeploymentRules(job, roster, selector, connected), connected
    assert roster.layout is not None
    population = roster.population
    world = make_world(population.client_ids)
    kind = AdaptiveRules if job.training.adaptive.enabled else FixedStepRules
    return kind(job, population, roster.layout, selector, world), world
