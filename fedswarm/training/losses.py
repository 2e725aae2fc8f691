"""What a client's losses say to the selectors: the moving loss and the statistical utility of Oort (OSDI'21). No torch.

Both in the form of the FedScale family's latest code: over all samples of the round, where the first release took the
last batch alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def moving_loss(batch_losses: NDArray[np.float64], steps_per_epoch: int, decay: float) -> float:
    """Exponentially weighted mean of the first epoch's batch losses; ``decay`` is the newest one's weight."""
    first, *later = batch_losses[:steps_per_epoch].tolist()
    average: float = first
    for loss in later:
        average = (1 - decay) * average + decay * loss
    return average


def utility(sample_losses: NDArray[np.float64], shard_samples: int, nominal_samples: int) -> float:
    """Oort's utility ``|B| sqrt(mean of squared losses)`` (section 4.2), ``|B| = min(shard, steps x batch size)``.

    ``sample_losses`` has one entry for each sample trained, with repetitions.
    """
    root_mean_square = float(np.sqrt(np.mean(np.square(sample_losses))))
    return root_mean_square * min(shard_samples, nominal_samples)
