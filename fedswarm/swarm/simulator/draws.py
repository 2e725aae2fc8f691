"""Uniform random numbers, one at a time."""

from __future__ import annotations

from fedswarm.randomness import generator

_BLOCK = 4096


class Draws:
    """Numbers in [0, 1) that depend on ``(seed, purpose)`` alone; drawn in blocks, since one at a time is slow."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._generator = generator(seed, 0, purpose)
        self._block: list[float] = []

    def __call__(self) -> float:
        """The next number."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def below(self, count: int) -> int:
        """The next whole number in 0..count-1."""
        return int(self() * count)

    def between(self, low: float, high: float) -> float:
        """The next number in [low, high)."""
        return low + self() * (high - low)
