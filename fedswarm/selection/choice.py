"""What every choice must satisfy, whoever made it."""

from __future__ import annotations

import numpy as np

from fedswarm.errors import RunFailedError
from fedswarm.selection.contract import ClientIds


def check_choice(chosen: ClientIds, count: int, online: ClientIds) -> None:
    """Raises :class:`RunFailedError` unless ``chosen`` are at most ``count`` ids out of ``online``, ascending."""
    shown = chosen[:5].tolist()
    if len(chosen) > count:
        raise RunFailedError(f"the selection policy chose {len(chosen)} clients where at most {count} were asked for")
    if np.any(np.diff(chosen) <= 0):
        raise RunFailedError(f"the selection policy must give ids in ascending order, each once; it gave {shown}...")
    strangers = np.setdiff1d(chosen, online, assume_unique=True)
    if len(strangers):
        raise RunFailedError(f"the selection policy chose clients {strangers[:5].tolist()}, who are not online")
