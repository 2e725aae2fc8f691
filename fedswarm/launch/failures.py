"""From an exit code back to the error it stands for, so that a process's failure reaches the user as itself."""

from __future__ import annotations

from collections.abc import Iterator

from fedswarm.errors import FedswarmError, LaunchError


def error_of(exit_code: int, message: str, otherwise: type[FedswarmError] = LaunchError) -> FedswarmError:
    """The error whose class carries ``exit_code``; ``otherwise`` for codes that belong to none."""
    return next((kind for kind in _kinds(FedswarmError) if kind.exit_code == exit_code), otherwise)(message)


def describe_exit(exit_code: int) -> str:
    """How a process ended: ``exit code 3`` or ``signal 9``."""
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _kinds(kind: type[FedswarmError]) -> Iterator[type[FedswarmError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)
