from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.devices.client_time import Trace
from fedswarm.devices.ragged import offsets_of
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.traces import TraceTable, battery_tenths, network_traces

T = CYCLE_S
Steps = list[tuple[float, float]]

stamps = st.one_of(st.integers(0, int(T)), st.integers(0, 64 * 50).map(lambda ticks: ticks / 64))


def traces_of(*rates: float) -> st.SearchStrategy[Steps]:
    steps = st.lists(st.tuples(stamps, st.sampled_from(rates)), min_size=1, max_size=12)
    return steps.map(lambda unsorted: sorted(unsorted, key=lambda step: step[0]))


traces = traces_of(0.0, 1.0, 2.5, 11.0, 54.0)
# Pauses make the finish jump: a last bit of work may be done before or after one. On binary fractions there is no last
# bit, and results are equal; elsewhere traces never pause, and results are close.
exact_traces, close_traces = traces_of(0.0, 0.0, 1.0, 2.0, 32.0), traces_of(1.0, 2.5, 11.0, 54.0)
exact_amounts = st.one_of(st.integers(0, 64 * 10**4), st.integers(0, 64 * 10**8)).map(lambda ticks: ticks / 64)
exact_starts = st.one_of(st.integers(0, 64 * 10**6).map(lambda ticks: ticks / 64), st.sampled_from([T - 1, T, 2 * T]))
starts = st.one_of(st.floats(0, 5 * T), st.sampled_from([0.0, 1.0, T - 1, T, 2 * T]))
works = st.one_of(st.just(0.0), st.floats(1e-3, 1e5), st.floats(1e5, 1e8))


def table(*devices: Steps, peak: float = 54.0) -> TraceTable:
    """Traces whose speed is the level itself, at a peak of 54."""
    return network_traces(
        {"peak_throughput_mbps": np.full(len(devices), peak)},
        offsets_of([len(steps) for steps in devices]),
        {
            "network_stamps_s": np.asarray([stamp for steps in devices for stamp, _ in steps], dtype=np.float32),
            "rate": np.asarray([rate for steps in devices for _, rate in steps], dtype=np.float32),
        },
    )


def finish(traces: TraceTable, start: Any, work: Any, rows: Any = 0) -> Any:
    arrays = np.broadcast_arrays(np.asarray(rows), np.asarray(start, dtype=float), np.asarray(work, dtype=float))
    done = traces.finish(*(np.atleast_1d(array) for array in arrays))
    return float(done[0]) if len(done) == 1 else done


def walk(steps: Steps, start: float, work: float) -> float:
    """The slow oracle: interval by interval, cycle by cycle (reference section 2.6)."""
    edges = [0.0, *(stamp for stamp, _ in steps[1:]), T]
    segments = [(low, high, rate) for (low, high), (_, rate) in zip(pairwise(edges), steps, strict=True) if high > low]
    if work == 0:
        return start
    if not any(rate > 0 for _, _, rate in segments):
        return math.inf
    capacity = math.fsum((high - low) * rate for low, high, rate in segments)
    whole_cycles = math.ceil(work / capacity) - 1
    now, left = math.fmod(start, T), work - whole_cycles * capacity
    cycle = start - now + whole_cycles * T
    while left > 0:
        for _, high, rate in segments:
            if high <= now:
                continue
            if rate * (high - now) >= left:
                return cycle + now + left / rate
            left, now = left - rate * (high - now), high
        cycle, now = cycle + T, 0.0
    return cycle + now


def test_golden_piecewise_trace_of_the_reference() -> None:
    """Reference section 2.6: rate 54 until t = 100, then 18; from t = 95, 720 Mb at a peak of 72 Mb/s."""
    assert finish(table([(0, 54), (100, 18)], peak=72.0), 95.0, 720.0) == 115.0


def test_golden_wrap_of_the_reference() -> None:
    """Reference section 2.6: from 172 790 the work goes on in the next cycle with the value at 0."""
    traces = table([(0, 54), (100, 18)])
    assert finish(traces, 172_790.0, 10 * 18.0 + 54.0) == T + 1


@pytest.mark.parametrize(
    ("now", "expected"), [(0.0, 54.0), (99.9, 54.0), (100.0, 11.0), (150.0, 11.0), (T - 100, 5.0), (T, 54.0)]
)
def test_golden_values_of_the_reference(now: float, expected: float) -> None:
    """Reference appendix A.7: at u = 150 the newest value is 11, at u = 0 it is 54."""
    steps = [(0.0, 54.0), (100.0, 11.0), (200.0, 36.0), (172_700.0, 5.0)]
    traces = table(steps)
    assert traces.speed(np.zeros(1, dtype=np.int64), np.asarray([now]))[0] == expected
    assert Trace.of(traces, 0).speed(now) == expected


def test_before_its_first_stamp_a_trace_has_its_first_value() -> None:
    """Wrapping to the last value instead is what the reference warns of."""
    assert finish(table([(1000, 2), (2000, 1)]), 0.0, 100.0) == 50.0


def test_a_zero_rate_is_a_pause() -> None:
    """Defect D18: it raised and ended the aggregator."""
    assert finish(table([(0, 1), (10, 0), (500, 1)]), 5.0, 10.0) == 505.0


def test_work_that_ends_with_a_pause_is_done_when_the_pause_begins() -> None:
    traces = table([(0, 1), (10, 0)])
    assert finish(traces, 0.0, 10.0) == 10.0
    assert finish(traces, 0.0, 30.0) == 2 * T + 10


@pytest.mark.parametrize("steps", [[(0.0, 0.0)], [(5.0, 0.0), (60.0, 0.0)], [(0.0, 0.0), (T, 54.0)]])
def test_a_device_without_any_capacity_never_finishes_and_is_no_error(steps: Steps) -> None:
    assert finish(table(steps), 3.0, 1.0) == math.inf
    assert finish(table(steps), 3.0, 0.0) == 3.0


def test_a_peak_of_zero_never_finishes() -> None:
    assert finish(table([(0, 54)], peak=0.0), 3.0, 1.0) == math.inf
    assert finish(table([(0, 54)], peak=0.0), 3.0, 0.0) == 3.0


def test_what_never_starts_never_finishes() -> None:
    assert finish(table([(0, 54)]), math.inf, 1.0) == math.inf


def test_a_hundred_cycles_are_no_more_work_than_one() -> None:
    assert finish(table([(0, 1), (T / 2, 3)]), 0.0, 100 * 2 * T + 1.0) == 100 * T + 1


def test_integrals_are_exact_and_do_not_depend_on_the_rows_around() -> None:
    """In one running float64 sum over all rows, later rows would lose the small steps of theirs."""
    fine = [(0.0, 1 / 16_384), (1 / 64, 54.0), (3.0, 1 + 1 / 16_384)]
    alone, behind = table(fine), table(*[[(0.0, 54.0 - 1 / 16_384)]] * 5000, fine)
    exact = [0.0, 2.0**-20, 2.0**-20 + 54 * (3 - 1 / 64), 2.0**-20 + 54 * (3 - 1 / 64) + (1 + 2.0**-14) * (T - 3)]
    assert alone.integrals.tolist() == exact
    assert behind.integrals[-4:].tolist() == exact


@pytest.mark.parametrize(
    ("level", "tenths"), [(100, 10), (70, 10), (69.9, 9), (50, 9), (49, 8), (30, 8), (29, 6), (10, 6), (9, 4), (-1, 4)]
)
def test_battery_factors_of_the_reference(level: float, tenths: int) -> None:
    assert battery_tenths(np.asarray([level])) == tenths


@settings(max_examples=200, deadline=None)
@given(steps=exact_traces, start=exact_starts, work=exact_amounts)
def test_the_table_agrees_with_a_walk_along_the_trace(steps: Steps, start: float, work: float) -> None:
    assert finish(table(steps), start, work) == walk(steps, start, work)


@settings(max_examples=200, deadline=None)
@given(steps=close_traces, start=starts, work=works)
def test_the_table_is_close_to_a_walk_in_rounded_numbers(steps: Steps, start: float, work: float) -> None:
    assert finish(table(steps), start, work) == pytest.approx(walk(steps, start, work), rel=1e-12, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(steps=traces, others=traces, start=starts, work=works)
def test_a_trace_alone_agrees_with_the_table_to_the_last_bit(
    steps: Steps, others: Steps, start: float, work: float
) -> None:
    traces = table(others, steps, peak=433.0)
    alone = Trace.of(traces, 1)
    assert alone.finish(start, work) == finish(traces, start, work, rows=1)
    assert alone.speed(start) == traces.speed(np.ones(1, dtype=np.int64), np.asarray([start]))[0]


@settings(max_examples=200, deadline=None)
@given(steps=exact_traces, start=exact_starts, first=exact_amounts, second=exact_amounts)
def test_work_in_two_parts_takes_as_long_as_at_once(steps: Steps, start: float, first: float, second: float) -> None:
    traces = table(steps)
    assert finish(traces, finish(traces, start, first), second) == finish(traces, start, first + second)


@settings(max_examples=200, deadline=None)
@given(steps=close_traces, start=starts, first=works, second=works)
def test_work_in_two_parts_is_close_in_rounded_numbers(steps: Steps, start: float, first: float, second: float) -> None:
    traces = table(steps)
    in_parts = finish(traces, finish(traces, start, first), second)
    assert in_parts == pytest.approx(finish(traces, start, first + second), rel=1e-12, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(steps=traces, start=starts, less=works, more=works)
def test_more_work_is_never_done_sooner(steps: Steps, start: float, less: float, more: float) -> None:
    soon, late = finish(table(steps), start, sorted([less, more]))
    assert start <= soon <= late


@settings(max_examples=100, deadline=None)
@given(steps=traces, start=st.integers(0, 64 * int(T)).map(lambda tick: tick / 64), work=works)
def test_a_start_48_hours_later_finishes_48_hours_later(steps: Steps, start: float, work: float) -> None:
    now, later = finish(table(steps), [start, start + 3 * T], work)
    assert later - 3 * T == pytest.approx(now, rel=1e-12, abs=1e-6) or now == later == math.inf


def test_many_clients_at_once_are_those_one_by_one() -> None:
    """More clients than a block holds, rows of very different lengths."""
    random = np.random.default_rng(5)
    devices = [
        [(float(stamp), float(rate)) for stamp, rate in zip(np.sort(stamps), random.integers(0, 55, n), strict=True)]
        for n in (1, 2, 3, 700, 31)
        for stamps in [random.integers(0, int(T), n)]
    ]
    traces = table(*devices)
    rows = random.integers(0, len(devices), 40_000)
    start, work = random.random(40_000) * 3 * T, random.random(40_000) * 1e7
    done = finish(traces, start, work, rows)
    chosen = random.integers(0, 40_000, 300)
    alone = [Trace.of(traces, int(rows[at])).finish(float(start[at]), float(work[at])) for at in chosen]
    assert done[chosen].tolist() == alone
