"""What training and sending cost one client, by the formulas of the time model. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from fedswarm.devices.time_model import Workload, megabits
from fedswarm.devices.world import ClientTime
from fedswarm.models.layout import Layout


@dataclass(frozen=True)
class LocalWork:
    """What one client has to do: FLOP of a mini-batch and megabits of a whole upload, scaled by the job.

    Uploads are counted in time at downlink speed, which is twice the uplink's.
    """

    step_flop: float
    upload_mbit: float

    @classmethod
    def of(cls, layout: Layout, batch_size: int, device: ClientTime) -> Self:
        """The work of training the model with this layout, by the formulas of the fixed-step time model."""
        work = Workload(megabits(layout.nbytes), layout.size, batch_size, np.ones(1, dtype=np.int64))
        return cls(
            step_flop=float(work.compute_flop(device.compute_scale)[0]),
            upload_mbit=float(work.upload_mbit(device.network_scale)),
        )


@dataclass(frozen=True)
class Payload:
    """Share of the dense model's bytes that an update takes: ``fixed + per_kept keep``, and 1 when it is dense.

    ``Payload(0, 1)`` is the original's, which counts values alone. The default adds one bit a weight for the bitmap of
    which weights are sent, 1/32 of float32 weights.
    """

    fixed: float = 1 / 32
    per_kept: float = 1.0

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """For a layout whose buffers are always sent whole: only trainable weights are left out."""
        trainable = layout.trainable_size / layout.size
        return cls(fixed=1 / 32 + (1 - trainable), per_kept=trainable)

    def share(self, keep: float) -> float:
        """Share of the bytes that keeping ``keep`` of the weights takes."""
        return 1.0 if keep >= 1 else min(1.0, self.fixed + self.per_kept * keep)

    def keep_within(self, share: float, least: float) -> float:
        """The largest keep fraction that takes no more than ``share`` of the bytes, but at least ``least``.

        1 when a compressed update would be no smaller than the dense one.
        """
        keep = 1.0 if share >= 1 else max(least, (share - self.fixed) / self.per_kept)
        return keep if self.share(keep) < 1 else 1.0
