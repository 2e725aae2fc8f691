"""Reads FedScale text logs: bracketed ``[TAG] {json}`` lines of newer versions, human lines of older ones.

Both kinds become records in the shape of :mod:`fedswarm.records.schema`, so that old and new runs share their frames.
A log that has both keeps the bracketed record and lets the human line fill in what it lacks. Human lines give less:
of a client only the id and its total duration are known (key ``client_durations``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

Parsed = dict[str, Any]

_TAGGED: Final = re.compile(r"\[([A-Z][A-Z_]+)\] (\{.*\})\s*$")
_NUMBER: Final = r"([-+\d.eE]+|nan|inf)"
_RESULT: Final = re.compile(rf"'(\w+)': (?:np\.float\d+\()?{_NUMBER}")


def parse_text_log(lines: Iterable[str]) -> list[Parsed]:
    """The records that a log's lines hold, in their order; lines of no known shape are passed over."""
    log = _TextLog()
    for line in lines:
        log.take(line)
    return log.records()


class _TextLog:
    def __init__(self) -> None:
        self._found: list[tuple[bool, Parsed]] = []
        self._begin: Parsed | None = None
        self._round = 0
        self._clock_s = 0.0
        self._online: tuple[int, int] | None = None
        self._preferred_s: float | None = None
        self._durations: dict[str, float] = {}
        self._planned: int | None = None

    def take(self, line: str) -> None:
        tagged = _TAGGED.search(line)
        if tagged:
            self._tagged(tagged[1], tagged[2])
            return
        for pattern, handle in _SHAPES:
            match = pattern.search(line)
            if match:
                handle(self, match)
                return

    def records(self) -> list[Parsed]:
        """What was found, without human lines that repeat a bracketed record of the same tag and round."""
        tagged = {_key(record) for human, record in self._found if not human}
        return [record for human, record in self._found if not human or _key(record) not in tagged]

    def _tagged(self, tag: str, text: str) -> None:
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError):
            return
        record: Parsed = {**payload, "ts": None, "tag": tag}
        self._found.append((False, record))
        if tag == "ROUND_BEGIN":
            self._begin = record

    def _human(self, tag: str, **payload: Any) -> Parsed:
        record: Parsed = {"ts": None, "tag": tag, **payload}
        self._found.append((True, record))
        return record

    def _clients_online(self, match: re.Match[str]) -> None:
        self._clock_s = _float(match[1])
        self._online = (int(match[2]), int(match[2]) + int(match[3]))

    def _selected(self, match: re.Match[str]) -> None:
        ids = [int(client) for client in match[1].split(",") if client.strip()]
        begin = self._begin
        self._begin = None
        if begin is None:
            begin = self._human("ROUND_BEGIN", round=self._round, start_clock=self._clock_s, pacer={})
            if self._preferred_s is not None:
                begin["pacer"] = {"preferred_duration": self._preferred_s}
        begin.setdefault("to_run", ids)
        if self._online:
            begin.setdefault("online_clients", self._online[0])
            begin.setdefault("feasible_clients", self._online[1])

    def _pacer(self, match: re.Match[str]) -> None:
        self._preferred_s = _float(match[1])

    def _client_finished(self, match: re.Match[str]) -> None:
        self._durations[match[1]] = _float(match[2])

    def _round_complete(self, match: re.Match[str]) -> None:
        self._planned = int(match[2])

    def _round_over(self, match: re.Match[str]) -> None:
        clock_end_s = _float(match[1])
        self._round = int(match[2])
        durations, self._durations = self._durations, {}
        self._human(
            "ROUND_SUMMARY",
            round=self._round,
            completed_round=self._round - 1,
            clock_start=self._clock_s,
            clock_end=clock_end_s,
            duration=clock_end_s - self._clock_s,
            completed=[int(client) for client in durations],
            completed_clients=int(match[4]),
            loss_avg=_float(match[5]),
            sampled_clients=int(match[3]),
            planned_clients=self._planned,
            client_durations=durations,
        )
        self._clock_s = clock_end_s

    def _test(self, match: re.Match[str]) -> None:
        results = {name: _float(number) for name, number in _RESULT.findall(match[3])}
        self._human(
            "TEST_RESULT",
            round=int(match[1]),
            clock=_float(match[2]),
            loss=results.get("loss"),
            top1=results.get("top_1"),
            top5=results.get("top_5"),
        )


_SHAPES: Final[list[tuple[re.Pattern[str], Callable[[_TextLog, re.Match[str]], None]]]] = [
    (re.compile(rf"Wall clock time: {_NUMBER}, (\d+) clients online, (\d+) clients offline"), _TextLog._clients_online),
    (re.compile(r"Selected (?:\d+ )?participants to run: \[([\d,\s]*)\]"), _TextLog._selected),
    (re.compile(rf"\[Oort\.Pacer\].*preferred_duration={_NUMBER}s"), _TextLog._pacer),
    (re.compile(rf"\[Bliss/Pacer\].*(?:relaxing|tightening) T to {_NUMBER} s"), _TextLog._pacer),
    (re.compile(rf"client (\d+) finished, (?:simulated|wall)_duration = {_NUMBER} s"), _TextLog._client_finished),
    (re.compile(r"\*\*\* ROUND (\d+) COMPLETE: got \d+/(\d+) updates"), _TextLog._round_complete),
    (
        re.compile(
            rf"Wall clock: {_NUMBER} ?s, round: (\d+), Planned participants: (\d+), "
            rf"Succeed(?: participants)?: (\d+), (?:Training loss|Loss): {_NUMBER}"
        ),
        _TextLog._round_over,
    ),
    (re.compile(rf"FL Testing in round: (\d+), virtual_clock: {_NUMBER}, results: (\{{.*?\}})"), _TextLog._test),
]


def _key(record: Parsed) -> tuple[str, object]:
    return record["tag"], record.get("round")


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
