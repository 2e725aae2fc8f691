"""Records as JSON text: NumPy values and sets welcome, numbers that are not finite become null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np


def encode(payload: Mapping[str, Any]) -> str:
    """One line of standard JSON, non-ASCII kept. Raises :class:`TypeError` for values that JSON has no form for."""
    try:
        return _ENCODER.encode(payload)
    except ValueError:
        # Rare, so the common case does not pay for looking at every number.
        return _ENCODER.encode(_finite(payload))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a record cannot hold {value!r} of type {type(value).__name__}")


def _finite(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, default=_plain)
