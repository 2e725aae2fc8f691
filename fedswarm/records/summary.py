"""Where a run stands: a reducer over its records, for the live view and ``status``."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fedswarm.errors import DataError

RECENT_ROUNDS: Final = 10
"""How many of the last rounds the expected wall time of a round is averaged over."""

State = Literal["starting", "running", "finished", "stopped", "failed"]


@dataclass
class RunProgress:
    """Feed it every record in order; read the fields at any time. Unknown tags are passed over.

    ``round`` counts completed rounds of ``rounds``; ``clock_s`` is virtual; ``loss`` is that of training in the last
    round and ``top1``, ``test_loss`` those of the last test; bytes are totals since the start. Without an aggregator
    (``decentralized``) the figures are means over the peers, ``top1_min`` and ``top1_max`` the extremes among them;
    ``newcomers`` are peers that the run did not start itself, with the round that each told last.
    """

    state: State = "starting"
    message: str = ""
    round: int = 0
    rounds: int | None = None
    participants: int = 0
    clock_s: float = 0.0
    loss: float | None = None
    test_loss: float | None = None
    top1: float | None = None
    top1_min: float | None = None
    top1_max: float | None = None
    top5: float | None = None
    decentralized: bool = False
    tested_round: int | None = None
    bytes_aggregator: int = 0
    bytes_peers: int = 0
    clients: int | None = None
    skipped_rounds: int = 0
    executors: set[str] = field(default_factory=set)
    newcomers: dict[str, int] = field(default_factory=dict)
    last_ts: float | None = None
    _round_walls_s: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_ROUNDS))
    _round_ended_ts: float | None = None

    @property
    def alive(self) -> int:
        """Executors that are there; newcomers count among them while they tell their rounds."""
        return len(self.executors | self.newcomers.keys())

    @property
    def round_wall_s(self) -> float | None:
        """Mean wall seconds of the most recent rounds; ``None`` before the first is over."""
        return sum(self._round_walls_s) / len(self._round_walls_s) if self._round_walls_s else None

    def eta_s(self, now: float) -> float | None:
        """Expected wall seconds to the end, at wall instant ``now`` (since 1970); ``None`` when nothing is known."""
        if self.state not in ("starting", "running"):
            return 0.0
        if self.round_wall_s is None or self.rounds is None:
            return None
        running_s = 0.0 if self._round_ended_ts is None else now - self._round_ended_ts
        # A round that takes longer than expected counts as almost done, never as more than one round.
        expected_s = (self.rounds - self.round) * self.round_wall_s - min(max(running_s, 0.0), self.round_wall_s)
        return max(expected_s, 0.0)

    def update(self, record: Mapping[str, Any]) -> None:
        """Takes in one record as :func:`fedswarm.records.reader.read_records` gives it.

        Raises :class:`DataError` when the record lacks what its tag promises.
        """
        handle = _HANDLERS.get(str(record.get("tag")))
        try:
            if record.get("ts") is not None:
                self.last_ts = float(record["ts"])
            if handle:
                handle(self, record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"record {record.get('tag')}: missing or of the wrong type: {error}") from error


def _job_config(progress: RunProgress, record: Mapping[str, Any]) -> None:
    job = record.get("job", {})
    progress.rounds = job.get("rounds")
    progress.decentralized = job.get("aggregation", {}).get("mode") == "decentralized"
    progress.executors.clear()  # a restarted aggregator hears from its executors anew
    progress.state = "starting"
    progress.message = ""


def _federation(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.clients = record.get("clients")


def _executor_join(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.executors.add(str(record.get("executor_id")))


def _executor_lost(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.executors.discard(str(record.get("executor_id")))


def _round_begin(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.state = "running"
    progress.round = int(record["round"])
    progress.clock_s = float(record["start_clock"])
    progress.participants = len(record.get("to_run") or [])


def _round_summary(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.round = int(record["round"])
    progress.clock_s = float(record["clock_end"])
    progress.loss = record.get("loss_avg")
    progress.bytes_aggregator += int(record.get("bytes_aggregator") or 0)
    progress.bytes_peers += int(record.get("bytes_peers") or 0)
    progress._round_ended_ts = record.get("ts")
    progress.newcomers = {peer: last for peer, last in progress.newcomers.items() if last >= progress.round - 1}
    if record.get("wall_s") is not None:
        progress._round_walls_s.append(float(record["wall_s"]))


def _peer_round(progress: RunProgress, record: Mapping[str, Any]) -> None:
    peer = str(record["peer"])
    if peer not in progress.executors:
        progress.newcomers[peer] = int(record["round"])


def _test_result(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.tested_round = int(record["round"])
    progress.test_loss = record.get("loss")
    progress.top1 = record.get("top1")
    progress.top1_min = record.get("top1_min")
    progress.top1_max = record.get("top1_max")
    progress.top5 = record.get("top5")


def _round_skipped(progress: RunProgress, record: Mapping[str, Any]) -> None:
    progress.skipped_rounds += 1
    progress.clock_s = float(record["clock_to"])


def _shutdown(progress: RunProgress, record: Mapping[str, Any]) -> None:
    reason = record.get("reason")
    progress.state = reason if reason in ("finished", "stopped", "failed") else "failed"
    progress.message = str(record.get("message") or "")


_HANDLERS: Final = {
    "JOB_CONFIG": _job_config,
    "FEDERATION": _federation,
    "EXECUTOR_JOIN": _executor_join,
    "EXECUTOR_LOST": _executor_lost,
    "ROUND_BEGIN": _round_begin,
    "ROUND_SUMMARY": _round_summary,
    "PEER_ROUND": _peer_round,
    "TEST_RESULT": _test_result,
    "ROUND_SKIPPED": _round_skipped,
    "SHUTDOWN": _shutdown,
}
