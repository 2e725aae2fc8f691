"""The human lines of a FedScale log, in the shapes that existing notebooks match with regular expressions.

Pure: a record in, lines without their time prefix out. Numbers never use an exponent, because the notebooks' patterns
(``[\\d.]+``) would stop in front of it. The original calls the virtual clock "wall clock"; the wording stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fedswarm.records.schema import Federation, Record, RoundBegin, RoundSummary, TestResult


def lines(record: Record) -> list[str]:
    """What FedScale's processes would have printed at this point; nothing for records it has no words for."""
    render = _RENDERERS.get(type(record))
    return render(record) if render else []


def issue(event: str, executor: str) -> str:
    """The line for an event that is sent to an executor; no record has it."""
    return f"Issue EVENT ({event}) to EXECUTOR ({executor})"


def _federation(record: Federation) -> list[str]:
    totals = {"total_feasible_clients": record.clients, "total_num_samples": record.samples}
    # The original states the model's size in whole megabits, printed as a float.
    megabits = math.floor(record.model_bytes * 8 / 1_000_000)
    return [
        f"Info of all feasible clients {totals}",
        f"model amount of parameters: {record.model_parameters}, model size: {megabits:f}",
    ]


def _round_begin(record: RoundBegin) -> list[str]:
    selected = [int(client) for client in record.to_run]
    printed = [f"Selected {len(selected)} participants to run: {selected}"]
    if record.feasible_clients is not None:
        online = len(record.online)
        offline = record.feasible_clients - online
        clock = decimal(record.clock_start_s)
        printed.insert(0, f"Wall clock time: {clock}, {online} clients online, {offline} clients offline")
    return [*_oort_pacer(record.round, record.pacer), *_bliss_pacer(record.pacer), *printed]


def _oort_pacer(round_index: int, pacer: Mapping[str, Any]) -> list[str]:
    """When Oort's preferred duration moved; one that is infinite or was has no words in the original."""
    now, before = pacer.get("preferred_duration"), pacer.get("preferred_duration_before")
    if now is None or before is None or now == before:
        return []
    form = "t_budget" if "t_budget" in pacer else f"percentile {decimal(pacer['round_threshold'])}"
    return [f"[Oort.Pacer] round={round_index}: preferred_duration={now:.3f}s ({form}), was {before:.3f}s"]


def _bliss_pacer(pacer: Mapping[str, Any]) -> list[str]:
    """When Bliss' time budget moved, in the words of the original, dash included."""
    now, before = pacer.get("t_budget"), pacer.get("t_budget_before")
    if now is None or before is None or now == before:
        return []
    moved = "utility flat \N{EN DASH} relaxing" if now > before else "utility swing \N{EN DASH} tightening"
    return [f"[Bliss/Pacer] {moved} T to {decimal(now)} s"]


def _round_summary(record: RoundSummary) -> list[str]:
    finished = [
        f"[aggregator] client {client} finished, simulated_duration = {record.client_times[client].total_s:.2f} s"
        for client in record.completed
        if client in record.client_times
    ]
    succeeded = len(record.completed)
    updates = f"{succeeded}/{record.planned_clients}"
    clock_end_s = record.clock_start_s + record.duration_s
    return [
        *finished,
        f"*** ROUND {record.completed_round} COMPLETE: got {updates} updates, moving on ***",
        f"Wall clock: {round(clock_end_s)}s, round: {record.completed_round + 1}, Planned participants: "
        f"{record.sampled_clients}, Succeed: {succeeded}, Loss: {record.loss_avg:f}",
    ]


def _test_result(record: TestResult) -> list[str]:
    clock, loss = decimal(record.clock_s), decimal(record.loss)
    top1, top5 = decimal(record.top1), decimal(record.top5)
    results = f"{{'round': {record.round}, 'clock': {clock}, 'top_1': {top1}, 'top_5': {top5}, 'loss': {loss}}}"
    correct = round(record.top1 * record.samples) if record.samples else 0
    return [
        # Rank 0 is the aggregator: it merged the test blocks of all executors.
        f"Rank 0: Test set: Average loss: {loss}, Top-1 Accuracy: {correct}/{record.samples} ({top1}), "
        f"Top-5 Accuracy: {top5}",
        f"FL Testing in round: {record.round}, virtual_clock: {clock}, results: {results}",
    ]


def decimal(number: float) -> str:
    """The shortest text that reads back as the same number, without an exponent; ``nan`` stays ``nan``."""
    return np.format_float_positional(number, trim="0")


_RENDERERS: dict[type, Callable[[Any], list[str]]] = {
    Federation: _federation,
    RoundBegin: _round_begin,
    RoundSummary: _round_summary,
    TestResult: _test_result,
}
