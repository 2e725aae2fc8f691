"""One client in a record: how long its round took, how much it trained, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Payload = dict[str, Any]
Status = Literal["c", "s", "d"]
"""What became of a client's round: completed and counted, straggler, dropped (failed or went offline)."""


@dataclass(frozen=True)
class ClientTimes:
    """How a client's round splits into phases, and how much it trained.

    Seconds are virtual, in deployment wall seconds. ``steps`` are those of adaptive training's phase 1, or all of them
    where there are no phases.
    """

    download_s: float
    compute_s: float
    upload_s: float
    steps: int = 0
    steps_phase2: int = 0
    dropout_fraction: float = 0.0

    @property
    def total_s(self) -> float:
        """Virtual seconds from the start of the round to the client's result."""
        return self.download_s + self.compute_s + self.upload_s

    def payload(self) -> Payload:
        """The family's ``t_dl``, ``t_comp``, ``t_ul`` (s), ``iters`` (batches) and by phase, ``dropout_frac``."""
        return {
            "t_dl": self.download_s,
            "t_comp": self.compute_s,
            "t_ul": self.upload_s,
            "iters": self.steps + self.steps_phase2,
            "iters_p1": self.steps,
            "iters_p2": self.steps_phase2,
            "dropout_frac": self.dropout_fraction,
        }


@dataclass(frozen=True)
class ClientOutcome:
    """One client in CLIENT_INFO: its times, utilities and status; loss and samples when it trained."""

    times: ClientTimes
    status: Status
    predicted_utility: float = 0.0
    computed_utility: float = 0.0
    loss: float | None = None
    samples: int | None = None
    delta_norm: float | None = None
    executor_id: str | None = None

    def positional(self) -> list[Any]:
        """The family's nine positions: times, steps of phases 1 and 2, dropout, two utilities, status."""
        times = self.times
        return [
            times.download_s,
            times.compute_s,
            times.upload_s,
            times.steps,
            times.steps_phase2,
            times.dropout_fraction,
            self.predicted_utility,
            self.computed_utility,
            self.status,
        ]

    def payload(self) -> Payload:
        """The same under names, with the training loss, samples trained and the executor that hosted the client."""
        return {
            **self.times.payload(),
            "predicted_utility": self.predicted_utility,
            "computed_utility": self.computed_utility,
            "loss": self.loss,
            "samples": self.samples,
            "delta_norm": self.delta_norm,
            "executor_id": self.executor_id,
            "status": self.status,
        }
