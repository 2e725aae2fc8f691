"""Writes a run's records: ``rounds.jsonl`` (one JSON object a line) and, beside it, the FedScale text log.

A record is flushed before :meth:`RecordWriter.write` returns, so a killed process loses nothing it reported. What a
kill can leave is half a line; opening the files again cuts it off.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, BinaryIO, Final, Self

from fedswarm.errors import RunFailedError
from fedswarm.records import fedscale_text
from fedswarm.records.json_line import encode
from fedswarm.records.schema import SCHEMA, Record

_TAIL_BLOCK_BYTES: Final = 64 * 1024


class RecordWriter:
    """Appends records to ``jsonl`` and, if given, to the text log ``text``.

    ``now`` gives wall seconds since 1970, which become each record's ``ts``. A run that starts anew starts its text
    log anew; one that is resumed (``jsonl`` already holds records) continues it. Raises :class:`RunFailedError` when a
    file cannot be written.
    """

    def __init__(self, jsonl: Path, text: Path | None = None, *, now: Callable[[], float]) -> None:
        self._now = now
        self._jsonl = _Lines(jsonl)
        try:
            self._text = _Lines(text, anew=self._jsonl.was_empty) if text else None
        except RunFailedError:
            self._jsonl.close()
            raise

    def write(self, record: Record) -> None:
        """Adds one record, on disk in both forms when this returns."""
        self._append(self._now(), record.tag, record.payload(), fedscale_text.lines(record), sys._getframe(1))

    def copy(self, record: Mapping[str, Any]) -> None:
        """Adds a record that another process wrote, as a reader gives it: with its own ``ts`` and tag."""
        payload = {key: value for key, value in record.items() if key not in ("ts", "tag", "schema")}
        self._append(float(record["ts"]), str(record["tag"]), payload, [], sys._getframe(1))

    def say(self, line: str) -> None:
        """Adds a line to the text log alone, for what notebooks look for and no record has."""
        if self._text is not None:
            self._text.append(f"{_prefix(self._now(), sys._getframe(1))} {line}\n")

    def _append(self, ts: float, tag: str, payload: Mapping[str, Any], human: list[str], caller: FrameType) -> None:
        text = encode(payload)
        rest = ", " + text[1:] if len(text) > 2 else "}"
        self._jsonl.append(f'{{"ts": {ts!r}, "tag": "{tag}", "schema": {SCHEMA}{rest}\n')
        if self._text is not None:
            prefix = _prefix(ts, caller)
            self._text.append("".join(f"{prefix} {message}\n" for message in [f"[{tag}] {text}", *human]))

    def close(self) -> None:
        """Closes both files; writing after that is an error."""
        self._jsonl.close()
        if self._text is not None:
            self._text.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Lines:
    """A file that only ever gains whole lines."""

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        self._path = path
        try:
            # Unbuffered: one write call a record, so readers never meet a line cut at a buffer's edge.
            self._file: BinaryIO = path.open("wb" if anew else "ab+", buffering=0)
            self.was_empty = _cut_torn_line(self._file) == 0
        except OSError as error:
            raise _cannot_write(path, error) from error

    def append(self, text: str) -> None:
        # Half a pair of surrogates, which a file's name may hold, has no UTF-8; so written it reads back as it was.
        left = memoryview(text.encode(errors="backslashreplace"))
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _cannot_write(self._path, error) from error

    def close(self) -> None:
        self._file.close()


def _cut_torn_line(file: BinaryIO) -> int:
    """Truncates after the last newline; returns the bytes that remain."""
    end = file.seek(0, os.SEEK_END)
    position = end
    while position > 0:
        start = max(0, position - _TAIL_BLOCK_BYTES)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        file.truncate(position)
    file.seek(position)
    return position


def _prefix(ts: float, caller: FrameType) -> str:
    stamp = time.strftime("(%m-%d) %H:%M:%S", time.localtime(ts))
    return f"{stamp} {'INFO':<8} [{Path(caller.f_code.co_filename).name}:{caller.f_lineno}]"


def _cannot_write(path: Path, error: OSError) -> RunFailedError:
    return RunFailedError(f"cannot write {path}: {error.strerror}; free the disk or choose a folder you may write to")
