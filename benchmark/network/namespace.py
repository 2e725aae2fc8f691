"""A network namespace that cannot outlive the process that made it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

COMMAND_TIMEOUT_S = 20.0


class NetworkError(RuntimeError):
    """A command that sets a network up failed; the message has its words."""


class Namespace:
    """A namespace without a name: the kernel keeps it as long as a process is in it.

    That process is a ``cat`` which reads a pipe from us. When we end, however we end, it reads the end of its input
    and is gone; the namespace goes with it, and so do the interfaces in it and their other ends. A killed run leaves
    nothing to sweep.
    """

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo in && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != b"in\n":
            _, said = self._keeper.communicate()
            raise NetworkError(f"cannot make a network namespace: {said.decode().strip()}")

    @property
    def pid(self) -> int:
        """A process in the namespace."""
        return self._keeper.pid

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` inside; it is killed should this process end first."""
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *command]

    def run(self, *command: str, lines: Sequence[str] = ()) -> None:
        """Runs a command inside with ``lines`` as its input; raises :class:`NetworkError` if it fails."""
        done = subprocess.run(
            self.command(command),
            input="".join(f"{line}\n" for line in lines),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise NetworkError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")

    def received_bytes(self, interface: str) -> int:
        """The kernel's count of bytes that an interface inside received."""
        return parse_received_bytes(Path(f"/proc/{self.pid}/net/dev").read_text(), interface)

    def close(self) -> None:
        """Ends the namespace, once all that was started in it has ended."""
        self._keeper.communicate()


def parse_received_bytes(table: str, interface: str) -> int:
    """The first counter of an interface's row in ``/proc/net/dev``."""
    for line in table.splitlines():
        name, colon, counters = line.partition(":")
        if colon and name.strip() == interface:
            return int(counters.split()[0])
    raise NetworkError(f"no interface {interface!r} in the table of counters")
