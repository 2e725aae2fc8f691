from __future__ import annotations

from fedswarm.swarm.chunks import MIB
from fedswarm.swarm.pace import FIRST_TIMEOUT_S, MAX_TIMEOUT_S, MIN_TIMEOUT_S, Pace

CHUNK = MIB // 4


def test_quick_answers_open_the_window_to_its_limit() -> None:
    pace = Pace(8 * MIB)
    for _ in range(100):
        pace.arrived(0.01, CHUNK)
    assert pace.window_bytes == 8 * MIB


def test_slow_answers_narrow_the_window_to_two_chunks() -> None:
    pace = Pace(8 * MIB)
    for _ in range(100):
        pace.arrived(2.0, CHUNK)
    assert pace.window_bytes == 2 * CHUNK


def test_the_timeout_follows_the_answers_within_bounds() -> None:
    pace = Pace(8 * MIB)
    assert pace.timeout_s == FIRST_TIMEOUT_S
    for _ in range(50):
        pace.arrived(0.001, CHUNK)
    assert pace.timeout_s == MIN_TIMEOUT_S
    for _ in range(50):
        pace.arrived(4.0, CHUNK)
    assert 4.0 < pace.timeout_s < 8.0
    pace.arrived(500.0, CHUNK)
    assert pace.timeout_s == MAX_TIMEOUT_S


def test_only_an_unusual_wait_is_overdue() -> None:
    pace = Pace(8 * MIB)
    assert not pace.overdue(100.0)
    for _ in range(50):
        pace.arrived(0.2, CHUNK)
    assert not pace.overdue(0.35)
    assert pace.overdue(0.45)
