"""``fedswarm logs``: what the processes of a run wrote, or its records, as they are or as they come."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from fedswarm.cli.options import AsJson, RunName, runs_folder
from fedswarm.cli.output import result
from fedswarm.jobs.vocabulary import nearest
from fedswarm.launch.run_folder import LATEST, RunFolder, find_run
from fedswarm.records.reader import Tail
from fedswarm.records.tags import TAGS

POLL_S: Final = 0.2
_TIME = re.compile(r"\(\d\d-\d\d\) \d\d:\d\d:\d\d")


class LogTail:
    """One process's log: :meth:`poll` returns the lines added since the last one, each with its time."""

    def __init__(self, path: Path) -> None:
        self.role = path.stem
        self._path = path
        self._offset = 0
        self._time = ""

    def poll(self) -> list[tuple[str, str, str]]:
        """``(time, role, line)`` of each complete new line; a line without a time has that of the one before."""
        found = []
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for raw in log:
                if not raw.endswith(b"\n"):
                    break
                self._offset += len(raw)
                line = raw.decode(errors="replace").rstrip()
                match = _TIME.match(line)
                self._time = match.group() if match else self._time
                found.append((self._time, self.role, line))
        return found


class RunLogs:
    """The logs of the wanted processes of one run, merged by time."""

    def __init__(self, folder: RunFolder, roles: list[str]) -> None:
        self._folder = folder
        self._roles = roles
        self._tails: dict[Path, LogTail] = {}

    def roles(self) -> list[str]:
        """All processes that have a log."""
        return sorted(path.stem for path in self._folder.logs.glob("*.log"))

    def poll(self) -> list[tuple[str, str]]:
        """``(role, line)`` of what was added since the last time; processes may appear meanwhile."""
        for path in sorted(self._folder.logs.glob("*.log")):
            if self._wants(path.stem):
                self._tails.setdefault(path, LogTail(path))
        entries = [entry for tail in self._tails.values() for entry in tail.poll()]
        return [(role, line) for _, role, line in sorted(entries, key=lambda entry: entry[0])]

    def _wants(self, role: str) -> bool:
        return not self._roles or any(role == wanted or role.startswith(f"{wanted}-") for wanted in self._roles)


def logs(
    name: RunName = LATEST,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the run is over")] = False,
    role: Annotated[
        list[str] | None, typer.Option(help="only this process: aggregator, executor-1, executor (all); repeatable")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="records with this tag instead, e.g. ROUND_SUMMARY; repeatable")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run's processes logged, or its records."""
    folder = find_run(runs_folder(), name)
    if role and tag:
        raise typer.BadParameter("--role and --tag exclude each other: records have no role", param_hint="--tag")
    for wanted in set(tag or []) - set(TAGS):
        meant = nearest(wanted, TAGS)
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(TAGS)}"
        raise typer.BadParameter(f"{wanted!r} is no tag of a record; {hint}", param_hint="--tag")
    poll = _record_lines(folder, tag, as_json) if tag else _log_lines(folder, role or [], follow, as_json)
    try:
        while True:
            over = folder.read_state().is_over  # before the lines, so that none is missed at the end
            for line in poll():
                result(line)
            if over or not follow:
                return
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _record_lines(folder: RunFolder, tags: list[str], as_json: bool) -> Callable[[], Iterable[str]]:
    tail = Tail(folder.rounds_file)

    def poll() -> Iterable[str]:
        for record in tail.poll():
            if record["tag"] in tags:
                text = json.dumps(record, ensure_ascii=False)
                yield text if as_json else f"[{record['tag']}] {text}"

    return poll


def _log_lines(folder: RunFolder, roles: list[str], follow: bool, as_json: bool) -> Callable[[], Iterable[str]]:
    run_logs = RunLogs(folder, roles)
    unknown = [
        role for role in roles if not any(known == role or known.startswith(f"{role}-") for known in run_logs.roles())
    ]
    if unknown and not follow:
        raise typer.BadParameter(f"no log of {', '.join(unknown)}; there are: {', '.join(run_logs.roles())}")

    def poll() -> Iterable[str]:
        for role, line in run_logs.poll():
            yield json.dumps({"role": role, "line": line}, ensure_ascii=False) if as_json else f"{role} | {line}"

    return poll
