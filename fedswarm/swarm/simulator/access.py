"""How fast one host sends and receives: its uplink and its downlink."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """Bits a second that a host can send and receive."""

    up_bps: float
    down_bps: float

    def __post_init__(self) -> None:
        for name in ("up_bps", "down_bps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a rate above zero")

    def scaled(self, factor: float) -> Rates:
        """The same host, faster or slower."""
        return Rates(self.up_bps * factor, self.down_bps * factor)


class Access:
    """One host's line to the network. Frames go through each direction one after another, in order of arrival.

    Letters are small and travel on connections of their own: they pass the frames that wait, and those wait a little
    longer for it. Bytes go through without being stored first: a frame enters the downlink at the other end so that,
    if nothing else is there, its last byte is through when the slower of the two lines has passed it.
    """

    __slots__ = ("_down_free_s", "_letter_free_s", "_up_free_s", "rates")

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._up_free_s = 0.0
        self._down_free_s = 0.0
        self._letter_free_s = 0.0

    def change(self, factor: float) -> None:
        """From now on the line is ``factor`` times as fast; what was given to it already is not affected."""
        self.rates = self.rates.scaled(factor)

    def send_letter(self, now_s: float, size_bytes: int) -> float:
        """The instant at which the last byte of a letter leaves."""
        takes_s = 8 * size_bytes / self.rates.up_bps
        self._letter_free_s = max(self._letter_free_s, now_s) + takes_s
        self._up_free_s = max(self._up_free_s, now_s) + takes_s
        return self._letter_free_s

    def receive_letter(self, now_s: float, size_bytes: int) -> float:
        """Seconds that a letter takes through the downlink; frames booked later wait as long."""
        takes_s = 8 * size_bytes / self.rates.down_bps
        if self._down_free_s > now_s:
            self._down_free_s += takes_s
        return takes_s

    def send_frame(self, now_s: float, size_bytes: int) -> tuple[float, float]:
        """The instants at which the first and the last byte of a frame leave."""
        starts_s = max(self._up_free_s, now_s)
        self._up_free_s = starts_s + 8 * size_bytes / self.rates.up_bps
        return starts_s, self._up_free_s

    def receive_s(self, size_bytes: int) -> float:
        """Seconds that a frame takes through the empty downlink."""
        return 8 * size_bytes / self.rates.down_bps

    def receive_frame(self, now_s: float, size_bytes: int) -> float:
        """The instant at which a frame that enters the downlink now is through."""
        self._down_free_s = max(self._down_free_s, now_s) + self.receive_s(size_bytes)
        return self._down_free_s

    def backlog_s(self, now_s: float) -> float:
        """How long what was given to the uplink still takes."""
        return max(self._up_free_s - now_s, 0.0)
