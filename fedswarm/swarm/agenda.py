"""What a state machine means to do later, and when it wants to be woken for it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import NamedTuple


class Intention(NamedTuple):
    """``what`` is to be done, for ``whom`` (or about which weights), if that matters."""

    what: str
    whom: Hashable = None


class Agenda:
    """Intentions, each with at most one instant: setting one anew replaces it."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Intention]] = []
        self._due: dict[Intention, tuple[float, int]] = {}
        self._order = itertools.count()

    @property
    def wake_s(self) -> float | None:
        """The earliest instant of all, ``None`` when nothing is meant to be done."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)  # replaced or cancelled
        return self._heap[0][0] if self._heap else None

    def put(self, instant_s: float, intention: Intention) -> None:
        """It is to be done at ``instant_s``, and at no other time."""
        entry = (instant_s, next(self._order))
        self._due[intention] = entry
        heapq.heappush(self._heap, (*entry, intention))

    def put_unless_earlier(self, instant_s: float, intention: Intention) -> None:
        """As :meth:`put`, but an earlier instant stays."""
        if intention not in self._due or self._due[intention][0] > instant_s:
            self.put(instant_s, intention)

    def cancel(self, intention: Intention) -> None:
        """It is not to be done any more."""
        self._due.pop(intention, None)

    def take(self, now_s: float) -> list[Intention]:
        """Whatever is due by ``now_s``, in order, taken off the agenda."""
        due = []
        while (wake_s := self.wake_s) is not None and wake_s <= now_s:
            intention = heapq.heappop(self._heap)[2]
            del self._due[intention]
            due.append(intention)
        return due
