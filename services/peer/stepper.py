"""Feeds a state machine: events one after the other, instructions in order, and one timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from fedswarm.clock import Clock
from fedswarm.swarm.events import Event, Tick
from fedswarm.swarm.instructions import Instruction


class Machine(Protocol):
    """What is needed of :class:`fedswarm.swarm.peer.Peer`."""

    @property
    def wake_s(self) -> float | None:
        """The instant at which a :class:`Tick` is due, if any."""
        ...

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        """Takes an event; returns what is to be done, in order."""
        ...

    def welcomes(self, peer: str) -> bool:
        """Whether a link to this peer may stand."""
        ...


class Stepper:
    """Drives one machine on the running event loop.

    ``obey`` carries an instruction out; it is also given the event that caused it. It may feed further events: they
    wait until all instructions before them are carried out.
    """

    def __init__(self, machine: Machine, clock: Clock, obey: Callable[[Instruction, Event], None]) -> None:
        self._machine = machine
        self._clock = clock
        self._obey = obey
        self._events: deque[Event] = deque()
        self._busy = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0

    def feed(self, event: Event) -> None:
        """Hands an event to the machine and does what it says."""
        if self._stopped:
            return
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                event = self._events.popleft()
                for instruction in self._machine.handle(event, self._clock.now_s()):
                    self._obey(instruction, event)
        finally:
            self._busy = False
        self._arm()

    def stop(self) -> None:
        """From now on nothing reaches the machine."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        """Sets the timer, unless it goes off early enough as it is: then it is set anew when it does."""
        wake_s = self._machine.wake_s
        if self._stopped or wake_s is None or (self._timer is not None and self._timer_s <= wake_s):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = wake_s
        delay_s = max(0.0, wake_s - self._clock.now_s())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        wake_s = self._machine.wake_s
        if wake_s is not None and wake_s <= self._clock.now_s():
            self.feed(Tick())
        else:
            self._arm()
