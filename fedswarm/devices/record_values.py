"""Values of records that somebody else wrote: looked at for their type before anything else is done with them.

Nested data out of a pickle may hold themselves, or unfold without end; so nothing here goes deeper than one list, and
messages never print more than a type or a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import DataError

_NOTHING: Final = ("None", "nan")


def number(record: Mapping[Any, Any], field: str) -> float:
    """A number that must be there; NaN and infinity are for the profile to refuse."""
    value = _present(record, field)
    if type(value) not in (int, float):
        raise DataError(f"{field} is a {type(value).__name__}: it must be a number")
    return float(value)


def positive(record: Mapping[Any, Any], field: str) -> float:
    """A number above zero and finite."""
    value = number(record, field)
    if not 0 < value < float("inf"):
        raise DataError(f"{field} is {value:g}: it must be above 0 and finite")
    return value


def numbers(record: Mapping[Any, Any], field: str) -> NDArray[np.float64]:
    """A list of numbers that must be there and may be empty."""
    value = _present(record, field)
    if not isinstance(value, list | tuple):
        raise DataError(f"{field} is a {type(value).__name__}: it must be a list of numbers")
    others = set(map(type, value)) - {int, float}
    if others:
        named = ", ".join(sorted(other.__name__ for other in others))
        raise DataError(f"{field} holds {named}: it must hold numbers alone")
    return np.asarray(value, dtype=np.float64)


def text(record: Mapping[Any, Any], field: str) -> str:
    """A text, or a number as text; empty if there is none."""
    value = record.get(field)
    if value is None:
        return ""
    if type(value) not in (str, int, float):
        raise DataError(f"{field} is a {type(value).__name__}: it must be text")
    return "" if str(value) in _NOTHING else str(value)


def _present(record: Mapping[Any, Any], field: str) -> Any:
    if field not in record:
        raise DataError(f"{field} is missing")
    return record[field]
