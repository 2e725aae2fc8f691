"""How much work a client does in a round, and how long each of its three phases takes.

Units: seconds, megabits (1e6 bits), megabits a second, FLOP. The arithmetic is that of the FedScale family (its fork
with Bliss): download, compute and upload follow each other, and

- ``W_download = M * network_scale``                        [Mb]
- ``W_compute  = 3 * P * B * E * compute_scale``            [FLOP]: forward plus backward, P weights as FLOP a sample
- ``W_upload   = (1 - dropout) * M / 0.5 * network_scale``  [Mb]: the uplink is half the downlink

One deviation: M is exact. The original truncates it to whole megabits, which makes small models free to send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TRAINING_FACTOR: Final = 3.0
UPLINK_SHARE: Final = 0.5


@dataclass(frozen=True)
class Workload:
    """What the clients of one round do; array fields have one entry a client."""

    model_mbit: float
    weights: int
    batch_size: int
    steps: NDArray[np.int64]
    dropout: float | Floats = 0.0

    def download_mbit(self, network_scale: float) -> float:
        """Megabits each client receives, as the model counts them."""
        return self.model_mbit * network_scale

    def upload_mbit(self, network_scale: float) -> float | Floats:
        """Megabits each client sends, as seen by its downlink speed."""
        return (1.0 - self.dropout) * self.model_mbit / UPLINK_SHARE * network_scale

    def compute_flop(self, compute_scale: float) -> Floats:
        """FLOP each client spends."""
        return TRAINING_FACTOR * self.weights * self.batch_size * self.steps.astype(np.float64) * compute_scale


@dataclass(frozen=True)
class PhaseTimes:
    """Seconds of each phase, one entry a client; infinite where a device never gets there."""

    download_s: Floats
    compute_s: Floats
    upload_s: Floats

    @property
    def total_s(self) -> Floats:
        """Seconds from the task's dispatch to its result."""
        return self.download_s + self.compute_s + self.upload_s


def megabits(nbytes: int) -> float:
    """Megabits (1e6 bits) of a number of bytes."""
    return nbytes * 8 / 1e6
