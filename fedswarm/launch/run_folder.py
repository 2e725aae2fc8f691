"""A run's folder ``runs/<job_name>/<MMDD_HHMMSS>/``: what lies where, and how a run is found again by name."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from fedswarm.errors import RunNotFoundError
from fedswarm.launch.run_state import RunState

RUNS_FOLDER: Final = "runs"
LATEST: Final = "latest"


@dataclass(frozen=True)
class RunFolder:
    """The places inside one run's folder; see ``docs`` for their contents."""

    path: Path

    @classmethod
    def create(cls, runs: Path, job_name: str, now: datetime) -> RunFolder:
        """Makes the folder and its subfolders; a second run in the same second gets the suffix ``_2``."""
        stamp = now.strftime("%m%d_%H%M%S")
        for attempt in itertools.count(1):
            folder = cls(runs.absolute() / job_name / (stamp if attempt == 1 else f"{stamp}_{attempt}"))
            with contextlib.suppress(FileExistsError):
                folder.path.mkdir(parents=True)
                break
        for part in (folder.logs, folder.checkpoints, folder.metrics):
            part.mkdir()
        return folder

    @property
    def name(self) -> str:
        """``<job_name>/<stamp>``, by which :func:`find_run` finds it again."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def job_file(self) -> Path:
        """The job with every default written out."""
        return self.path / "job.yml"

    @property
    def rounds_file(self) -> Path:
        """The records, one JSON object a line."""
        return self.path / "rounds.jsonl"

    @property
    def peers(self) -> Path:
        """What each peer of a run without an aggregator tells of itself, ``<id>.jsonl``."""
        return self.path / "peers"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.path / "logs"

    @property
    def checkpoints(self) -> Path:
        """Models on disk."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """Measurements other than the records."""
        return self.path / "metrics"

    def log_file(self, role: str) -> Path:
        """Where a process's standard output and error go."""
        return self.logs / f"{role}.log"

    def read_state(self) -> RunState:
        """The content of ``run.json``, corrected by :meth:`RunState.observed`.

        Raises:
            RunNotFoundError: there is no readable ``run.json``.
        """
        return self.read_recorded_state().observed()

    def read_recorded_state(self) -> RunState:
        """The content of ``run.json`` as it is; raises like :meth:`read_state`."""
        try:
            return RunState.model_validate_json(self._state_file.read_bytes())
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not what fedswarm writes"
            raise RunNotFoundError(f"{self._state_file}: {reason}; is this the folder of a run?") from error

    def write_state(self, state: RunState) -> None:
        """Replaces ``run.json`` in one step: a reader sees the old state or the new one, never half of it."""
        fresh = self._state_file.with_suffix(f".{os.getpid()}.tmp")
        fresh.write_text(state.model_dump_json(indent=2) + "\n")
        fresh.replace(self._state_file)

    @property
    def _state_file(self) -> Path:
        return self.path / "run.json"


def list_runs(runs: Path) -> list[tuple[RunFolder, RunState]]:
    """All runs below a ``runs`` folder with their states, oldest first; other folders are passed over."""
    found = []
    for state_file in runs.glob("*/*/run.json"):
        folder = RunFolder(state_file.parent.absolute())
        with contextlib.suppress(RunNotFoundError):
            found.append((folder, folder.read_state()))
    return sorted(found, key=lambda pair: (datetime.fromisoformat(pair[1].created_at), pair[0].name))


def text_log_of(folder: RunFolder, working_folder: Path) -> Path:
    """Where a new run writes FedScale's lines: ``<job_name>_logging``, anew each time.

    While another run of that name still writes there, the stamp of this one stands in between.
    """
    job_name, stamp = folder.path.parent.name, folder.path.name
    usual = working_folder / f"{job_name}_logging"
    runs = list_runs(folder.path.parent.parent)
    is_free = all(state.is_over or state.text_log != str(usual) for _, state in runs)
    return usual if is_free else working_folder / f"{job_name}_{stamp}_logging"


def find_run(runs: Path, name: str) -> RunFolder:
    """The run called ``latest``, ``NAME`` (its newest) or ``NAME/STAMP``, or the one whose folder ``name`` is.

    Raises:
        RunNotFoundError: no such run; the message names those there are.
    """
    known = [folder for folder, _ in list_runs(runs)]
    if name == LATEST:
        matches = known
    elif "/" not in name:
        matches = [folder for folder in known if folder.path.parent.name == name]
    else:
        matches = [folder for folder in known if name == folder.name or Path(name).absolute() == folder.path]
    if matches:
        return matches[-1]
    if not known:
        raise RunNotFoundError(f"no run {name!r}: {runs} holds none; start one with: fedswarm submit job.yml")
    names = ", ".join(folder.name for folder in known[-5:])
    raise RunNotFoundError(f"no run {name!r} below {runs}; the newest are: {names}")
