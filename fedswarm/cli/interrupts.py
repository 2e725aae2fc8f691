"""Ctrl-C as something a command looks at when it can act on it, instead of an exception that may strike anywhere."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupts:
    """How often the user has pressed Ctrl-C since :func:`counted_interrupts` was entered."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """Counts one more."""
        self.count += 1


@contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """Inside, Ctrl-C is only counted."""
    interrupts = Interrupts()
    with on_interrupt(interrupts.add):
        yield interrupts


@contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Inside, Ctrl-C calls ``act``, unless this process was started to ignore it (in the background of a script)."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
