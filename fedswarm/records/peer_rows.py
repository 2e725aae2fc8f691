"""Table rows of a run without an aggregator: what each peer went through, and what became of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Final

from fedswarm.records.peer_schema import PeerRound, PeerTestResult

Parsed = dict[str, Any]
Row = dict[str, Any]

_TESTED: Final = ("test_loss", "top1", "top5")
PEER_ROUND_COLUMNS: Final = ("ts", *(field.name for field in dataclasses.fields(PeerRound)), *_TESTED)
PEER_COLUMNS: Final = (
    "peer",
    "rounds",
    "last_round",
    "samples",
    "top1",
    "test_loss",
    "tested_round",
    "bytes_sent",
    "bytes_received",
    "bytes_wasted",
    "lost",
)


def peer_round_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row for each peer of each round, by round and peer; with its test of the model after that round, if any.

    ``ts`` is wall seconds since 1970, the other seconds are wall seconds, too.
    """
    tests = {(record["peer"], record["round"]): record for record in _tagged(records, PeerTestResult.tag)}
    rounds = _tagged(records, PeerRound.tag)
    for record in sorted(rounds, key=lambda record: (record["completed_round"], _by_number(record["peer"]))):
        test = tests.get((record["peer"], record["completed_round"] + 1), {})
        row = {name: record.get(name) for name in PEER_ROUND_COLUMNS}
        yield {**row, "test_loss": test.get("loss"), "top1": test.get("top1"), "top5": test.get("top5")}


def peer_rows(records: Sequence[Parsed]) -> Iterator[Row]:
    """One row a peer: how many rounds it told and the last of them, its last test, its bytes, whether it was lost."""
    lost = {record["executor_id"] for record in _tagged(records, "EXECUTOR_LOST")}
    rounds: dict[str, list[Parsed]] = {}
    for record in _tagged(records, PeerRound.tag):
        rounds.setdefault(record["peer"], []).append(record)
    tests = {record["peer"]: record for record in _tagged(records, PeerTestResult.tag)}
    for peer in sorted(rounds, key=_by_number):
        own, test = rounds[peer], tests.get(peer, {})
        yield {
            "peer": peer,
            "rounds": len(own),
            "last_round": max(record["completed_round"] for record in own),
            "samples": own[-1].get("samples"),
            "top1": test.get("top1"),
            "test_loss": test.get("loss"),
            "tested_round": test.get("round"),
            **{name: sum(record[name] for record in own) for name in ("bytes_sent", "bytes_received", "bytes_wasted")},
            "lost": peer in lost,
        }


def _by_number(peer: str) -> tuple[int, str]:
    return len(peer), peer


def _tagged(records: Sequence[Parsed], tag: str) -> list[Parsed]:
    return [record for record in records if record["tag"] == tag]
