"""Which of the models that a peer offers as exchanges begin it keeps for those who are slow to fetch them."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

MOST_LASTING: Final = 5


class _Offer(NamedTuple):
    exchange: int
    offered_s: float


class LastingModels:
    """Those of one peer in a job whose exchanges have the deadline ``deadline_s``.

    Any model is served until the second exchange after its own begins. Where exchanges are short, that can be over
    before a peer on a busy machine has come to ask. So every half deadline the model offered *lasts*: until two
    deadlines after the next such one is offered. Who hears of it while no later one lasts, and begins to fetch it
    within a deadline, can do so for a whole deadline more, which is as long as anybody searches for a model.

    The bound: four more can be offered meanwhile, so :data:`MOST_LASTING` of them are held at once, beside the two that
    are served anyway. That is the memory of seven models at the most, and of three where an exchange takes a deadline
    or longer.
    """

    def __init__(self, deadline_s: float) -> None:
        self._every_s = deadline_s / 2
        self._kept_s = 2 * deadline_s
        self._offers: deque[_Offer] = deque(maxlen=MOST_LASTING)

    def begin(self, exchange: int, now_s: float) -> frozenset[int]:
        """An exchange begins; returns the exchanges whose models last from now on, this one's perhaps among them."""
        offers = self._offers
        # The model of the first exchange is the initial one, which nobody lacks.
        if exchange > 0 and (not offers or now_s - offers[-1].offered_s >= self._every_s):
            offers.append(_Offer(exchange, now_s))
        while len(offers) > 1 and now_s - offers[1].offered_s >= self._kept_s:
            offers.popleft()
        return frozenset(offer.exchange for offer in offers)
