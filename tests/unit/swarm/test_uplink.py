import pytest

from fedswarm.swarm.uplink import KnownUplink, MeasuredUplink

KIB = 1024
FRAME = 32 * KIB


def play(estimate, bps, seconds, *, delay_s=0.02, inflight_s=0.15, backlog=True):
    """A sender that keeps the window full over an uplink of ``bps``; returns the share of the uplink it used."""
    now_s, free_s, flying, flights, sent = 0.0, 0.0, 0, [], 0
    while now_s < seconds:
        while flying + FRAME <= max(2 * FRAME, estimate.window_bytes(inflight_s)):
            free_s = max(free_s, now_s) + FRAME * 8 / bps
            flights.append((free_s + delay_s, estimate.depart(FRAME, now_s)))
            flying += FRAME
            sent += FRAME
        if not backlog:
            estimate.idle(now_s)
        now_s, flight = flights.pop(0)
        estimate.receipt(flight, now_s)
        flying -= FRAME
    return (sent - flying) * 8 / (bps * now_s)


def test_a_known_uplink_is_taken_at_its_word():
    assert KnownUplink(8_000_000).window_bytes(0.15) == pytest.approx(150_000)
    assert KnownUplink(8_000_000).bps == 8_000_000


@pytest.mark.parametrize("mbps", [2, 5, 20, 50, 200, 1000])
def test_a_measured_uplink_is_found_from_both_sides(mbps):
    estimate = MeasuredUplink()
    play(estimate, mbps * 1e6, 10)
    assert 0.9 * mbps * 1e6 < estimate.bps < 1.1 * mbps * 1e6


@pytest.mark.parametrize("mbps", [5, 50, 200])
def test_measuring_leaves_little_of_the_uplink_unused(mbps):
    estimate = MeasuredUplink()
    play(estimate, mbps * 1e6, 2)
    assert play(estimate, mbps * 1e6, 5) > 0.97


def test_a_slower_uplink_is_noticed_once_the_memory_has_passed():
    estimate = MeasuredUplink()
    now_s, flights = 0.0, []
    for bps in (50e6, 5e6):
        end_s = now_s + 12
        while now_s < end_s:
            flights.append(estimate.depart(FRAME, now_s))
            now_s += FRAME * 8 / bps
            if len(flights) > 3:
                estimate.receipt(flights.pop(0), now_s)
    assert estimate.bps == pytest.approx(5e6, rel=0.1)


def test_what_is_sent_without_a_backlog_says_nothing_about_the_uplink():
    estimate = MeasuredUplink()
    play(estimate, 20e6, 5)
    before = estimate.bps
    now_s = 100.0
    for _ in range(20):  # a frame a second, though the uplink could carry far more
        flight = estimate.depart(FRAME, now_s)
        estimate.idle(now_s)
        estimate.receipt(flight, now_s + 0.5)
        now_s += 1.0
    assert estimate.bps == pytest.approx(before)


def test_nothing_is_known_before_the_first_receipt_and_still_something_may_leave():
    estimate = MeasuredUplink()
    assert estimate.bps == 0
    assert estimate.window_bytes(0.15) >= 2 * FRAME


def test_receipts_that_are_read_all_at_once_do_not_make_the_uplink_look_faster():
    """A process that is not scheduled for a while finds the receipts of that time together."""
    estimate, bps, now_s, free_s, flights = MeasuredUplink(), 20e6, 0.0, 0.0, []
    for turn in range(100):
        now_s += 0.12 if turn % 3 else 0.02
        while flights and flights[0][0] <= now_s:
            estimate.receipt(flights.pop(0)[1], now_s)
            free_s = max(free_s, now_s) + FRAME * 8 / bps
            flights.append((free_s, estimate.depart(FRAME, now_s)))
        while len(flights) < 12:
            free_s = max(free_s, now_s) + FRAME * 8 / bps
            flights.append((free_s, estimate.depart(FRAME, now_s)))
    assert estimate.bps < 1.3 * bps


def test_little_to_send_for_a_while_does_not_make_the_uplink_look_slower():
    estimate = MeasuredUplink()
    play(estimate, 20e6, 5)
    before = estimate.bps
    play(estimate, 2e6, 3, backlog=False)
    assert estimate.bps == before
