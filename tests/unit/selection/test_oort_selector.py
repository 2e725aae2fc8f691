"""Oort as a whole: what it learns, from whom, and whom it prefers then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.devices.static import StaticDevices
from fedswarm.jobs.selection_sections import OortSection
from fedswarm.selection.contract import Feedback, Moment
from fedswarm.selection.oort.parameters import OortParameters
from fedswarm.selection.oort.selector import OortSelector

IDS = np.arange(100)


def selector(clients: np.ndarray = IDS, seed: int = 1, **settings: Any) -> OortSelector:
    made = OortSelector(seed, OortParameters.of(OortSection(**settings), budget_s=100.0))
    made.register_clients(clients, np.full(len(clients), 50))
    return made


def at(round_index: int, online: np.ndarray = IDS) -> Moment:
    return Moment(0.0, round_index, round_index, online)


def counted(round_index: int, ids: Any, utility: Any, duration_s: Any = 10.0) -> Feedback:
    ids = np.asarray(ids)
    return Feedback.of(
        round_index,
        ids,
        success=np.ones(len(ids), dtype=np.bool_),
        utility=np.broadcast_to(utility, len(ids)).astype(np.float64),
        duration_s=np.broadcast_to(duration_s, len(ids)).astype(np.float64),
    )


def straggled(round_index: int, ids: Any, duration_s: float) -> Feedback:
    ids = np.asarray(ids)
    return Feedback.of(round_index, ids, duration_s=np.full(len(ids), duration_s))


def joined(*parts: Feedback) -> Feedback:
    names = [name for name in vars(parts[0]) if name != "round_index"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Feedback(parts[0].round_index, **columns)


def frequency(oort: OortSelector, round_index: int, count: int, draws: int = 300) -> np.ndarray:
    """How often each client is chosen in that round, over many draws."""
    chosen = [oort.select_participants(count, Moment(0.0, round_index, draw, oort._table.ids)) for draw in range(draws)]
    return np.bincount(np.concatenate(chosen), minlength=100)[oort._table.ids] / draws


def test_the_first_round_explores_everybody_alike() -> None:
    assert np.ptp(frequency(selector(), 0, 20)) < 0.15


@pytest.mark.parametrize(("fidelity", "fast_share"), [("paper", 0.8), ("reference", 0.5)])
def test_the_paper_explores_fast_devices_first_and_the_reference_all_alike(fidelity: str, fast_share: float) -> None:
    """Half of the clients are sixteen times as fast in computing, so four times in the mean."""
    oort = selector(fidelity=fidelity)
    fast = IDS < 50
    devices = StaticDevices(IDS, np.where(fast, 16e9, 1e9), np.full(len(IDS), 54.0), seed=1)
    oort.register_clients(IDS, np.full(len(IDS), 50), devices)
    often = frequency(oort, 0, 5, draws=500)
    assert often[fast].sum() / often.sum() == pytest.approx(fast_share, abs=0.05)


def test_useful_clients_are_preferred() -> None:
    oort = selector(exploration_factor=0, exploration_min=0)
    oort.register_feedback(counted(0, IDS, np.where(IDS < 30, 10.0, 1.0)))
    often = frequency(oort, 1, 20)
    assert often[:30].sum() == pytest.approx(20)


def test_slow_clients_come_last() -> None:
    oort = selector(exploration_factor=0, exploration_min=0, round_threshold=50)
    oort.register_feedback(counted(0, IDS, 5.0 + IDS % 3, np.where(IDS < 60, 10.0, 400.0)))
    often = frequency(oort, 1, 20)
    assert often[60:].sum() == 0


def test_without_a_penalty_speed_does_not_matter() -> None:
    oort = selector(exploration_factor=0, exploration_min=0, round_penalty=0)
    oort.register_feedback(counted(0, IDS, 5.0, np.where(IDS < 60, 10.0, 400.0)))
    assert frequency(oort, 1, 20)[60:].mean() == pytest.approx(0.2, abs=0.03)


def test_who_was_left_alone_for_long_is_tried_again() -> None:
    """Of equal utilities the one measured long ago is the least certain."""
    oort = selector(exploration_factor=0, exploration_min=0)
    oort.register_feedback(counted(0, IDS[:20], 5.0))
    oort.register_feedback(counted(900, IDS[20:], 5.0))
    often = frequency(oort, 1000, 20)
    assert often[:20].mean() > 0.9


@pytest.mark.parametrize("fidelity", ["paper", "reference"])
def test_a_failure_teaches_nothing(fidelity: str) -> None:
    """A published implementation took a failure's duration of zero for speed."""
    oort = selector(fidelity=fidelity)
    oort.register_feedback(Feedback.of(0, IDS[:10]))
    assert np.isnan(oort._table["duration_s"]).all()
    assert not oort._table["last_round"].any()


def test_a_straggler_is_known_to_be_slow_and_keeps_the_utility_it_had() -> None:
    """Defect D8: stragglers got the others' utility."""
    oort = selector()
    oort.register_feedback(counted(0, [1, 2], 8.0))
    oort.register_feedback(joined(counted(1, [4], 6.0), straggled(1, [2, 3], 400.0)))
    assert oort._table["duration_s"][[2, 3]].tolist() == [400.0, 400.0]
    assert oort._table["utility"][[2, 3]].tolist() == [8.0, 0.0]
    assert oort._table["last_round"][[1, 2, 3, 4]].tolist() == [1, 2, 2, 2]


def test_in_the_reference_a_straggler_gets_the_mean_utility() -> None:
    oort = selector(fidelity="reference")
    oort.register_feedback(joined(counted(0, [1, 2], [6.0, 10.0]), straggled(0, [3], 400.0)))
    assert (oort._table["utility"][3], oort._table["last_round"][3]) == (8.0, 1)


def test_known_stragglers_are_not_explored_again() -> None:
    """Left to them, exploration made rounds slower than random ones."""
    oort = selector()
    oort.register_feedback(joined(counted(0, IDS[:20], 8.0, 10.0), straggled(0, IDS[20:40], 1000.0)))
    often = frequency(oort, 1, 20)
    assert often[20:40].mean() < 0.1 * often[40:].mean()


def test_worn_clients_are_left_out_while_there_are_others() -> None:
    oort = selector(blacklist_rounds=2)
    for round_index in range(3):
        oort.register_feedback(counted(round_index, IDS[:20], 9.0))
    assert np.all(oort.select_participants(20, at(3)) >= 20)
    assert len(oort.select_participants(10, at(4, IDS[:15]))) == 10


def test_a_round_takes_no_more_clients_than_there_are() -> None:
    oort = selector()
    assert oort.select_participants(20, at(0, IDS[:7])).tolist() == IDS[:7].tolist()


def test_the_budget_follows_the_references_pacer() -> None:
    oort = selector(fidelity="reference", pacer_step=2, pacer_delta=30)
    assert oort.t_budget_s == 100.0
    for round_index in range(6):
        oort.register_feedback(counted(round_index, oort.select_participants(20, at(round_index)), 5.0))
    assert oort.t_budget_s == 130.0  # rounds 3 and 4 were like 5 and 6; nobody was exploited in round 1
    oort.select_participants(20, at(6))
    pacer = oort.describe()
    assert (pacer["t_budget"], pacer["preferred_duration"], pacer["preferred_duration_before"]) == (130, 130, 100)


def test_a_percentile_is_no_budget() -> None:
    oort = selector()
    oort.register_feedback(counted(0, IDS, 5.0, IDS.astype(float)))
    oort.select_participants(20, at(1))
    assert oort.t_budget_s is None
    assert oort.describe()["preferred_duration"] == 30.0


def test_predictions_are_the_utilities_known_before() -> None:
    oort = selector(clients=IDS[:4])
    oort.register_feedback(counted(0, [1, 2], [6.0, 10.0]))
    oort.select_participants(4, at(1, IDS[:4]))
    assert oort.predicted_utilities() == {"pre_util": {0: 0.0, 1: 6.0, 2: 10.0, 3: 0.0}}


def test_rounds_exploit_more_and_more() -> None:
    oort = selector()
    oort.register_feedback(counted(0, IDS[:50], 5.0))
    tried = [np.sum(oort.select_participants(20, at(round_index)) < 50) for round_index in (1, 20, 100)]
    assert tried == [3, 9, 16]


@pytest.mark.parametrize("fidelity", ["paper", "reference"])
def test_a_client_takes_no_more_than_64_bytes(fidelity: str) -> None:
    assert selector(fidelity=fidelity)._table.bytes_per_client <= 64
