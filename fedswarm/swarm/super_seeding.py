"""Super-seeding: how a publisher gets a first copy of every chunk out soonest, on any topology (BEP 16).

It shows each chunk to one neighbour only, a few at a time to each, those that take them fastest being shown more. What
the others lack they get from that neighbour and its neighbours. Only when every chunk was taken by somebody does the
publisher show everything to everybody, as an ordinary peer does; or when nobody takes anything any more, since then all
lack what is hidden: somebody may have taken a chunk and left before passing it on. Unlike in BEP 16, several chunks are
shown to a neighbour at once, as many as keep it busy: a single one leaves fast links idle between two announcements.
"""

from __future__ import annotations

from collections import deque

# Shown to a neighbour and not taken yet: half to be sent while it asks for the other half. With four, links idled.
SHOWN_AHEAD = 8


class SuperSeeding:
    """What the publisher of one set of weights shows to whom; ``order`` is that in which chunks are to go out."""

    def __init__(self, order: list[int], now_s: float) -> None:
        self._hidden = deque(order)
        self._shown: dict[str, set[int]] = {}
        self._taken: set[int] = set()
        self._chunks = len(order)
        self._stirred_s = now_s
        self._ended = False

    @property
    def over(self) -> bool:
        """Whether everything may be shown."""
        return self._ended or len(self._taken) == self._chunks

    def end_if_idle(self, now_s: float, patience_s: float) -> None:
        """Ends it when nobody new came and nobody took a chunk for longer than ``patience_s``."""
        self._ended |= now_s - self._stirred_s > patience_s

    def join(self, peer: str, now_s: float) -> list[int]:
        """A neighbour wants the weights: what to show it."""
        self._stirred_s = now_s
        self._shown.setdefault(peer, set())
        return self._show(peer)

    def take(self, peer: str, index: int, now_s: float) -> list[int]:
        """A neighbour acknowledged a chunk: what to show it now."""
        self._stirred_s = now_s
        self._taken.add(index)
        for shown in self._shown.values():
            shown.discard(index)
        return self._show(peer) if peer in self._shown else []

    def leave(self, peer: str) -> dict[str, list[int]]:
        """A neighbour is gone: what to show to whom, since what it was shown and did not take is hidden again."""
        self._hidden.extendleft(sorted(self._shown.pop(peer, set()), reverse=True))
        return {other: fresh for other in self._shown if (fresh := self._show(other))}

    def _show(self, peer: str) -> list[int]:
        fresh: list[int] = []
        shown = self._shown[peer]
        while len(shown) < SHOWN_AHEAD:
            index = self._hidden.popleft() if self._hidden else self._slowest(peer)
            if index is None:
                break
            shown.add(index)
            fresh.append(index)
        return fresh

    def _slowest(self, peer: str) -> int | None:
        """With nothing hidden any more: a chunk that another neighbour was shown and has not taken."""
        others = {index for other, shown in self._shown.items() if other != peer for index in shown}
        left = sorted(others - self._shown[peer])
        return left[-1] if left else None
