"""What ``submit`` shows while a run goes on: a panel that is redrawn on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from fedswarm.cli.output import duration, number, size, write_line
from fedswarm.cli.overview import accuracy, progress_rows
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import RunState
from fedswarm.records.summary import RunProgress


class View(Protocol):
    """Something that shows a run while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def record(self, record: Mapping[str, Any], progress: RunProgress) -> None:
        """Takes a new record, which ``progress`` includes already."""
        ...

    def refresh(self, state: RunState, progress: RunProgress, now: float) -> None:
        """Shows where the run stands at ``now``, seconds since 1970."""
        ...


def make_view(folder: RunFolder, *, quiet_output: bool) -> View:
    """The view that fits standard output; on standard error if ``quiet_output`` keeps the former for results."""
    stream = sys.stderr if quiet_output else sys.stdout
    return TerminalView(folder, stream) if stream.isatty() else PlainView(folder, stream)


class PlainView:
    """One line a round and one a test, for logs and pipes."""

    def __init__(self, folder: RunFolder, stream: TextIO) -> None:
        self._stream = stream
        self._told: set[str] = set()
        self._write(f"starting {folder.name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def record(self, record: Mapping[str, Any], progress: RunProgress) -> None:
        """Prints rounds, tests and skipped rounds; everything else is in the records."""
        match record.get("tag"):
            case "ROUND_SUMMARY":
                self._write(_round_line(progress, now=float(record.get("ts") or 0.0)))
            case "TEST_RESULT":
                self._write(f"{_round(progress)}  accuracy {accuracy(progress)}  loss {number(progress.test_loss)}")
            case "ROUND_SKIPPED":
                self._write(f"nobody available until {duration(progress.clock_s)} of virtual time")

    def refresh(self, state: RunState, progress: RunProgress, now: float) -> None:
        """Prints what happened to the processes since the last time."""
        for event in state.events:
            text = f"{event.at}  {event.text}"
            if text not in self._told:
                self._told.add(text)
                self._write(text)

    def _write(self, line: str) -> None:
        write_line(line, self._stream)


class TerminalView:
    """A panel with the run's figures and a bar of its rounds."""

    def __init__(self, folder: RunFolder, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._folder = folder
        self._live = Live(console=Console(file=stream), auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def record(self, record: Mapping[str, Any], progress: RunProgress) -> None:
        """The panel shows the sum of all records; see :meth:`refresh`."""

    def refresh(self, state: RunState, progress: RunProgress, now: float) -> None:
        """Draws the panel anew."""
        self._live.update(self._panel(state, progress, now), refresh=True)

    def _panel(self, state: RunState, progress: RunProgress, now: float) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        figures = Table.grid(padding=(0, 2))
        for name, value in progress_rows(progress, now):
            figures.add_row(Text(name, style="dim"), Text(value))
        events = [Text(event.text, style="yellow") for event in state.events[-3:]]
        bar = ProgressBar(total=progress.rounds or 1, completed=progress.round)
        title = Text(f"{self._folder.name}  {_phase(state)}")
        return Panel(Group(figures, *events, bar), title=title, title_align="left")


def _phase(state: RunState) -> str:
    if state.state != "starting":
        return state.state
    up = sum(record.target is not None for record in state.processes.values())
    return f"starting ({up} processes up)"


def _round(progress: RunProgress) -> str:
    return f"round {progress.round}/{'-' if progress.rounds is None else progress.rounds}"


def _round_line(progress: RunProgress, now: float) -> str:
    remaining_s = progress.eta_s(now)
    parts = [
        _round(progress),
        f"{progress.alive} peers alive" if progress.decentralized else f"{progress.participants} participants",
        f"clock {duration(progress.clock_s)}",
        f"training loss {number(progress.loss)}",
        f"peers {size(progress.bytes_peers)}",
    ]
    if not progress.decentralized:
        parts += [f"aggregator {size(progress.bytes_aggregator)}", f"executors {len(progress.executors)}"]
    if remaining_s is not None:
        parts.append(f"{duration(remaining_s)} to go")
    return "  ".join(parts)
