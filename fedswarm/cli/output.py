"""How the commands speak: results on standard output, prose on standard error, amounts in units people read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from fedswarm.errors import FedswarmError


def result(text: str) -> None:
    """One line of a result."""
    write_line(text, sys.stdout)


def say(text: str) -> None:
    """One line of prose."""
    write_line(text, sys.stderr)


def write_line(text: str, stream: TextIO) -> None:
    """One line, at once.

    Raises:
        BrokenPipeError: nobody reads any more, which ends a command without a word.
        FedswarmError: the line cannot be written.
    """
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FedswarmError(f"cannot write the output: {error.strerror}; free the disk, or send it elsewhere") from None


def result_json(value: Any) -> None:
    """A result for programs: one line of JSON."""
    result(json.dumps(value, ensure_ascii=False))


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as text whose columns line up."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in padded)


def size(count: float) -> str:
    """Bytes in decimal units: ``4.8 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``0.25 s``, ``12 s``, ``4 min 05 s``, ``3 h 20 min``."""
    if 0 < seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float | None, digits: int = 4) -> str:
    """A measured value, or a dash when there is none yet."""
    return "-" if value is None else f"{value:.{digits}f}"
