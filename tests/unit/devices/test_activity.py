from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.devices.activity import Activity, active_intervals
from fedswarm.devices.client_time import ActiveTimes
from fedswarm.devices.trace_rules import CYCLE_S

T = int(CYCLE_S)
ROW = np.zeros(1, dtype=np.int64)
# Boundaries lie on few instants, so that they meet each other, the instants asked for and the cycle's ends.
GRID = sorted({0, 1, 2, 3, T - 2, T - 1, T, *range(0, T, 7200)})
boundaries = st.lists(st.sampled_from(GRID), max_size=9)
instants = st.sampled_from(GRID[:-1]).flatmap(lambda at: st.sampled_from([at, at + 0.5, at + T, at + 5 * T]))


def activity(*devices: tuple[list[int], list[int]]) -> Activity:
    return Activity.from_boundaries(
        [(np.asarray(on, dtype=np.float32), np.asarray(off, dtype=np.float32)) for on, off in devices]
    )


def brute_force(active: list[int], inactive: list[int]) -> np.ndarray:
    """Phase of every second of a cycle, set boundary by boundary (reference section 2.4, TARGET)."""
    phase = np.zeros(T, dtype=bool)
    tagged = sorted([(at, True) for at in active if at < T] + [(at, False) for at in inactive if at < T])
    if not active or not tagged:
        return phase
    phase[:] = (0, True) in tagged or ((0, False) not in tagged and not tagged[0][1])
    if tagged[0][0] > 0 and (tagged[0][0], True) in tagged:  # both at the first instant: active from then on
        phase[:] = False
    for at, becomes_active in tagged:  # at one instant False sorts first, so active wins
        phase[at:] = becomes_active
    return phase


@pytest.mark.parametrize(
    ("active", "inactive", "expected"),
    [
        ([0, 100], [50, 200], [(0, 50), (100, 200)]),
        ([100], [0, 200], [(100, 200)]),
        ([100], [200], [(100, 200)]),  # defect D19: without a boundary at 0 phases were inverted
        ([200], [100], [(0, 100), (200, T)]),
        ([100], [], [(100, T)]),
        ([0], [T], [(0, T)]),
        ([0, 10, 20], [30], [(0, 30)]),  # set, not toggled
        ([0, 50], [50, 90], [(0, 90)]),
        ([300, 100], [400, 200], [(100, 200), (300, 400)]),
        ([], [0], []),
        ([], [500], []),
        ([], [], []),
    ],
)
def test_boundaries_become_intervals_in_any_convention(
    active: list[int], inactive: list[int], expected: list[tuple[int, int]]
) -> None:
    starts, ends = active_intervals(np.asarray(active, dtype=np.float32), np.asarray(inactive, dtype=np.float32))
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == expected


@settings(max_examples=150, deadline=None)
@given(active=boundaries, inactive=boundaries, now=instants, later=instants)
def test_answers_are_those_of_a_look_at_every_second(
    active: list[int], inactive: list[int], now: float, later: float
) -> None:
    phase = brute_force(active, inactive)
    table = activity(([], [0]), (active, inactive), ([0], []))
    middle = np.ones(1, dtype=np.int64)
    there = bool(phase[int(now) % T])
    assert table.is_active(middle, now)[0] == there
    assert table.active_rows(now)[1] == there
    start, end = min(now, later), max(now, later)
    seconds = np.arange(math.floor(start), math.ceil(end)) % T if end - start < T else np.arange(T)
    assert table.active_throughout(middle, start, np.asarray([end]))[0] == (start == end or phase[seconds].all())
    alone = activity((active, inactive))
    ahead = np.flatnonzero(np.roll(phase, -(int(now) % T)))
    # Phases change at whole seconds only, so the first active second is the instant, or the one asked for if it is on.
    expected = math.inf if len(ahead) == 0 else max(now, math.floor(now) + int(ahead[0]))
    assert alone.next_active_s(now) == expected


@settings(max_examples=100, deadline=None)
@given(active=boundaries, inactive=boundaries, now=instants, span=st.floats(0, 3 * T))
def test_a_device_alone_answers_as_the_table(active: list[int], inactive: list[int], now: float, span: float) -> None:
    table = activity((active, inactive))
    times = ActiveTimes.of(table, 0)
    assert times.leaves(now) == table.leaves_s(ROW, now)[0]


def test_an_interval_is_open_at_its_end() -> None:
    table = activity(([100], [200]))
    asked = [99.999, 100.0, 199.999, 200.0]
    assert [bool(table.is_active(ROW, now)[0]) for now in asked] == [False, True, True, False]


def test_activity_goes_on_over_the_end_of_a_cycle() -> None:
    table = activity(([T - 100], [50]))
    ends = np.asarray([T + 50.0, T + 50.5])
    assert table.active_throughout(np.zeros(2, dtype=np.int64), T - 10.0, ends).tolist() == [True, False]


def test_who_never_leaves_is_active_for_ever() -> None:
    table = activity(([0], []))
    assert table.leaves_s(ROW, 5e8)[0] == math.inf


def test_an_empty_span_is_covered_by_anybody() -> None:
    assert activity(([], [])).active_throughout(ROW, 10.0, np.asarray([10.0]))[0]


def test_instants_between_float32_numbers_are_told_apart() -> None:
    """172 799.99 is nearer to 172 800 in float32 than two stamps are to each other."""
    table = activity(([10], [172_799]))
    just_before = float(np.nextafter(172_799.0, 0.0))
    assert table.active_rows(just_before)[0] and not table.active_rows(172_799.0)[0]
    assert table.next_active_s(float(np.nextafter(10.0, 0.0))) == 10.0


def test_a_population_where_nobody_is_ever_active_has_no_next_instant() -> None:
    assert activity(([], []), ([], [5])).next_active_s(3.0) == math.inf
