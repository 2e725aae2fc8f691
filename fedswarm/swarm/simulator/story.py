"""What happened, told so that a failure explains itself: a bounded log for each peer and set of weights.

The idea is that of dask's worker state machine (``distributed/worker_state_machine.py``), whose failed transitions
print all that ever touched a task.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from fedswarm.swarm.events import Event
from fedswarm.swarm.instructions import Instruction
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Address


class Entry(NamedTuple):
    """One thing that happened at one peer; ``order`` counts over all peers."""

    order: int
    now_s: float
    peer: str
    what: Event | Instruction | str

    def __str__(self) -> str:
        told = self.what if isinstance(self.what, str) else describe(self.what)
        return f"{self.now_s:12.6f} {self.peer:>8} {told}"


class Story:
    """The last ``length`` things that happened at each peer to each set of weights, and to none in particular."""

    def __init__(self, length: int = 400) -> None:
        self._length = length
        self._logs: dict[tuple[str, Key | None], deque[Entry]] = {}
        self._order = 0

    def tell(self, peer: str, what: Event | Instruction | str, now_s: float) -> None:
        """Adds an event, an instruction, or a remark of the simulator's own."""
        self._order += 1
        where = (peer, None if isinstance(what, str) else key_of(what))
        log = self._logs.get(where)
        if log is None:
            log = self._logs[where] = deque(maxlen=self._length)
        log.append(Entry(self._order, now_s, peer, what))

    def about(self, *peers: str, key: Key | None = None, index: int | None = None, most: int = 60) -> str:
        """The last ``most`` entries, in order.

        With peers, only what happened at these; with ``key``, only what concerns these weights or the peers as such;
        with ``index``, nothing that is only about other chunks.
        """
        chosen = [
            entry
            for (peer, about), log in self._logs.items()
            if (not peers or peer in peers) and (key is None or about in (key, None))
            for entry in log
            if index is None or isinstance(entry.what, str) or _concerns(entry.what, index)
        ]
        return "\n".join(str(entry) for entry in sorted(chosen)[-most:])

    def __iter__(self) -> Iterator[Entry]:
        yield from sorted(entry for log in self._logs.values() for entry in log)

    def __str__(self) -> str:
        return "\n".join(str(entry) for entry in self)


def key_of(what: Any) -> Key | None:
    """The weights that an event, an instruction or the message in it is about."""
    what = getattr(what, "message", what)
    manifest = getattr(what, "manifest", None)
    key = manifest.key if manifest is not None else getattr(what, "key", None)
    return key if isinstance(key, Key) else None


def _concerns(what: Any, index: int) -> bool:
    """Whether it is about this chunk, or about no chunk in particular."""
    what = getattr(what, "message", what)
    if hasattr(what, "receipts"):
        return any(receipt.index == index for receipt in what.receipts)
    if hasattr(what, "runs"):
        return any(first <= index < first + count for first, count in what.runs)
    if getattr(what, "indices", None) is not None:
        return index in what.indices
    return getattr(what, "index", index) == index


def describe(what: Any) -> str:
    """An event, an instruction or a message on one line, bytes by their number."""
    match what:
        case Manifest():
            return f"weights of {what.key} in {what.chunks} chunks"
        case Key():
            return str(what)
        case Address(peer, _):
            return peer
        case bytes() | memoryview():
            return f"<{len(what)} bytes>"
        case tuple():
            return "(" + ", ".join(map(describe, what)) + ")"
        case _ if dataclasses.is_dataclass(what):
            values = (describe(getattr(what, field.name)) for field in dataclasses.fields(what))
            return f"{type(what).__name__}({', '.join(values)})"
        case float():
            return f"{what:.6f}"
        case _:
            return str(what)
