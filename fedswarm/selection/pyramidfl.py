"""PyramidFL (Li, Zeng, Zhang, Cao, MobiCom 2022): Oort's choice, refined by what each chosen client does.

Clients are chosen as Oort does. Those that were exploited and whose last round is known are then ranked by the gradient
utility of their last update, and

- the smaller it is, the larger the share of its update that a client drops, from ``low`` to ``high``, which shortens
  its upload: its round would take ``t' = t_comp + (1 - p) t_comm``;
- whoever would finish early trains on meanwhile, for up to ``beta`` of the time left until ``D``.

=============  ==============================================  ====================================================
fidelity       dropout of rank i of L, the most useful first   steps in place of E
=============  ==============================================  ====================================================
``paper``      ``low + i (high - low) / L``, i from 0          ``floor(E (1 + beta floor((D - t') / t_step) / E))``,
                                                               D: when the K-th of them would be through
``reference``  ``low + i (high - low) / (L - 1)``              ``round(E (1 + beta (D - t') / (E t_step)))``,
                                                               D: Oort's preferred duration
=============  ==============================================  ====================================================

Gradient utility is ``|B| ||update||`` with ``paper``, |B| being the number of samples trained, as in Oort's statistical
utility; ``reference`` leaves |B| out.

In both t_step is the client's last training time by its number of steps; t_comp is E of these, and with ``reference``
the last training time as it was. Steps never fall below E. They are capped by ``max_step_factor`` E (the original adds
no more than ten times E; the reference has no bound and asks for five hundred steps where E is thirty) and by
``max_local_epochs`` passes over the shard (the original's five).

Deviations. The original ranks the clients that will run, which is known after planning only; like the reference we rank
those chosen. It drops whole tensors at random; we drop the smallest changes, as adaptive training does, and what is
dropped is not sent. It takes the norm of update minus model, because its formula outlived a change of what is sent;
ours is the norm of the update. Upload times are remembered as if nothing had been dropped; otherwise a client that
dropped a lot looks faster than it is when it drops less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from fedswarm.jobs.schema import DEFAULT_STEPS, Job
from fedswarm.jobs.selection_sections import PyramidFLSection
from fedswarm.selection.client_table import Rows
from fedswarm.selection.contract import ClientIds, DeviceFeatures, Feedback, Floats, Integers, Override
from fedswarm.selection.oort.parameters import OortParameters
from fedswarm.selection.oort.selector import COLUMNS, OortSelector

SHORTEST_STEP_S: Final = 1e-8
PYRAMID_COLUMNS: Final = {
    **COLUMNS,
    "samples": (np.int32, 0),
    "gradient_utility": (np.float32, 0.0),
    "compute_s": (np.float32, math.nan),
    "steps": (np.int32, 0),
    "communication_s": (np.float32, math.nan),
}


@dataclass(frozen=True)
class PyramidParameters:
    """What PyramidFL can be told beyond Oort's parameters; absent bounds are infinite."""

    reference: bool
    dropout: bool
    adapt_steps: bool
    low: float
    high: float
    beta: float
    largest_factor: float
    largest_epochs: float
    participants: int
    local_steps: int
    batch_size: int

    @classmethod
    def of(cls, job: Job) -> Self:
        """From a job; beta is 1 in the original and 0.7 in the reference."""
        section: PyramidFLSection = job.selection.pyramidfl
        reference = section.fidelity == "reference"
        beta = section.confidence_beta if section.confidence_beta is not None else 0.7 if reference else 1.0
        return cls(
            reference=reference,
            dropout=section.dropout,
            adapt_steps=section.adapt_steps,
            low=section.dropout_low,
            high=section.dropout_high,
            beta=beta,
            largest_factor=section.max_step_factor or math.inf,
            largest_epochs=section.max_local_epochs or math.inf,
            participants=job.selection.participants,
            local_steps=job.training.local_steps or DEFAULT_STEPS,
            batch_size=job.training.batch_size,
        )


class PyramidFLSelector(OortSelector):
    """Implements :class:`~fedswarm.selection.contract.Selector`; 56 bytes of memory a client."""

    algorithm = "pyramidfl"

    def __init__(self, seed: int, parameters: OortParameters, pyramid: PyramidParameters) -> None:
        super().__init__(seed, parameters, PYRAMID_COLUMNS)
        self._pyramid = pyramid

    def register_clients(self, client_ids: ClientIds, samples: Integers, devices: DeviceFeatures | None = None) -> None:
        """Keeps the sizes of their shards, which bound their steps."""
        super().register_clients(client_ids, samples, devices)
        self._table["samples"][self._table.rows(client_ids)] = samples

    def register_feedback(self, feedback: Feedback) -> None:
        """Also keeps gradient utilities of successes, and how time was spent wherever it is known."""
        super().register_feedback(feedback)
        table, success = self._table, feedback.success
        rows = table.rows(feedback.client_ids)
        table["gradient_utility"][rows[success]] = self._gradient_utility(feedback, rows)[success]
        sent = 1 - feedback.dropout_fraction
        undropped_s = feedback.duration_s - feedback.compute_s + feedback.upload_s * (1 - sent) / sent
        known = np.isfinite(undropped_s) & (feedback.compute_s > 0) & (feedback.steps > 0)
        table["communication_s"][rows[known]] = np.maximum(undropped_s[known], 0)
        table["compute_s"][rows[known]] = feedback.compute_s[known]
        table["steps"][rows[known]] = feedback.steps[known]

    def overrides(self) -> Mapping[int, Override]:
        """Dropout and steps of the clients exploited last; of the others nothing is known."""
        table = self._table
        rows = self._exploited[table["steps"][self._exploited] > 0]
        if not len(rows):
            return {}
        rows = rows[np.argsort(-table["gradient_utility"][rows], kind="stable")]
        dropout = self._dropout(len(rows))
        steps = self._steps(rows, dropout)
        return {
            client: Override(step, share)
            for client, step, share in zip(table.ids[rows].tolist(), steps.tolist(), dropout.tolist(), strict=True)
        }

    def _gradient_utility(self, feedback: Feedback, rows: Rows) -> Floats:
        """How much each client's update moved, times what it learnt from; 0 where unknown."""
        norm = np.nan_to_num(feedback.delta_norm)
        if self._pyramid.reference:
            return norm
        trained = np.minimum(self._table["samples"][rows], feedback.steps * self._pyramid.batch_size)
        utility: Floats = norm * trained
        return utility

    def _dropout(self, ranks: int) -> Floats:
        """Dropout of each rank, the largest gradient utility first."""
        pyramid = self._pyramid
        if not pyramid.dropout:
            return np.zeros(ranks)
        span = max(ranks - 1, 1) if pyramid.reference else ranks
        return pyramid.low + np.arange(ranks) * (pyramid.high - pyramid.low) / span

    def _steps(self, rows: Rows, dropout: Floats) -> Integers:
        """Steps of each client, E for all if steps are not to be adapted."""
        pyramid, table = self._pyramid, self._table
        usual = pyramid.local_steps
        compute_s = table["compute_s"][rows].astype(np.float64)
        step_s = np.maximum(compute_s / table["steps"][rows], SHORTEST_STEP_S)
        training_s = compute_s if pyramid.reference else step_s * usual
        through_s = training_s + (1 - dropout) * table["communication_s"][rows]
        deadline_s = self._deadline_s(through_s)
        if not pyramid.adapt_steps or not math.isfinite(deadline_s):
            return np.full(len(rows), usual)
        more = np.maximum(deadline_s - through_s, 0) / step_s
        more = pyramid.beta * (more if pyramid.reference else np.floor(more))
        steps = np.round(usual + more) if pyramid.reference else np.floor(usual + more)
        epoch_steps = np.maximum(table["samples"][rows] // pyramid.batch_size, 1)
        most = np.minimum(pyramid.largest_factor * usual, np.maximum(pyramid.largest_epochs * epoch_steps, usual))
        capped: Integers = np.clip(steps, usual, most).astype(np.int64)
        return capped

    def _deadline_s(self, through_s: Floats) -> float:
        if self._pyramid.reference:
            return self._preferred_s
        place = min(self._pyramid.participants, len(through_s)) - 1
        return float(np.partition(through_s, place)[place])
