"""What travelled, in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Traffic(NamedTuple):
    """Bytes since a node began.

    Attributes:
        sent: of chunks uploaded.
        received: of chunks that were right and new.
        wasted: of chunks that came in vain: twice, unwanted or wrong.
        control_sent: of letters and receipts.
        control_received: of letters and receipts.
    """

    sent: int
    received: int
    wasted: int
    control_sent: int
    control_received: int


@dataclass
class Meter:
    """The running counts of one node; ``arrived`` counts bytes of chunks before anybody looked at them."""

    sent: int = 0
    arrived: int = 0
    accepted: int = 0
    control_sent: int = 0
    control_received: int = 0

    def read(self) -> Traffic:
        """The counts as they stand."""
        wasted = self.arrived - self.accepted
        return Traffic(self.sent, self.accepted, wasted, self.control_sent, self.control_received)
