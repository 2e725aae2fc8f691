"""The stepper around a machine of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fedswarm.clock import WallClock
from fedswarm.swarm.events import DeliveryLost, Departed, Event, Tick
from fedswarm.swarm.instructions import CloseDelivery, Instruction
from services.peer.stepper import Stepper


class Machine:
    """Answers as the test says, and notes what it is told and when."""

    def __init__(self) -> None:
        self.wake_s: float | None = None
        self.events: list[Event] = []
        self.answers: dict[type[Event], list[Instruction]] = {}
        self.on_tick: Callable[[float], float | None] = lambda _: None

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        self.events.append(event)
        if isinstance(event, Tick):
            self.wake_s = self.on_tick(now_s)
        return self.answers.get(type(event), [])

    def welcomes(self, peer: str) -> bool:
        return True


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def ticks(machine: Machine, count: int) -> None:
    while machine.events.count(Tick()) < count:  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.001)


async def test_events_fed_by_an_instruction_wait_for_those_before_them(machine: Any) -> None:
    done: list[str] = []

    def obey(instruction: Instruction, event: Event) -> None:
        assert isinstance(instruction, CloseDelivery)
        done.append(instruction.peer)
        if instruction.peer == "first":
            stepper.feed(DeliveryLost("x", "closed"))

    machine.answers = {
        Departed: [CloseDelivery("first"), CloseDelivery("second")],
        DeliveryLost: [CloseDelivery("third")],
    }
    stepper = Stepper(machine, WallClock(), obey)
    stepper.feed(Departed("x"))
    assert done == ["first", "second", "third"]
    assert machine.events == [Departed("x"), DeliveryLost("x", "closed")]


async def test_an_instruction_comes_with_its_event(machine: Any) -> None:
    pairs: list[tuple[Instruction, Event]] = []
    machine.answers = {Departed: [CloseDelivery("a")]}
    Stepper(machine, WallClock(), lambda *pair: pairs.append(pair)).feed(Departed("a"))
    assert pairs == [(CloseDelivery("a"), Departed("a"))]


async def test_a_tick_comes_when_it_is_due_and_not_before(machine: Any) -> None:
    clock = WallClock()
    came_s: list[float] = []
    machine.on_tick = came_s.append
    machine.wake_s = due_s = clock.now_s() + 0.05
    stepper = Stepper(machine, clock, lambda *_: None)
    stepper.feed(Departed("a"))
    await ticks(machine, 1)
    assert came_s[0] >= due_s
    assert machine.events == [Departed("a"), Tick()]


async def test_a_nearer_instant_comes_first_and_a_later_one_still_comes(machine: Any) -> None:
    clock = WallClock()
    now_s = clock.now_s()
    waits = [now_s + 0.1, None]
    machine.on_tick = lambda _: waits.pop(0)
    machine.wake_s = now_s + 60.0
    stepper = Stepper(machine, clock, lambda *_: None)
    stepper.feed(Departed("a"))
    machine.wake_s = now_s + 0.02
    stepper.feed(Departed("b"))
    await ticks(machine, 2)
    assert clock.now_s() >= now_s + 0.1


async def test_an_instant_that_was_put_off_wakes_nobody(machine: Any) -> None:
    clock = WallClock()
    stepper = Stepper(machine, clock, lambda *_: None)
    machine.wake_s = clock.now_s() + 0.01
    stepper.feed(Departed("a"))
    machine.wake_s = clock.now_s() + 0.05
    stepper.feed(Departed("b"))
    await ticks(machine, 1)
    assert machine.events.count(Tick()) == 1


async def test_without_an_instant_there_are_no_ticks(machine: Any) -> None:
    stepper = Stepper(machine, WallClock(), lambda *_: None)
    stepper.feed(Departed("a"))
    await asyncio.sleep(0.02)
    assert machine.events == [Departed("a")]


async def test_after_the_end_nothing_reaches_the_machine(machine: Any) -> None:
    clock = WallClock()
    stepper = Stepper(machine, clock, lambda *_: None)
    machine.wake_s = clock.now_s() + 0.01
    stepper.feed(Departed("a"))
    stepper.stop()
    stepper.feed(Departed("b"))
    await asyncio.sleep(0.03)
    assert machine.events == [Departed("a")]
