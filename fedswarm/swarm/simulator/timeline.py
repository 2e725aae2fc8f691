"""Virtual time: what happens when, in one heap."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Timeline:
    """A clock that jumps to the next thing to happen; things of one instant happen in the order they were arranged."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.happened = 0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._arranged = 0
        self._stopped = False

    def at(self, when_s: float, action: Callable[..., object], *arguments: Any) -> None:
        """Arranges ``action(*arguments)`` for an instant; one in the past is now."""
        self._arranged += 1
        heappush(self._heap, (max(when_s, self.now_s), self._arranged, action, arguments))

    def after(self, wait_s: float, action: Callable[..., object], *arguments: Any) -> None:
        """Arranges ``action(*arguments)`` for ``wait_s`` from now."""
        self.at(self.now_s + wait_s, action, *arguments)

    def stop(self) -> None:
        """Ends :meth:`run` after what happens now."""
        self._stopped = True

    def run(self, until_s: float) -> None:
        """Lets everything up to ``until_s`` happen, unless stopped; without a stop, the clock then stands there."""
        self._stopped = False
        heap = self._heap
        while heap and heap[0][0] <= until_s and not self._stopped:
            self.now_s, _, action, arguments = heappop(heap)
            self.happened += 1
            action(*arguments)
        if not self._stopped:
            self.now_s = until_s
