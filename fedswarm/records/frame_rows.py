"""From records to table rows: pure functions, one a table, with the columns each gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Parsed = dict[str, Any]
Row = dict[str, Any]

ROUND_COLUMNS: Final = (
    "completed_round",
    "round",
    "clock_start_s",
    "clock_end_s",
    "clock_end_h",
    "duration_s",
    "loss",
    "online_clients",
    "feasible_clients",
    "sampled_clients",
    "planned_clients",
    "completed_clients",
    "straggler_clients",
    "dropped_clients",
    "wall_s",
    "bytes_aggregator",
    "bytes_peers",
    "preferred_duration_s",
)
TEST_COLUMNS: Final = (
    "round",
    "clock_s",
    "clock_h",
    "loss",
    "top1",
    "top5",
    "samples",
    "loss_min",
    "loss_max",
    "top1_min",
    "top1_max",
)
CLIENT_COLUMNS: Final = (
    "completed_round",
    "client",
    "download_s",
    "compute_s",
    "upload_s",
    "duration_s",
    "steps",
    "dropout_fraction",
    "predicted_utility",
    "computed_utility",
    "loss",
    "samples",
    "executor_id",
    "status",
)
SELECTION_COLUMNS: Final = ("round", "client", "role", "first_time")
EXECUTOR_COLUMNS: Final = ("ts", "executor_id", "event", "target", "clients", "reason", "leases")

_HOUR_S: Final = 3600.0
_STATUS: Final = {"c": "completed", "s": "straggler", "d": "dropped"}
_PHASES: Final = ("t_dl", "t_comp", "t_ul")
_POSITIONS: Final = {
    9: (*_PHASES, "iters", "iters_p2", "dropout_frac", "predicted_utility", "computed_utility", "status"),
    4: (*_PHASES, "status"),  # an intermediate version of the original, random selection only
}


def last_writings(records: Sequence[Parsed]) -> list[Parsed]:
    """Records without the earlier of two with the same tag, round and peer: a resumed run repeats its last rounds."""
    last = {_writing(record): at for at, record in enumerate(records) if "round" in record}
    return [record for at, record in enumerate(records) if "round" not in record or last[_writing(record)] == at]


def _writing(record: Parsed) -> tuple[Any, ...]:
    return record["tag"], record["round"], record.get("peer")


def round_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row a completed round, ascending; facts of its beginning and its end side by side."""
    begins = {record["round"]: record for record in _tagged(records, "ROUND_BEGIN")}
    ends: dict[int, Parsed] = {}
    for tag in ("CLIENT_INFO", "ROUND_SUMMARY"):  # the newest original writes only the first, ours both
        for record in _tagged(records, tag):
            ends[_completed_round(record)] = ends.get(_completed_round(record), {}) | record
    for completed_round, end in sorted(ends.items()):
        begin = begins.get(completed_round, {})
        clock_end_s = end.get("clock_end")
        yield {
            "completed_round": completed_round,
            "round": completed_round + 1,
            "clock_start_s": end.get("clock_start", begin.get("start_clock")),
            "clock_end_s": clock_end_s,
            "clock_end_h": _hours(clock_end_s),
            "duration_s": end.get("duration"),
            "loss": end.get("loss_avg"),
            "online_clients": begin.get("online_clients", _count(begin.get("online"))),
            "feasible_clients": begin.get("feasible_clients"),
            "sampled_clients": end.get("sampled_clients", _count(begin.get("sampled_overcommitted"))),
            "planned_clients": end.get("planned_clients", _count(begin.get("to_run"))),
            "completed_clients": end.get("completed_clients", _count(end.get("completed"))),
            "straggler_clients": _count(end.get("stragglers")),
            "dropped_clients": _count(end.get("dropped")),
            "wall_s": end.get("wall_s"),
            "bytes_aggregator": end.get("bytes_aggregator"),
            "bytes_peers": end.get("bytes_peers"),
            "preferred_duration_s": _preferred_duration(begin.get("pacer") or {}),
        }


def test_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row a test of the global model."""
    for record in _tagged(records, "TEST_RESULT"):
        yield {
            "round": record["round"],
            "clock_s": record.get("clock"),
            "clock_h": _hours(record.get("clock")),
            "loss": record.get("loss"),
            "top1": record.get("top1"),
            "top5": record.get("top5"),
            "samples": record.get("samples"),
            "loss_min": record.get("loss_min"),
            "loss_max": record.get("loss_max"),
            "top1_min": record.get("top1_min"),
            "top1_max": record.get("top1_max"),
        }


def client_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row for each client of each completed round, from CLIENT_INFO or, where that is missing, ROUND_SUMMARY."""
    infos = {_completed_round(record): record for record in _tagged(records, "CLIENT_INFO")}
    summaries = {_completed_round(record): record for record in _tagged(records, "ROUND_SUMMARY")}
    for completed_round in sorted(infos | summaries):
        if completed_round in infos:
            clients = _clients_of_info(infos[completed_round])
        else:
            clients = _clients_of_summary(summaries[completed_round])
        for client, facts in clients.items():
            yield {"completed_round": completed_round, "client": int(client), **_client_row(facts)}


def selection_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row for each client a round planned to run or ruled out as too slow."""
    seen: set[int] = set()
    for record in _tagged(records, "ROUND_BEGIN"):
        chosen = record.get("to_run") or []
        for role, clients in (("run", chosen), ("straggler", record.get("planned_stragglers") or [])):
            for client in clients:
                yield {"round": record["round"], "client": client, "role": role, "first_time": client not in seen}
        seen.update(chosen)


def executor_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row for each join and each loss, in time order; ``ts`` is wall seconds since 1970."""
    events = {"EXECUTOR_JOIN": "join", "EXECUTOR_LOST": "lost"}
    for record in records:
        if record["tag"] in events:
            yield {**{key: record.get(key) for key in EXECUTOR_COLUMNS}, "event": events[record["tag"]]}


def job_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """The resolved job, flattened to dotted keys."""
    for record in _tagged(records, "JOB_CONFIG")[-1:]:
        yield {"key": "version", "value": record.get("version")}
        for key, value in _flat(record.get("job") or {}, ""):
            yield {"key": key, "value": value}


def _flat(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _clients_of_info(record: Parsed) -> dict[str, Parsed]:
    if "clients" in record:
        return dict(record["clients"])
    for key, clients in record.items():
        if key.endswith("_client_information"):
            return {
                client: dict(zip(_POSITIONS[len(positions)], positions, strict=True))
                for client, positions in clients.items()
                if len(positions) in _POSITIONS
            }
    return {}


def _clients_of_summary(record: Parsed) -> dict[str, Parsed]:
    clients: dict[str, Parsed] = {client: dict(times) for client, times in (record.get("client_times") or {}).items()}
    for client, duration_s in (record.get("client_durations") or {}).items():
        clients.setdefault(client, {})["duration"] = duration_s
    for status, key in (("c", "completed"), ("s", "stragglers"), ("d", "dropped")):
        for client in record.get(key) or []:
            clients.setdefault(str(client), {})["status"] = status
    return clients


def _client_row(facts: Parsed) -> Row:
    phases = [facts.get(key) for key in _PHASES]
    known = [phase for phase in phases if phase is not None]
    return {
        "download_s": phases[0],
        "compute_s": phases[1],
        "upload_s": phases[2],
        "duration_s": sum(known) if len(known) == len(phases) else facts.get("duration"),
        "steps": facts.get("iters", facts.get("iters_p1")),
        "dropout_fraction": facts.get("dropout_frac"),
        "predicted_utility": facts.get("predicted_utility"),
        "computed_utility": facts.get("computed_utility"),
        "loss": facts.get("loss"),
        "samples": facts.get("samples"),
        "executor_id": facts.get("executor_id"),
        "status": _STATUS.get(facts.get("status", "")),
    }


def _preferred_duration(pacer: Mapping[str, Any]) -> float | None:
    for key in ("preferred_duration", "t_budget"):  # Oort's spelling, Bliss's spelling
        if pacer.get(key) is not None:
            return float(pacer[key])
    return None


def _tagged(records: Sequence[Parsed], tag: str) -> list[Parsed]:
    return [record for record in records if record["tag"] == tag]


def _completed_round(record: Parsed) -> int:
    return int(record.get("completed_round", record["round"] - 1))


def _count(clients: Sequence[int] | None) -> int | None:
    return None if clients is None else len(clients)


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / _HOUR_S
