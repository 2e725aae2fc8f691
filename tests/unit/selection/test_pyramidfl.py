"""PyramidFL against the worked values of its two implementations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.jobs.schema import Job
from fedswarm.selection.contract import Feedback, Moment, Override
from fedswarm.selection.policies import make_selector
from fedswarm.selection.pyramidfl import PyramidFLSelector

A, B, C = 10, 20, 30
IDS = np.asarray([A, B, C])
# Gradient norms, training and whole times (s) and steps of the clients' last round.
NORMS, COMPUTE_S, TOTAL_S, STEPS = [5.0, 3.0, 1.5], [40.0, 100.0, 20.0], [180.0, 300.0, 60.0], [30, 30, 45]


def selector(samples: int = 10**6, participants: int = 3, **settings: Any) -> PyramidFLSelector:
    job = Job.model_validate(
        {
            "training": {"local_steps": 30, "batch_size": 10},
            "selection": {
                "policy": "pyramidfl",
                "participants": participants,
                "t_budget_s": 358.0,
                "pyramidfl": settings,
                "oort": {
                    "fidelity": settings.get("fidelity", "paper"),
                    "exploration_factor": 0,
                    "exploration_min": 0,
                    "round_penalty": 0,
                },
            },
        }
    )
    made = make_selector(job)
    assert isinstance(made, PyramidFLSelector)
    made.register_clients(IDS, np.full(3, samples))
    return made


def last_round(**changes: Any) -> Feedback:
    columns = {
        "success": np.ones(3, dtype=np.bool_),
        "utility": np.ones(3),
        "duration_s": np.asarray(TOTAL_S),
        "compute_s": np.asarray(COMPUTE_S),
        "upload_s": np.zeros(3),
        "delta_norm": np.asarray(NORMS),
        "steps": np.asarray(STEPS),
        **{name: np.asarray(values) for name, values in changes.items()},
    }
    return Feedback.of(0, IDS, **columns)


def overrides(made: PyramidFLSelector, feedback: Feedback) -> dict[int, Override]:
    made.register_feedback(feedback)
    made.select_participants(3, Moment(0.0, 1, 1, IDS))
    return dict(made.overrides())


def test_worked_values_of_the_reference() -> None:
    asked = overrides(selector(fidelity="reference", max_step_factor=None, max_local_epochs=None), last_round())
    assert {client: override.local_steps for client, override in asked.items()} == {A: 131, B: 57, C: 537}
    dropout = [asked[client].dropout_fraction for client in (A, B, C)]
    np.testing.assert_allclose(dropout, [0.1, 0.35, 0.6])


def test_steps_are_capped() -> None:
    """A published implementation asked for 537 steps where 30 were usual."""
    asked = overrides(selector(fidelity="reference"), last_round())
    assert [asked[client].local_steps for client in (A, B, C)] == [131, 57, 330]
    few_samples = overrides(selector(fidelity="reference", samples=80), last_round())
    assert [few_samples[client].local_steps for client in (A, B, C)] == [40, 40, 40]
    one_batch = overrides(selector(fidelity="reference", samples=10), last_round())
    assert [one_batch[client].local_steps for client in (A, B, C)] == [30, 30, 30]


def test_worked_values_of_the_original() -> None:
    """Ranks count from 0 to K: dropouts 0.1, 0.2667, 0.4333; the slowest sets the pace, 100 + 0.7333 x 200 s.

    A has 246.67 - (40 + 0.9 x 140) = 80.67 s left, 60 whole steps of 4/3 s; C 210.67 s, 474 steps of 4/9 s.
    """
    asked = overrides(selector(max_step_factor=None), last_round())
    np.testing.assert_allclose([asked[c].dropout_fraction for c in (A, B, C)], [0.1, 0.266667, 0.433333], atol=1e-6)
    assert [asked[client].local_steps for client in (A, B, C)] == [90, 30, 504]


def test_the_original_waits_for_no_more_than_k_clients() -> None:
    """With K of 2 the pace is A's, 166 s: B is late anyway."""
    asked = overrides(selector(participants=2), last_round())
    assert [asked[client].local_steps for client in (A, B, C)] == [30, 30, 30 + 292]


def test_either_half_can_be_switched_off() -> None:
    without_dropout = overrides(selector(dropout=False), last_round())
    assert {override.dropout_fraction for override in without_dropout.values()} == {0.0}
    without_steps = overrides(selector(adapt_steps=False), last_round())
    assert {override.local_steps for override in without_steps.values()} == {30}


def test_nothing_is_asked_of_clients_that_nothing_is_known_of() -> None:
    made = selector()
    made.select_participants(3, Moment(0.0, 0, 0, IDS))
    assert made.overrides() == {}


def test_a_client_without_times_is_left_as_it_is() -> None:
    asked = overrides(selector(), last_round(compute_s=[np.nan, 100.0, 20.0]))
    assert set(asked) == {B, C}


def test_what_was_dropped_does_not_make_a_client_look_faster() -> None:
    """B sent 40 of 100 s worth of update; at dropout 0 it takes 60 s more."""
    made = selector(dropout=False)
    made.register_feedback(last_round(upload_s=[0, 40.0, 0], dropout_fraction=[0.0, 0.6, 0.0]))
    communication_s = made._table["communication_s"][1]
    assert communication_s == pytest.approx(200 + 60)


def test_dropout_grows_as_gradients_shrink() -> None:
    asked = overrides(selector(), last_round(delta_norm=[1.0, 9.0, 4.0]))
    assert asked[B].dropout_fraction < asked[C].dropout_fraction < asked[A].dropout_fraction


@pytest.mark.parametrize(("fidelity", "first"), [("paper", C), ("reference", A)])
def test_the_original_weighs_a_norm_by_the_samples_it_was_learnt_from(fidelity: str, first: int) -> None:
    """Of 30 steps of 10 samples, A with the larger norm has 60 samples in its shard and C all 300."""
    made = selector(fidelity=fidelity)
    made.register_clients(np.asarray([A]), np.asarray([60]))
    asked = overrides(made, last_round(delta_norm=[3.0, 0.1, 1.0], steps=[30, 30, 30]))
    assert min(asked, key=lambda client: asked[client].dropout_fraction) == first


def test_a_client_takes_no_more_than_64_bytes() -> None:
    assert selector()._table.bytes_per_client == 56 <= 64
