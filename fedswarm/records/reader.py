"""Reads a run's records back, whole or as they appear; needs nothing but the standard library.

``path`` is a run folder, its ``rounds.jsonl``, or a FedScale text log (see :mod:`fedswarm.records.text_reader`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fedswarm.errors import DataError, RunNotFoundError
from fedswarm.records.text_reader import parse_text_log

RECORD_FILE: Final = "rounds.jsonl"


def read_records(path: Path | str) -> list[dict[str, Any]]:
    """All records in the order written. A last line without an end (its writer was killed) is left out.

    Raises :class:`RunNotFoundError` when there is no such file and :class:`DataError` for a line that is no record.
    """
    file = record_file(Path(path))
    if file.suffix != ".jsonl":
        with file.open(encoding="utf-8", errors="replace") as log:
            return parse_text_log(log)
    with file.open("rb") as lines:
        return [parse_record(line, f"{file}:{n}") for n, line in enumerate(lines, 1) if line.endswith(b"\n")]


def record_file(path: Path) -> Path:
    """The file that holds the records of ``path``. Raises :class:`RunNotFoundError`."""
    file = path / RECORD_FILE if path.is_dir() else path
    if not file.is_file():
        raise RunNotFoundError(
            f"no records at {file}: give a run folder, its {RECORD_FILE} or a <job_name>_logging file"
        )
    return file


def parse_record(line: bytes, place: str) -> dict[str, Any]:
    """One record; ``place`` (file:line) goes into the :class:`DataError` when it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON ({error}); restore the file or delete this line") from error
    if not isinstance(record, dict) or not isinstance(record.get("tag"), str):
        raise DataError(f"{place}: not a record (an object with a tag): {line[:80]!r}; delete this line")
    return record


class Tail:
    """Follows a growing ``rounds.jsonl``: each :meth:`poll` returns the records added since the last one.

    Does not wait: the caller decides how often to look. The file need not exist yet. Half a line stays unread until
    its end arrives, and a file that was replaced by a shorter one is read from its start.
    """

    def __init__(self, path: Path | str) -> None:
        given = Path(path)
        self._file = given if given.suffix == ".jsonl" else given / RECORD_FILE
        self._offset = 0
        self._line = 0

    def poll(self) -> list[dict[str, Any]]:
        """New records, oldest first. Raises :class:`DataError` for a line that is no record."""
        return [parse_record(line, place) for line, place in self.lines()]

    def lines(self) -> Iterator[tuple[bytes, str]]:
        """New lines, oldest first, each with its place (file:line); for who goes on after one that is no record."""
        for line in self._new_lines():
            self._line += 1
            yield line, f"{self._file}:{self._line}"

    def _new_lines(self) -> Iterator[bytes]:
        try:
            file = self._file.open("rb")
        except FileNotFoundError:
            return
        with file:
            if self._file.stat().st_size < self._offset:
                self._offset = self._line = 0
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._offset += len(raw)
                yield raw
