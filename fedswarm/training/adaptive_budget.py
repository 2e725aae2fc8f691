"""How long a client trains when it is given time in place of steps, and how much of its update it then sends. No torch.

The adaptive client of the FedScale fork with Bliss, as a machine that simulates the device's time and says what to do
next. With time ``b`` left and ``R = recheck_steps``:

- *Phase 1*: while ``b`` covers the upload of the whole update at the present bandwidth and ``R`` steps more, train
  ``R`` steps. Without phase 2, the steps that fit after that, fewer than ``R``, are trained at once.
- *Phase 2*: train step by step at the cost of the upload. After each step the keep fraction is the largest whose
  upload fits in ``b``, and the gain is by how much the norm of the update so compressed has grown. Stop when the gain,
  smoothed by ``ewma_lambda``, is not above 0, when the keep fraction is down to ``min_payload_frac``, or when ``b`` is
  spent.
- *Upload* of what was kept, by the trace.

The budget is a soft target, as in the original: estimates use the bandwidth and speed of the moment, and a step once
begun is ended, so a client may exceed it by one step and by an upload that slows down on the way. Deviations: steps
are counted once (D5); the job's scale applies to all phases (D4); the device must stay throughout every phase, the
leftover steps and the upload included; no step begins after the budget is spent, and a client without steps fails
(D7); steps may be limited.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from fedswarm.jobs.schema import AdaptiveSection
from fedswarm.training.local_work import LocalWork, Payload
from fedswarm.training.task import TimeBudget


@dataclass(frozen=True)
class Train:
    """Train this many mini-batches."""

    steps: int


@dataclass(frozen=True)
class Measure:
    """Send back the Euclidean norm of what this keep fraction leaves of the update."""

    keep: float


@dataclass(frozen=True)
class Stop:
    """Training is over: send what ``keep`` leaves of the update, or, with an ``error``, nothing.

    The times are simulated seconds; those of a client that failed end where it failed.
    """

    keep: float
    compute_s: float = 0.0
    upload_s: float = 0.0
    steps_phase1: int = 0
    steps_phase2: int = 0
    error: str = ""


class _Failure(Exception):
    """The client cannot go on; the message says why."""


class AdaptiveBudget:
    """One client's training within its budget.

    Args:
        budget: the time, and the device that spends it.
        work: what a step and an upload cost.
        section: the job's rules.
        payload: what a compressed update costs.
        most_steps: limit of the steps in both phases, or none.
    """

    def __init__(
        self,
        budget: TimeBudget,
        work: LocalWork,
        section: AdaptiveSection,
        payload: Payload,
        most_steps: int | None = None,
    ) -> None:
        if math.isinf(budget.budget_s) and most_steps is None:
            raise ValueError("training without a limit of time or steps would never end")
        self._budget = budget
        self._device = budget.device
        self._work = work
        self._section = section
        self._payload = payload
        self._most_steps = math.inf if most_steps is None else most_steps
        self._now_s = budget.start_s
        self._keep = 1.0
        self._upload_s = 0.0
        self._steps_phase1 = 0
        self._steps_phase2 = 0

    def decisions(self) -> Generator[Train | Measure | Stop, float]:
        """What to do, one thing after the other; :class:`Stop` is the last. ``send`` answers a :class:`Measure`."""
        error = ""
        try:
            leftover = yield from self._phase1()
            if self._section.run_phase_2:
                yield from self._phase2()
            elif leftover:
                yield self._train(leftover)
                self._steps_phase1 += leftover
            self._upload()
        except _Failure as failure:
            error = str(failure)
        yield Stop(
            keep=self._keep,
            compute_s=self._now_s - self._budget.start_s,
            upload_s=self._upload_s,
            steps_phase1=self._steps_phase1,
            steps_phase2=self._steps_phase2,
            error=error,
        )

    @property
    def _left_s(self) -> float:
        return self._budget.budget_s - (self._now_s - self._budget.start_s)

    @property
    def _may_step(self) -> bool:
        return self._left_s > 0 and self._steps_phase1 + self._steps_phase2 < self._most_steps

    def _phase1(self) -> Generator[Train, float, int]:
        """Trains in blocks; returns how many steps, fewer than a block, are left over."""
        block = self._section.recheck_steps
        affordable = self._affordable_steps()
        while affordable >= block:
            yield self._train(block)
            self._steps_phase1 += block
            if affordable == block:
                return 0
            affordable = self._affordable_steps()
        return int(affordable)

    def _affordable_steps(self) -> float:
        """Steps that fit before the upload of the whole update at the speeds of this moment; may be infinite."""
        bandwidth = self._device.bandwidth_mbps(self._now_s)
        speed = self._device.speed_flops(self._now_s)
        spare_s = self._left_s - (self._work.upload_mbit / bandwidth if bandwidth else math.inf)
        if not (spare_s > 0 and speed > 0):
            return 0
        steps = spare_s / (self._work.step_flop / speed)
        left = self._most_steps - self._steps_phase1
        return left if steps >= left else math.floor(steps)

    def _phase2(self) -> Generator[Train | Measure, float]:
        decay = self._section.ewma_lambda
        least = self._section.min_payload_frac
        smoothed, previous = 0.0, 0.0
        while self._may_step:
            yield self._train(1)
            self._steps_phase2 += 1
            self._keep = self._affordable_keep(least)
            norm = yield Measure(self._keep)
            smoothed = decay * smoothed + (1 - decay) * (norm - previous)
            if not smoothed > 0 or self._keep <= least:  # a norm that is not a number ends it too
                return
            previous = norm

    def _affordable_keep(self, least: float) -> float:
        """The keep fraction whose upload fits in the time left at the bandwidth of this moment."""
        bandwidth = self._device.bandwidth_mbps(self._now_s)
        share = max(0.0, self._left_s) * bandwidth / self._work.upload_mbit if bandwidth else 0.0
        return self._payload.keep_within(share, least)

    def _train(self, steps: int) -> Train:
        """Lets the time of these steps pass; raises :class:`_Failure` when the device does not stay."""
        end_s = self._device.finish_compute(self._now_s, steps * self._work.step_flop)
        self._now_s = self._stay_until(end_s, "training")
        return Train(steps)

    def _upload(self) -> None:
        if not self._steps_phase1 + self._steps_phase2:
            raise _Failure(
                f"time budget too small: {self._budget.budget_s:g} s after the download leave no step;"
                " raise selection.t_budget_s"
            )
        sent_mbit = self._work.upload_mbit * self._payload.share(self._keep)
        end_s = self._device.finish_transfer(self._now_s, sent_mbit)
        self._upload_s = self._stay_until(end_s, "uploading") - self._now_s

    def _stay_until(self, end_s: float, doing: str) -> float:
        """``end_s``, if the device is there until then."""
        if math.isinf(end_s):
            raise _Failure(f"the device never finishes {doing}: its trace has no capacity")
        if not self._device.active_throughout(self._now_s, end_s):
            raise _Failure(f"the device went offline while {doing}, {self._now_s:.1f} s to {end_s:.1f} s")
        return end_s
