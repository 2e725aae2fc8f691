from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.devices.static import StaticDevices
from fedswarm.devices.time_model import PhaseTimes, Workload
from fedswarm.devices.world import DeviceWorld
from fedswarm.jobs.schema import DevicesSection, Job
from fedswarm.jobs.selection_sections import OortSection
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds.adaptive import AdaptiveRules
from fedswarm.rounds.messages import ClientReport
from fedswarm.rounds.plan import Population
from fedswarm.selection.oort.parameters import OortParameters
from fedswarm.selection.oort.selector import OortSelector
from fedswarm.selection.policies import make_selector

IDS = np.arange(10, dtype=np.int64)
LAYOUT = Layout((TensorSpec("w", (1000,)),))


class Toy(StaticDevices):
    """Client ``c`` downloads for ``c`` seconds; 7 never gets there, and 2 is offline from second 120 on."""

    def phase_times(self, ids: np.ndarray, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        downloads = np.where(ids == 7, np.inf, ids.astype(np.float64))
        return PhaseTimes(downloads, np.zeros(len(ids)), np.zeros(len(ids)))

    def active_throughout(self, ids: np.ndarray, start_s: float, end_s: np.ndarray) -> np.ndarray:
        stays: np.ndarray = (ids != 2) | (end_s <= 120.0)
        return stays


def rules(participants: int = 2, t_budget_s: float = 5.0, world: DeviceWorld | None = None) -> AdaptiveRules:
    selection = {"participants": participants, "overcommitment": 100.0, "t_budget_s": t_budget_s}
    job = Job.model_validate({"selection": selection, "training": {"adaptive": {"enabled": True}}})
    devices = world or Toy.draw(IDS, job.seed, job.devices)
    return AdaptiveRules(job, Population(IDS, dict.fromkeys(range(10), 50)), LAYOUT, make_selector(job), devices)


def report(client: int, compute_s: float, **fields: Any) -> ClientReport:
    return ClientReport(client, **{"success": True, "trained_samples": 8, "compute_s": compute_s, **fields})


def test_everybody_that_gets_the_model_runs_and_who_does_not_is_inactive() -> None:
    plan = rules().plan(1, 100.0, 0)
    assert sorted(plan.to_run) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert plan.inactive == (7,) and 7 not in plan.times


def test_the_budget_is_what_the_download_leaves_and_never_negative() -> None:
    tasks = rules(t_budget_s=5.0).plan(1, 100.0, 0).tasks
    assert (tasks[3].start_s, tasks[3].budget_s) == (103.0, 2.0)
    assert (tasks[9].start_s, tasks[9].budget_s) == (109.0, 0.0)


def test_downloads_take_the_jobs_clock_factor() -> None:
    """Defect D4: the aggregator planned them without it, so they were almost free."""
    worlds = (StaticDevices.draw(IDS, 233, DevicesSection(clock_factor=factor)) for factor in (1.0, 30.0))
    plain, scaled = (rules(world=world).plan(1, 100.0, 0) for world in worlds)
    assert len(plain.tasks) == 10
    for client, task in plain.tasks.items():
        assert plain.times[client].download_s > 0
        assert scaled.times[client].download_s == pytest.approx(30 * plain.times[client].download_s)
        assert scaled.tasks[client].start_s - 100.0 == pytest.approx(30 * (task.start_s - 100.0))


def test_the_budget_follows_the_policys_pacer() -> None:
    paced = rules(t_budget_s=5.0)
    paced._selector = OortSelector(1, OortParameters.of(OortSection(fidelity="reference"), budget_s=50.0))
    paced._selector.register_clients(IDS, np.full(10, 50))
    assert paced.plan(1, 100.0, 0).tasks[3].budget_s == 47.0


def test_nothing_is_decided_before_the_last_report(by_hand: Any) -> None:
    assert not rules().decided(by_hand((1, 3)), {1: report(1, 1.0)}, False)
    assert rules().decided(by_hand((1, 3)), {1: report(1, 1.0), 3: report(3, 1.0)}, True)


def test_the_fastest_count_with_their_download_and_upload(by_hand: Any) -> None:
    plan = by_hand((1, 3, 4), times={1: (30.0, 0.0, 0.0), 3: (1.0, 0.0, 0.0), 4: (1.0, 0.0, 0.0)})
    reports = {1: report(1, 1.0), 3: report(3, 5.0, upload_s=10.0), 4: report(4, 6.0)}
    verdict = rules().verdict(plan, reports)
    assert (verdict.kept, verdict.stragglers, verdict.duration_s) == ((4, 3), (1,), 16.0)


def test_of_equally_fast_clients_the_smaller_ids_count(by_hand: Any) -> None:
    reports = {client: report(client, 5.0) for client in (5, 4, 1)}
    assert rules().verdict(by_hand((5, 4, 1)), reports).kept == (1, 4)


@pytest.mark.parametrize("fault", [{"success": False}, {"success": False, "went_away": True}, {"trained_samples": 0}])
def test_who_did_not_train_is_dropped_however_fast(by_hand: Any, fault: dict[str, Any]) -> None:
    verdict = rules().verdict(by_hand((1, 3, 4)), {1: report(1, 9.0), 3: report(3, 8.0), 4: report(4, 1.0, **fault)})
    assert (verdict.kept, verdict.dropped) == ((3, 1), (4,))


def test_who_leaves_before_its_result_is_through_is_dropped(by_hand: Any) -> None:
    plan = by_hand((1, 2))
    assert rules().verdict(plan, {1: report(1, 30.0), 2: report(2, 20.0)}).kept == (2, 1)
    verdict = rules().verdict(plan, {1: report(1, 30.0), 2: report(2, 21.0)})
    assert (verdict.kept, verdict.dropped) == ((1,), (2,))


def test_everybody_sampled_has_exactly_one_fate(by_hand: Any) -> None:
    plan = by_hand((1, 2, 3, 4), inactive=(7,))
    verdict = rules().verdict(plan, {client: report(client, 20.0 + client) for client in (1, 2, 3, 4)})
    assert sorted((*verdict.kept, *verdict.stragglers, *verdict.dropped)) == [1, 2, 3, 4, 7]


def test_a_round_that_nobody_survives_takes_no_time(by_hand: Any) -> None:
    verdict = rules().verdict(by_hand((1,)), {1: report(1, 1.0, success=False)})
    assert (verdict.kept, verdict.duration_s) == ((), 0.0)
