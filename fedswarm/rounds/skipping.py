"""Rounds that could not run: the virtual clock moves on, but not for ever."""

from __future__ import annotations

import math

from fedswarm.devices.world import DeviceWorld
from fedswarm.errors import NoParticipantsError
from fedswarm.jobs.selection_sections import SelectionSection
from fedswarm.records.schema import RoundSkipped


class Skipping:
    """Counts the rounds skipped in a row and says when the next try is."""

    def __init__(self, section: SelectionSection, world: DeviceWorld) -> None:
        self._section = section
        self._world = world
        self._in_a_row = 0

    def skip(self, round_index: int, clock_s: float, reason: str, at_least_s: float) -> RoundSkipped:
        """A round given up at ``clock_s``: the next try is ``at_least_s`` later, once somebody is online.

        Raises :class:`NoParticipantsError` when that happens too often, or when nobody ever comes.
        """
        self._in_a_row += 1
        following_s = max(self._world.next_online_s(clock_s), clock_s + at_least_s)
        if self._in_a_row > self._section.max_skipped_rounds or math.isinf(following_s):
            raise NoParticipantsError(
                f"round {round_index}: {reason} at virtual second {clock_s:g}, "
                f"after {self._in_a_row - 1} skipped rounds (selection.max_skipped_rounds limits these)"
            )
        return RoundSkipped(round_index, clock_s, following_s, reason)

    def ran(self) -> None:
        """A round was completed."""
        self._in_a_row = 0
