"""Oort's parameters, with the values of the paper or of the reference where the job is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fedswarm.jobs.selection_sections import OortSection


@dataclass(frozen=True)
class OortParameters:
    """All that :class:`~fedswarm.selection.oort.selector.OortSelector` can be told.

    The values under their ``paper`` are those of the paper's section 7.1 and of its authors' code, those under
    ``reference`` the defaults of the Bliss fork of FedScale.
    """

    reference: bool
    exploration_factor: float
    exploration_decay: float
    exploration_min: float
    penalty: float
    clip_bound: float
    cut_off: float
    pacer_step: int
    pacer_delta: float
    percentile: float
    budget_s: float
    blacklist_rounds: int
    blacklist_share: float

    @classmethod
    def of(cls, section: OortSection, budget_s: float) -> Self:
        """From a job's ``selection.oort`` and ``selection.t_budget_s``."""
        reference = section.fidelity == "reference"

        def either(written: float | None, paper: float, in_reference: float) -> float:
            return written if written is not None else in_reference if reference else paper

        return cls(
            reference=reference,
            exploration_factor=section.exploration_factor,
            exploration_decay=section.exploration_decay,
            exploration_min=either(section.exploration_min, 0.2, 0.3),
            penalty=section.round_penalty,
            clip_bound=either(section.clip_bound, 0.95, 0.9),
            cut_off=either(section.cut_off_util, 0.95, 0.05),
            pacer_step=section.pacer_step,
            pacer_delta=either(section.pacer_delta, 5.0, 50.0),
            percentile=section.round_threshold,
            budget_s=budget_s,
            blacklist_rounds=int(either(section.blacklist_rounds, 10, -1)),
            blacklist_share=section.blacklist_max_len,
        )
