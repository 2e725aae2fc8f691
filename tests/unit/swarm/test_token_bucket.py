from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.token_bucket import ConstantRate, RateSource, TokenBucket

BYTE_S = 8.0  # bit/s at which a byte takes a second


@dataclass(frozen=True)
class Steps:
    """A rate that has one value a second and repeats, integrated the slow and plain way."""

    bytes_a_second: tuple[int, ...]

    def bps(self, now_s: float) -> float:
        return 8.0 * self.bytes_a_second[math.floor(now_s) % len(self.bytes_a_second)]

    def finish_s(self, start_s: float, n_bytes: int) -> float:
        if n_bytes == 0:
            return start_s
        left, second = float(n_bytes), math.floor(start_s)
        while True:
            rate = self.bytes_a_second[second % len(self.bytes_a_second)]
            begin = max(start_s, second)
            if rate and left <= rate * (second + 1 - begin):
                return begin + left / rate
            left -= rate * (second + 1 - begin)
            second += 1

    def integral(self, start_s: float, end_s: float) -> float:
        edges = [start_s, *range(math.floor(start_s) + 1, math.ceil(end_s)), end_s]
        return sum(self.bps(begin) / 8 * (end - begin) for begin, end in itertools.pairwise(edges))


RATES = st.lists(st.integers(0, 1000), min_size=1, max_size=5).filter(any).map(lambda steps: Steps(tuple(steps)))
SIZES = st.integers(1, 3000)
BURSTS = st.integers(0, 4000)
VISITS = st.lists(st.tuples(st.floats(0, 5), SIZES), min_size=1, max_size=20)


def polite(rate: RateSource, burst_bytes: int, visits: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """When each take happened, by a taker that pauses, waits as told, and takes."""
    bucket, now_s, takes = TokenBucket(rate, burst_bytes), 0.0, []
    for pause_s, n_bytes in visits:
        now_s = bucket.ready_s(now_s + pause_s)
        bucket.take(now_s, n_bytes)
        takes.append((now_s, n_bytes))
    return takes


@given(RATES, BURSTS, VISITS)
def test_no_span_of_time_sees_more_than_burst_and_one_take_and_the_rates_integral(
    rate: Steps, burst: int, visits: list[tuple[float, int]]
) -> None:
    takes = polite(rate, burst, visits)
    for first, last in itertools.combinations_with_replacement(range(len(takes)), 2):
        sizes = [n_bytes for _, n_bytes in takes[first : last + 1]]
        assert sum(sizes) <= burst + max(sizes) + rate.integral(takes[first][0], takes[last][0]) + 1e-3


@given(RATES, BURSTS, st.lists(SIZES, min_size=1, max_size=30))
def test_a_busy_sender_uses_the_rate_in_full(rate: Steps, burst: int, sizes: list[int]) -> None:
    takes = polite(rate, burst, [(0.0, n_bytes) for n_bytes in sizes])
    assert sum(sizes[:-1]) >= rate.integral(0.0, takes[-1][0]) - 1e-3


@given(BURSTS, st.lists(st.tuples(st.floats(0, 1), SIZES), min_size=1, max_size=30))
def test_a_busy_sender_who_is_late_by_less_than_the_burst_loses_nothing(
    burst: int, visits: list[tuple[float, int]]
) -> None:
    bucket, now_s, due_s = TokenBucket(ConstantRate(8000.0), burst), 0.0, 0.0
    bucket.take(now_s, burst)  # from here on busy
    for share, n_bytes in visits:
        now_s = max(now_s, due_s + share * burst / 1000 * 0.99)
        assert bucket.ready_s(now_s) == pytest.approx(max(now_s, due_s))
        bucket.take(now_s, n_bytes)
        due_s += n_bytes / 1000


@given(RATES, BURSTS, VISITS, st.floats(0, 10))
def test_who_waits_until_the_instant_it_was_told_finds_no_debt(
    rate: Steps, burst: int, visits: list[tuple[float, int]], pause_s: float
) -> None:
    bucket, now_s = TokenBucket(rate, burst), 0.0
    for gap_s, n_bytes in visits:
        now_s += gap_s
        bucket.take(now_s, n_bytes)
    ready_s = bucket.ready_s(now_s + pause_s)
    assert bucket.ready_s(ready_s) == ready_s
    assert bucket.delay_s(ready_s) == 0.0


@pytest.mark.parametrize("burst", [0, 100, 5000])
def test_rounding_does_not_add_up(burst: int) -> None:
    bucket, now_s, takes = TokenBucket(ConstantRate(5e6), burst), 1e5, 100_000
    for _ in range(takes):
        now_s = bucket.ready_s(now_s)
        bucket.take(now_s, 997)
    assert bucket.ready_s(now_s) == pytest.approx(1e5 + (takes * 997 - burst) * 8 / 5e6, abs=1e-9, rel=0)


def test_a_full_bucket_gives_its_burst_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(ConstantRate(BYTE_S), 10)
    bucket.take(100.0, 10)
    assert bucket.delay_s(100.0) == 0.0
    bucket.take(100.0, 3)
    assert bucket.delay_s(100.0) == 3.0
    assert bucket.delay_s(102.0) == 1.0


def test_idle_time_fills_no_more_than_the_burst() -> None:
    bucket = TokenBucket(ConstantRate(BYTE_S), 10)
    bucket.take(0.0, 10)
    bucket.take(1000.0, 15)
    assert bucket.delay_s(1000.0) == 5.0


def test_a_pause_of_the_rate_is_waited_out() -> None:
    bucket = TokenBucket(Steps((10, 0, 0)), 0)
    bucket.take(0.0, 10)
    assert bucket.delay_s(0.0) == 1.0
    bucket.take(1.0, 5)
    assert bucket.delay_s(1.0) == 2.5


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_is_a_limit_that_lets_something_through(rate: float) -> None:
    with pytest.raises(ValueError, match="is no limit that lets something"):
        ConstantRate(rate)


def test_a_burst_is_not_negative() -> None:
    with pytest.raises(ValueError, match="-1 bytes is negative"):
        TokenBucket(ConstantRate(1.0), -1)
