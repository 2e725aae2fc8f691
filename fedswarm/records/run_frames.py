"""A run's records as data frames, for notebooks: ``read_run("runs/demo_job/0412_101500").tests.plot("clock_h")``.

pandas is imported only when it is needed (``pip install 'fedswarm[analysis]'``). A run that was resumed wrote some
rounds twice; the frames hold the last writing of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedswarm.errors import DataError, DependencyError
from fedswarm.records import frame_rows, peer_rows
from fedswarm.records.reader import read_records

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunFrames:
    """One run. ``_s`` columns are seconds and ``_h`` hours, on the virtual clock unless the name says wall.

    - ``rounds``: one row a completed round: ``completed_round``, ``round`` (the one after), clocks, ``duration_s``,
      ``loss``, counts of clients, ``wall_s``, bytes sent, ``preferred_duration_s`` (the pacer's, if it has one).
    - ``tests``: one row a test: ``round`` (rounds trained before it), ``clock_s``, ``clock_h``, ``loss``, ``top1``,
      ``top5``, ``samples``. Without an aggregator these are means over the peers, and ``top1_min``, ``top1_max``,
      ``loss_min``, ``loss_max`` their extremes.
    - ``clients``: one row a client and round: phase times, ``duration_s``, ``steps``, utilities, ``loss``, ``samples``,
      ``executor_id``, ``status`` (completed, straggler, dropped).
    - ``selections``: one row a client and round: ``role`` (run, straggler), ``first_time`` (never ran before).
    - ``executors``: one row for each time an executor joined or was lost.
    - ``peers``, ``peer_rounds``: of a run without an aggregator, one row a peer, and one a peer and round.
    - ``job``: dotted key (index) and ``value`` of the resolved job.
    """

    path: Path
    rounds: pd.DataFrame
    tests: pd.DataFrame
    clients: pd.DataFrame
    selections: pd.DataFrame
    executors: pd.DataFrame
    peers: pd.DataFrame
    peer_rounds: pd.DataFrame
    job: pd.DataFrame


def read_run(path: Path | str) -> RunFrames:
    """Reads a run folder, its ``rounds.jsonl``, or a FedScale text log.

    Raises :class:`RunNotFoundError`, :class:`DataError` (see :func:`read_records`) or :class:`DependencyError`.
    """
    pandas = _pandas()
    records = read_records(path)

    def frame(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
        table: pd.DataFrame = pandas.DataFrame.from_records(list(rows), columns=list(columns))
        return table

    try:
        records = frame_rows.last_writings(records)
        return RunFrames(
            path=Path(path),
            rounds=frame(frame_rows.round_rows(records), frame_rows.ROUND_COLUMNS),
            tests=frame(frame_rows.test_rows(records), frame_rows.TEST_COLUMNS),
            clients=frame(frame_rows.client_rows(records), frame_rows.CLIENT_COLUMNS),
            selections=frame(frame_rows.selection_rows(records), frame_rows.SELECTION_COLUMNS),
            executors=frame(frame_rows.executor_rows(records), frame_rows.EXECUTOR_COLUMNS),
            peers=frame(peer_rows.peer_rows(records), peer_rows.PEER_COLUMNS),
            peer_rounds=frame(peer_rows.peer_round_rows(records), peer_rows.PEER_ROUND_COLUMNS),
            job=frame(frame_rows.job_rows(records), ("key", "value")).set_index("key"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: a record lacks a key or holds the wrong type ({error}); is it a round log?"
        ) from error


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise DependencyError("data frames need pandas: pip install 'fedswarm[analysis]'") from error
    return pandas
