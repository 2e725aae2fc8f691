from __future__ import annotations

import pytest

from fedswarm.swarm.events import Introduced, Tick
from fedswarm.swarm.simulator.host import Life

NOTHING_MUCH = Introduced(())


def test_a_machine_is_woken_at_the_instant_it_asks_for(stage) -> None:
    play = stage()
    a = play.add("a")
    a.machine.wake_s = 2.0
    a.tell(NOTHING_MUCH)
    play.run(5.0)
    assert a.machine.times(Tick) == [2.0]


def test_a_machine_that_changes_its_mind_is_woken_once(stage) -> None:
    play = stage()
    a = play.add("a")
    for wake_s in (4.0, 2.0, 3.0):
        a.machine.wake_s = wake_s
        a.tell(NOTHING_MUCH)
    play.run(5.0)
    assert a.machine.times(Tick) == [3.0]


def test_a_frozen_machine_is_woken_when_it_thaws(stage) -> None:
    play = stage()
    a = play.add("a")
    a.machine.wake_s = 2.0
    a.tell(NOTHING_MUCH)
    a.freeze()
    play.run(5.0)
    assert a.machine.times(Tick) == []
    a.thaw()
    play.run(0.0)
    assert a.machine.times(Tick) == [5.0]


def test_a_machine_that_ended_is_told_nothing(stage) -> None:
    play = stage()
    a = play.add("a")
    a.machine.wake_s = 2.0
    a.tell(NOTHING_MUCH)
    a.end(Life.ENDED)
    play.run(5.0)
    a.tell(NOTHING_MUCH)
    assert len(a.machine.told) == 1


def test_a_machine_that_wants_to_be_woken_for_ever_is_named(stage) -> None:
    play = stage()
    a = play.add("a")
    a.machine.wake_s, a.machine.stubborn = 2.0, True
    a.tell(NOTHING_MUCH)
    with pytest.raises(RuntimeError, match="a was woken 1001 times at 2"):
        play.run(5.0)
