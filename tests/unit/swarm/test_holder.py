from __future__ import annotations

import pytest

from fedswarm.swarm.holder import Holder
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.pace import Pace

KEY = Key(1, "s")


@pytest.fixture
def holder() -> Holder:
    return Holder("a", Pace(limit_bytes=100))


def test_the_window_is_filled_and_no_more(holder: Holder) -> None:
    holder.ask(KEY, 0, 60, 0.0)
    assert holder.may_ask(0.0, 40)
    assert not holder.may_ask(0.0, 41)


def test_one_chunk_may_exceed_the_window_or_nothing_would_move(holder: Holder) -> None:
    assert holder.may_ask(0.0, 1_000)


def test_an_answer_makes_room_and_ends_the_silence(holder: Holder) -> None:
    holder.ask(KEY, 0, 100, 1.0)
    holder.stalled = True
    assert holder.silent_s(5.0) == 4.0
    assert holder.answered(KEY, 0, 5.0) is not None
    assert (holder.load, holder.stalled, holder.silent_s(9.0)) == (0.0, False, 0.0)


def test_nobody_asked_for_what_was_not_asked(holder: Holder) -> None:
    assert holder.answered(KEY, 0, 0.0) is None


def test_each_lost_stream_doubles_the_wait_up_to_two_seconds(holder: Holder) -> None:
    waits = []
    for _ in range(8):
        holder.stream_lost(10.0)
        waits.append(round(holder.retry_s - 10.0, 3))
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
