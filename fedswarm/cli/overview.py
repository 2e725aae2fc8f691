"""One run in brief, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fedswarm.cli.output import duration, number, size
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import RunState
from fedswarm.records.reader import Tail
from fedswarm.records.summary import RunProgress


def read_progress(folder: RunFolder) -> RunProgress:
    """How far a run has come, from its records; an empty progress before the first."""
    progress = RunProgress()
    for record in Tail(folder.rounds_file).poll():
        progress.update(record)
    return progress


def run_facts(folder: RunFolder, state: RunState) -> dict[str, Any]:
    """What ``--json`` tells about a run in every command that tells about runs."""
    return {
        "name": folder.name,
        "run": str(folder.path),
        "state": state.state,
        "created_at": state.created_at,
        "ended_at": state.ended_at,
        "exit_code": state.exit_code,
        "error": state.error,
        "lost": lost(state),
    }


def lost(state: RunState) -> list[str]:
    """Processes that ended while the run went on, by their roles."""
    return [event.lost for event in state.events if event.lost is not None]


def progress_facts(progress: RunProgress) -> dict[str, Any]:
    """How far the run has come, likewise.

    ``clock_s`` is virtual seconds, without an aggregator wall seconds; bytes are totals. ``accuracy`` is then the mean
    over the peers; ``accuracy_min`` and ``accuracy_max`` are null otherwise.
    """
    return {
        "round": progress.round,
        "rounds": progress.rounds,
        "participants": progress.participants,
        "clock_s": progress.clock_s,
        "executors": progress.alive,
        "accuracy": progress.top1,
        "accuracy_min": progress.top1_min,
        "accuracy_max": progress.top1_max,
        "test_loss": progress.test_loss,
        "train_loss": progress.loss,
        "bytes_peers": progress.bytes_peers,
        "bytes_aggregator": progress.bytes_aggregator,
        "round_wall_s": progress.round_wall_s,
    }


def accuracy(progress: RunProgress) -> str:
    """The last test's accuracy; where every peer has its own model, the mean and the range."""
    if progress.top1_min is None:
        return number(progress.top1)
    return f"{number(progress.top1)} ({number(progress.top1_min)} to {number(progress.top1_max)})"


def progress_rows(progress: RunProgress, now: float | None = None) -> Iterator[tuple[str, str]]:
    """The same for people; with the expected time to the end if ``now`` (seconds since 1970) is given."""
    yield "round", f"{progress.round} of {'-' if progress.rounds is None else progress.rounds}"
    if progress.decentralized:
        yield "peers alive", str(progress.alive)
        yield "wall clock", duration(progress.clock_s)
    else:
        yield "participants", str(progress.participants)
        yield "executors", str(len(progress.executors))
        yield "virtual clock", duration(progress.clock_s)
    tested = "" if progress.tested_round is None else f" (after round {progress.tested_round})"
    yield "accuracy", accuracy(progress) + tested
    yield "training loss", number(progress.loss)
    yield "moved by peers", size(progress.bytes_peers)
    if not progress.decentralized:
        yield "moved by the aggregator", size(progress.bytes_aggregator)
    remaining_s = None if now is None else progress.eta_s(now)
    if remaining_s is not None:
        yield "time to the end", duration(remaining_s)
