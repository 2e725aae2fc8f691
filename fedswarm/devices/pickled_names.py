"""What the names in a pickle of plain data stand for: stand-ins that check everything and call nothing.

A pickle says how to rebuild a numpy array as calls of numpy functions with arguments of its choice. The real ones trust
these arguments (sizes, object references as raw bytes, record layouts); the stand-ins take one-dimensional arrays of
plain numbers and refuse the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from fedswarm.errors import DataError

_Order = Literal["<", ">", "|", "="]
_NUMBER_FORMAT: Final = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248])")


class Budget:
    """How many values may still be copied; a few bytes of a pickle can copy a large value again and again."""

    def __init__(self, values: int) -> None:
        self._values = values

    def spend(self, values: int) -> None:
        """Takes off that many. Raises DataError when they are used up."""
        self._values -= values
        if self._values < 0:
            raise DataError("it unfolds to more values than are read; it is not a device file")


@dataclass(frozen=True)
class Name:
    """A name of the table; ``make(arguments, budget)`` is what a call of it gives."""

    make: Callable[[tuple[Any, ...], Budget], Any]


class NumberFormat:
    """Stands for ``numpy.dtype``: the machine format of a number."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._order: _Order = "="

    def set_state(self, state: Any, budget: Budget) -> None:
        """Takes the byte order; fields, shapes and names of records are refused."""
        plain = type(state) is tuple and len(state) >= 5 and state[2:5] == (None, None, None)
        if not plain or state[1] not in ("<", ">", "|", "="):
            raise DataError("a numpy array of records; only arrays of numbers are read")
        self._order = state[1]

    def dtype(self) -> np.dtype[Any]:
        """The format as numpy knows it."""
        return np.dtype(self._code).newbyteorder(self._order)

    @classmethod
    def make(cls, arguments: tuple[Any, ...], budget: Budget) -> NumberFormat:
        """As ``numpy.dtype(code, align, copy)``."""
        code = arguments[0] if arguments else None
        if type(code) is not str or not _NUMBER_FORMAT.fullmatch(code):
            raise DataError(f"a numpy array of {_brief(code)}; only arrays of numbers are read")
        return cls(code)


class ArrayValues(list[Any]):
    """Stands for a numpy array while it is rebuilt, and is the list of its values afterwards."""

    def set_state(self, state: Any, budget: Budget) -> None:
        """As ``numpy.ndarray.__setstate__``: version, shape, format, order, bytes."""
        if type(state) is not tuple or len(state) != 5:
            raise DataError("a numpy array with an unknown state")
        self[:] = _array_values(state[4], state[2], state[1], budget)


def _array_values(raw: Any, form: Any, shape: Any, budget: Budget) -> list[Any]:
    if type(form) is not NumberFormat or type(raw) is not bytes:
        raise DataError("a numpy array of objects; only arrays of numbers are read")
    if type(shape) is not tuple or len(shape) != 1 or type(shape[0]) is not int:
        raise DataError("a numpy array that is not one-dimensional")
    dtype = form.dtype()
    if shape[0] < 0 or shape[0] * dtype.itemsize != len(raw):
        raise DataError(f"a numpy array of {shape[0]} values in {len(raw)} bytes; the file is damaged")
    budget.spend(shape[0])
    values: list[Any] = np.frombuffer(raw, dtype).tolist()
    return values


def _empty_array(arguments: tuple[Any, ...], budget: Budget) -> ArrayValues:
    if not arguments or arguments[0] is not _ARRAY:
        raise DataError("a numpy array of a class of its own; only plain arrays are read")
    return ArrayValues()


def _array_from_buffer(arguments: tuple[Any, ...], budget: Budget) -> ArrayValues:
    if len(arguments) != 4:
        raise DataError("a numpy array with unknown arguments")
    raw, form, shape, _ = arguments
    return ArrayValues(_array_values(raw, form, shape, budget))


def _scalar(arguments: tuple[Any, ...], budget: Budget) -> Any:
    if len(arguments) != 2:
        raise DataError("a numpy number with unknown arguments")
    return _array_values(arguments[1], arguments[0], (1,), budget)[0]


def _dict(arguments: tuple[Any, ...], budget: Budget) -> dict[Any, Any]:
    if arguments:
        raise DataError("a dictionary made from arguments; save the file again with protocol=4")
    return {}


def _set(arguments: tuple[Any, ...], budget: Budget) -> set[int | str]:
    items = arguments[0] if len(arguments) == 1 else []
    if type(items) is not list or any(type(item) not in (int, str) for item in items):
        raise DataError("a set of something else than int and str")
    budget.spend(len(items))
    return set(items)


def _bytes_from_text(arguments: tuple[Any, ...], budget: Budget) -> bytes:
    """How protocol 2 writes bytes: text of characters below 256."""
    if arguments == ():
        return b""
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
        raise DataError("bytes in an unknown encoding")
    budget.spend(math.ceil(len(arguments[0]) / 8))
    try:
        return arguments[0].encode("latin1")
    except UnicodeEncodeError:
        raise DataError("bytes with characters above 255; the file is damaged") from None


def _not_called(arguments: tuple[Any, ...], budget: Budget) -> Any:
    raise DataError("a numpy array made by its class; save it as a list")


def _brief(value: Any) -> str:
    return repr(value[:20]) if type(value) is str else type(value).__name__


_ARRAY: Final = Name(_not_called)
_NUMPY_CORES: Final = ("numpy.core", "numpy._core")
NAMES: Final[dict[tuple[str, str], Name]] = {
    ("collections", "OrderedDict"): Name(_dict),
    ("builtins", "set"): Name(_set),
    ("builtins", "frozenset"): Name(_set),
    ("builtins", "bytes"): Name(_bytes_from_text),
    ("__builtin__", "set"): Name(_set),
    ("__builtin__", "frozenset"): Name(_set),
    ("__builtin__", "bytes"): Name(_bytes_from_text),
    ("_codecs", "encode"): Name(_bytes_from_text),
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): Name(NumberFormat.make),
    **{(f"{core}.multiarray", "_reconstruct"): Name(_empty_array) for core in _NUMPY_CORES},
    **{(f"{core}.multiarray", "scalar"): Name(_scalar) for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): Name(_array_from_buffer) for core in _NUMPY_CORES},
}
