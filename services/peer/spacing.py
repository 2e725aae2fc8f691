"""Writes on one stream, spaced: what comes up in between goes out together."""

from __future__ import annotations

import asyncio
from typing import Final

WRITES_EVERY_S: Final = 0.004
"""A message of its own costs as much as a small frame."""


class Spacing:
    """Keeps the writes of one stream apart; who writes seldom never waits."""

    def __init__(self) -> None:
        self._free_s = 0.0

    async def wait(self) -> None:
        """Returns when the next write may be made, and counts it as made."""
        loop = asyncio.get_running_loop()
        delay_s = self._free_s - loop.time()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        self._free_s = loop.time() + WRITES_EVERY_S
