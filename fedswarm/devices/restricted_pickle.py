"""Reads the pickles in which device profiles circulate, without unpickling them.

Python's own ``Unpickler``, with a strict ``find_class``, still lets a hostile file hand arguments of its choice to the
classes allowed, grow the memo table to gigabytes with five bytes, or hash a tuple nested a million deep. So this is a
machine of our own for the part of the pickle language that plain data need (protocols 2 to 5). It cannot import or call
anything: the few names it knows stand for functions of :mod:`fedswarm.devices.pickled_names`, and every other name is
refused with :class:`~fedswarm.errors.DataError`.

What comes out is made of dict, list, tuple, set, str, bytes, int, float, bool and None; ordered dictionaries become
dict, one-dimensional numpy arrays become lists, numpy scalars become numbers. Keys and set members are int or str.

Time and memory are bounded by the size of the file: each instruction costs no more than its own bytes say, except
for those that copy what others made, and these draw on a budget. Nothing here recurses into nested data; who reads the
result must not either, since a list may well hold itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from fedswarm.devices.pickled_names import NAMES, ArrayValues, Budget, Name, NumberFormat
from fedswarm.errors import DataError

MAX_FILE_BYTES: Final = 2 * 1024**3
MAX_COPIED_VALUES: Final = 200_000_000
MAX_INTEGER_BYTES: Final = 8
MAX_LINE_BYTES: Final = 200

_PROTOCOL, _STOP = 0x80, ord(".")
# An instruction and its operand, as they follow each other in a list of numbers.
_NUMBERS: Final = {
    ord("K"): np.dtype([("instruction", "u1"), ("value", "u1")]),
    ord("M"): np.dtype([("instruction", "u1"), ("value", "<u2")]),
    ord("J"): np.dtype([("instruction", "u1"), ("value", "<i4")]),
    ord("G"): np.dtype([("instruction", "u1"), ("value", ">f8")]),
}
_SINGLE: Final = {
    ord("K"): struct.Struct("<B"),
    ord("M"): struct.Struct("<H"),
    ord("J"): struct.Struct("<i"),
    ord("G"): struct.Struct(">d"),
}
_RUN: Final = 1000  # picklers write lists in batches of as many
_REFUSED: Final = {
    "P": "PERSID, an object kept elsewhere",
    "Q": "BINPERSID, an object kept elsewhere",
    "i": "INST, an instance of any class",
    "o": "OBJ, an instance of any class",
    "\x81": "NEWOBJ, an instance of any class",
    "\x92": "NEWOBJ_EX, an instance of any class",
    "\x82": "EXT1, a class by number",
    "\x83": "EXT2, a class by number",
    "\x84": "EXT4, a class by number",
    "\x97": "NEXT_BUFFER, a buffer outside the file",
    "\x98": "READONLY_BUFFER, a buffer outside the file",
    "\x8b": "LONG4, an integer of any length",
}


def read_pickle(path: Path, max_bytes: int = MAX_FILE_BYTES) -> Any:
    """The plain data in a pickle file.

    Raises DataError, with the file and the byte, if it holds anything but plain data or is damaged or too large.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; name the pickle to import")
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError(f"{path}: larger than {max_bytes:,} bytes, the most that is read; split it")
    return parse_pickle(data, str(path))


def parse_pickle(data: bytes, source: str, max_copied_values: int = MAX_COPIED_VALUES) -> Any:
    """The plain data in the bytes of a pickle; ``source`` names them in errors. Raises DataError."""
    return _Machine(data, source, max_copied_values).run()


class _Machine:
    """A stack, a memo and a place in the bytes; one method an instruction (names as in Python's ``pickletools``)."""

    def __init__(self, data: bytes, source: str, max_copied_values: int) -> None:
        self._data = data
        self._source = source
        self._at = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._budget = Budget(max_copied_values)

    def run(self) -> Any:
        """Carries out all instructions up to STOP."""
        if self._data[:1] != bytes([_PROTOCOL]):
            raise DataError(
                f"{self._source}: not a pickle of protocol 2 or later; one of an older protocol must be saved again "
                "by the Python that wrote it, with protocol=4"
            )
        try:
            while (instruction := self._take(1)[0]) != _STOP:
                self._step(instruction)
            return self._pop()
        except DataError as error:
            raise DataError(f"{self._source}: at byte {self._at:,}: {error}") from None

    def _step(self, instruction: int) -> None:
        if instruction in _NUMBERS:
            self._numbers(instruction)
            return
        handler = _HANDLERS.get(instruction)
        if handler is None:
            what = _REFUSED.get(chr(instruction), f"instruction {instruction:#04x}")
            raise DataError(f"{what}, is not plain data; nothing was executed")
        handler(self)

    # Bytes

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise DataError(f"the file ends where {count:,} more bytes should follow; get it again")
        self._at += count
        return taken

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        end = self._data.find(b"\n", self._at, self._at + MAX_LINE_BYTES)
        if end < 0:
            raise DataError(f"a name longer than {MAX_LINE_BYTES} bytes")
        line = _decoded(self._take(end - self._at))
        self._at += 1
        return line

    # Stack

    def _floor(self) -> int:
        return self._marks[-1] if self._marks else 0

    def _pop(self) -> Any:
        if len(self._stack) <= self._floor():
            raise DataError("a value is used that was never made; the file is damaged")
        return self._stack.pop()

    def _top(self, kind: type, what: str) -> Any:
        """The newest value, which must be exactly of this kind (a list we made of an array is not one to extend)."""
        value = self._stack[-1] if len(self._stack) > self._floor() else None
        if type(value) is not kind:
            raise DataError(f"{what} goes into a {type(value).__name__}; the file is damaged or hostile")
        return value

    def _pop_to_mark(self) -> list[Any]:
        if not self._marks:
            raise DataError("a group ends that never began; the file is damaged")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    # Numbers, text, bytes

    def _numbers(self, instruction: int) -> None:
        """All numbers of one width that follow each other, at the speed of numpy."""
        form = _NUMBERS[instruction]
        start, size = self._at - 1, form.itemsize
        after = start + size
        if after >= len(self._data) or self._data[after] != instruction:
            (value,) = _SINGLE[instruction].unpack(self._take(size - 1))
            self._stack.append(value)
            return
        count = min(_RUN, (len(self._data) - start) // size)
        run = np.frombuffer(self._data, form, count, start)
        others = np.flatnonzero(run["instruction"] != instruction)
        if others.size:
            run = run[: others[0]]
        self._stack.extend(run["value"].tolist())
        self._at = start + size * len(run)

    def _long1(self) -> None:
        size = self._unsigned(1)
        if size > MAX_INTEGER_BYTES:
            raise DataError(f"an integer of {size} bytes; {MAX_INTEGER_BYTES} are the most that is read")
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def _text(self, size_bytes: int) -> None:
        self._stack.append(_decoded(self._take(self._unsigned(size_bytes))))

    def _bytes(self, size_bytes: int) -> None:
        self._stack.append(self._take(self._unsigned(size_bytes)))

    # Containers

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _tuple(self) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _short_tuple(self, length: int) -> None:
        items = [self._pop() for _ in range(length)]
        self._stack.append(tuple(reversed(items)))

    def _append(self) -> None:
        item = self._pop()
        self._top(list, "an item").append(item)

    def _appends(self) -> None:
        items = self._pop_to_mark()
        self._top(list, "items").extend(items)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._top(dict, "an entry")[_as_key(key)] = value

    def _set_items(self) -> None:
        items = self._pop_to_mark()
        if len(items) % 2:
            raise DataError("a key without a value; the file is damaged")
        target = self._top(dict, "entries")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_as_key(key)] = value

    def _add_items(self) -> None:
        items = self._pop_to_mark()
        self._top(set, "members").update(map(_as_key, items))

    def _frozenset(self) -> None:
        self._stack.append(set(map(_as_key, self._pop_to_mark())))

    # Memo

    def _put(self, index: int) -> None:
        if len(self._stack) <= self._floor():
            raise DataError("nothing there to remember; the file is damaged")
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise DataError(f"value {index} is used that was never made; the file is damaged")
        self._stack.append(self._memo[index])

    # Names: looked up in a table, never imported

    def _global(self) -> None:
        self._push_name(self._line(), self._line())

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise DataError("a class whose name is not text; the file is damaged or hostile")
        self._push_name(module, name)

    def _push_name(self, module: str, name: str) -> None:
        known = NAMES.get((module, name))
        if known is None:
            asked = f"{module}.{name}"[:MAX_LINE_BYTES]
            raise DataError(f"it asks for {asked!r}, which is not plain data; nothing was executed")
        self._stack.append(known)

    def _reduce(self) -> None:
        arguments = self._pop()
        name = self._top(Name, "a call")
        if type(arguments) is not tuple:
            raise DataError("a call without a tuple of arguments; the file is damaged or hostile")
        self._stack[-1] = name.make(arguments, self._budget)

    def _build(self) -> None:
        state = self._pop()
        target = self._stack[-1] if len(self._stack) > self._floor() else None
        if not isinstance(target, NumberFormat | ArrayValues):
            raise DataError(f"a state set on a {type(target).__name__} is not plain data; nothing was executed")
        target.set_state(state, self._budget)


def _as_key(key: Any) -> int | str:
    """Only what hashes in constant time: a nested tuple takes exponential time, or the whole C stack."""
    if type(key) is int or type(key) is str:
        return key
    raise DataError(f"a key of type {type(key).__name__}; only int and str are read")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise DataError(f"text that is not UTF-8: {raw[:20]!r}") from None


def _pushing(make: Callable[[], Any]) -> Callable[[_Machine], object]:
    return lambda machine: machine._stack.append(make())


_HANDLERS: Final[dict[int, Callable[[_Machine], object]]] = {
    _PROTOCOL: lambda machine: machine._take(1),
    0x95: lambda machine: machine._take(8),  # FRAME: a hint for reading ahead
    ord("N"): _pushing(lambda: None),
    0x88: _pushing(lambda: True),
    0x89: _pushing(lambda: False),
    0x8A: _Machine._long1,
    0x8C: lambda machine: machine._text(1),
    ord("X"): lambda machine: machine._text(4),
    0x8D: lambda machine: machine._text(8),
    ord("C"): lambda machine: machine._bytes(1),
    ord("B"): lambda machine: machine._bytes(4),
    0x8E: lambda machine: machine._bytes(8),
    0x96: lambda machine: machine._bytes(8),  # BYTEARRAY8
    ord("("): _Machine._mark,
    ord("]"): _pushing(list),
    ord("}"): _pushing(dict),
    ord(")"): _pushing(tuple),
    0x8F: _pushing(set),
    ord("t"): _Machine._tuple,
    0x85: lambda machine: machine._short_tuple(1),
    0x86: lambda machine: machine._short_tuple(2),
    0x87: lambda machine: machine._short_tuple(3),
    ord("a"): _Machine._append,
    ord("e"): _Machine._appends,
    ord("s"): _Machine._set_item,
    ord("u"): _Machine._set_items,
    0x90: _Machine._add_items,
    0x91: _Machine._frozenset,
    0x94: lambda machine: machine._put(len(machine._memo)),  # MEMOIZE
    ord("q"): lambda machine: machine._put(machine._unsigned(1)),
    ord("r"): lambda machine: machine._put(machine._unsigned(4)),
    ord("h"): lambda machine: machine._get(machine._unsigned(1)),
    ord("j"): lambda machine: machine._get(machine._unsigned(4)),
    ord("c"): _Machine._global,
    0x93: _Machine._stack_global,
    ord("R"): _Machine._reduce,
    ord("b"): _Machine._build,
}
