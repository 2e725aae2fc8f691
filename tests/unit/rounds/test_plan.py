from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.devices.static import StaticDevices
from fedswarm.devices.time_model import PhaseTimes, Workload
from fedswarm.errors import RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds.fixed_step import FixedStepRules
from fedswarm.rounds.plan import Population, RoundPlan, learning_rate, make_cohorts
from fedswarm.selection.contract import ClientIds, Moment, Override
from fedswarm.selection.random_policy import RandomSelector

LAYOUT = Layout((TensorSpec("w", (1000,)),))
IDS = np.arange(40, dtype=np.int64)
POPULATION = Population(IDS, {int(client): 50 for client in IDS})


class Fleeting(StaticDevices):
    """Devices with odd ids leave before they are done."""

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        odd: np.ndarray = ids % 2 == 0
        return odd


def plan(world: type[StaticDevices] = StaticDevices, **changes: Any) -> RoundPlan:
    job = Job.model_validate({"selection": {"participants": 10}, **changes})
    devices = world.draw(IDS, job.seed, job.devices)
    return FixedStepRules(job, POPULATION, LAYOUT, RandomSelector(job.seed), devices).plan(3, 100.0, draw=3)


def test_overcommitment_multiplies_and_truncates() -> None:
    assert len(plan(selection={"participants": 10, "overcommitment": 1.39}).sampled) == 13


def test_the_fastest_run_and_the_surplus_are_stragglers() -> None:
    made = plan()
    durations = [made.times[client].total_s for client in (*made.to_run, *made.stragglers)]
    assert len(made.to_run) == 10
    assert durations == sorted(durations)
    assert max(durations[:10]) == durations[9]


def test_clients_that_leave_during_the_round_do_not_run() -> None:
    made = plan(Fleeting)
    assert all(client % 2 == 0 for client in (*made.to_run, *made.stragglers))
    assert made.inactive and all(client % 2 == 1 for client in made.inactive)


def test_everybody_sampled_has_exactly_one_fate() -> None:
    made = plan(Fleeting)
    assert sorted((*made.to_run, *made.stragglers, *made.inactive)) == sorted(made.sampled)


def test_a_device_that_never_gets_there_is_inactive_not_an_error() -> None:
    class Stuck(StaticDevices):
        def phase_times(self, ids: np.ndarray, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
            times = super().phase_times(ids, round_index, start_s, work)
            return PhaseTimes(times.download_s, np.where(ids < 20, np.inf, times.compute_s), times.upload_s)

    made = plan(Stuck)
    assert all(client >= 20 for client in made.to_run)


def test_a_plan_is_a_function_of_job_round_and_clock() -> None:
    assert plan() == plan()


class Asking(RandomSelector):
    """Asks every third client for other steps, and some to send a quarter only."""

    def overrides(self) -> dict[int, Override]:
        return {client: Override(200, 0.75 * (client % 2)) for client in range(0, 40, 3)}


def asked(selector: type[RandomSelector]) -> RoundPlan:
    job = Job.model_validate({"selection": {"participants": 30}})
    devices = StaticDevices.draw(IDS, job.seed, job.devices)
    return FixedStepRules(job, POPULATION, LAYOUT, selector(job.seed), devices).plan(3, 100.0, draw=3)


def test_a_policy_can_ask_a_client_for_other_steps_and_less_of_its_update() -> None:
    usual, made = asked(RandomSelector), asked(Asking)
    assert made.sampled == usual.sampled
    for client in made.sampled:
        task, times, before = made.tasks[client], made.times[client], usual.times[client]
        if client % 3:
            assert (task, times) == (usual.tasks[client], before)
            continue
        assert (task.steps, task.dropout_fraction) == (200, 0.75 * (client % 2))
        assert times.compute_s == pytest.approx(10 * before.compute_s)
        # A quarter of the changes, and one bit in 32 for which they are.
        assert times.upload_s == pytest.approx(before.upload_s * (0.25 + 1 / 32 if client % 2 else 1))


class Cheating(RandomSelector):
    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        return np.asarray([3, 3, 999], dtype=np.int64)


def test_a_policy_that_breaks_its_contract_is_named() -> None:
    with pytest.raises(RunFailedError, match="each once"):
        asked(Cheating)


class Broken(RandomSelector):
    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        raise ZeroDivisionError("of my own")


def test_a_policy_of_ones_own_that_fails_is_named() -> None:
    job = Job.model_validate({"selection": {"policy": "mine:Broken"}})
    devices = StaticDevices.draw(IDS, job.seed, job.devices)
    with pytest.raises(RunFailedError, match=r"selection\.policy mine:Broken: ZeroDivisionError: of my own"):
        FixedStepRules(job, POPULATION, LAYOUT, Broken(1), devices).plan(0, 0.0, 0)


def test_cohorts_hold_everybody_once() -> None:
    clients = tuple(range(0, 90, 2))
    cohorts = make_cohorts(clients, "auto")
    assert sorted(client for cohort in cohorts for client in cohort) == list(clients)
    assert max(map(len, cohorts)) == 3


def test_cohorts_of_a_given_size() -> None:
    assert make_cohorts((5, 1, 3), 2) == ((1, 3), (5,))


@pytest.mark.parametrize(("round_index", "expected"), [(0, 0.1), (9, 0.1), (10, 0.05), (25, 0.025), (90, 0.01)])
def test_the_learning_rate_decays_to_its_floor(round_index: int, expected: float) -> None:
    training = {"learning_rate": 0.1, "decay_factor": 0.5, "decay_round": 10, "min_learning_rate": 0.01}
    job = Job.model_validate({"training": training})
    assert learning_rate(job, round_index) == pytest.approx(expected)


def test_a_floor_above_the_start_does_not_raise_the_learning_rate() -> None:
    job = Job.model_validate({"training": {"learning_rate": 0.001, "min_learning_rate": 0.01}})
    assert learning_rate(job, 0) == 0.001
