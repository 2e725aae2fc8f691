"""All hosts on 127.0.0.1: no privileges, no shaping, no counters."""

from __future__ import annotations

from collections.abc import Sequence


class Loopback:
    """A :class:`network.network.Network` without links; processes that need rates keep to them by themselves."""

    shaped = False

    def address(self, host: str) -> str:
        """The same for all."""
        return "127.0.0.1"

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """The command as it is."""
        return list(command)

    def received_bytes(self, host: str) -> int | None:
        """The loopback interface counts for everybody at once, so nothing is known of one host."""
        return None
