from __future__ import annotations

import pytest

from fedswarm.swarm.simulator.access import Access, Rates

MEGABYTE = 1_000_000


def test_frames_leave_one_after_another() -> None:
    access = Access(Rates(8e6, 8e6))
    assert access.send_frame(1.0, MEGABYTE) == (1.0, 2.0)
    assert access.send_frame(1.0, MEGABYTE) == (2.0, 3.0)
    assert access.backlog_s(1.5) == 1.5


def test_a_letter_passes_waiting_frames_and_delays_the_next() -> None:
    access = Access(Rates(8e6, 8e6))
    access.send_frame(0.0, MEGABYTE)
    assert access.send_letter(0.0, MEGABYTE // 10) == pytest.approx(0.1)
    assert access.send_frame(0.0, MEGABYTE) == (pytest.approx(1.1), pytest.approx(2.1))


def test_letters_leave_one_after_another() -> None:
    access = Access(Rates(8e6, 8e6))
    access.send_letter(0.0, MEGABYTE)
    assert access.send_letter(0.0, MEGABYTE) == 2.0


def test_an_idle_line_starts_at_once() -> None:
    access = Access(Rates(8e6, 16e6))
    access.receive_frame(0.0, MEGABYTE)
    assert access.receive_frame(9.0, MEGABYTE) == 9.5


@pytest.mark.parametrize("rates", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_rates_must_be_above_zero(rates: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="give a rate above zero"):
        Rates(*rates)
