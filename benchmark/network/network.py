"""What a measurement needs to know of the network it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MBPS = 1_000_000


@dataclass(frozen=True)
class Rates:
    """The access link of one host, in bits a second."""

    up_bps: float
    down_bps: float


class Network(Protocol):
    """Hosts by name, each behind a link of its own."""

    shaped: bool
    """Whether the network itself keeps to the rates; where it does not, processes have to."""

    def address(self, host: str) -> str:
        """The IPv4 address of a host."""
        ...

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` on a host."""
        ...

    def received_bytes(self, host: str) -> int | None:
        """Bytes that came in by the host's link so far, packet headers included; None where nobody counts."""
        ...
