"""Frames that bring nothing and that no request of ours explains: how many of them are forgiven.

Frames of weights that we never wanted are *strays*; honest peers send none but by accident, so few are forgiven. Others
are honest although they come in vain: copies of chunks that came by another way meanwhile, and of weights that we want
no more, or not wholly. Such *repeats* are counted for each chunk and each neighbour, since we last told it that we want
these weights. What an honest peer can send us of one chunk in that time:

1. It queues the chunk for us as its publisher or as its relay, once when it is given and once when we tell our wish:
   publishers send nobody a chunk twice, relays take a duty once, and what waits or is under way is not queued again.
2. It answers our last request for it, once. That is no repeat, but should its stream break, the answer may come again.
3. Each of these three it sends again only when a data stream broke before a receipt was back, and not more often than
   :data:`~fedswarm.swarm.uploads.MOST_SENT_AGAIN` times; then it tells us that it holds the chunk, and we may ask.
4. Answers to requests that we took back are expected, and counted as little as those to requests that stand.

So ``3 * (1 + MOST_SENT_AGAIN)`` frames of one chunk are possible, and a third more are forgiven: an honest peer is not
banned for repeats however fast it is, however large the weights, and however often links and streams break. Whoever
floods is, at the latest when it has sent each chunk that we hold :data:`REPEATS_FORGIVEN` times in vain.
"""

from __future__ import annotations

from typing import Final

from fedswarm.swarm.content import Content
from fedswarm.swarm.events import FrameArrived
from fedswarm.swarm.messages import Verdict
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.uploads import MOST_SENT_AGAIN

STRAYS_FORGIVEN: Final = 64
REPEATS_FORGIVEN: Final = 4 * (1 + MOST_SENT_AGAIN)


def fault_of(
    neighbour: Neighbour, content: Content | None, event: FrameArrived, verdict: Verdict, now_s: float
) -> str | None:
    """Takes note of a frame that came unasked and in vain; what its sender is to be banned for, if it is.

    ``content`` is what we know of its weights. Of those that we forgot while we were sent them, anything may come for
    :data:`~fedswarm.swarm.neighbour.UNDER_WAY_S`.
    """
    if verdict is not Verdict.DUPLICATE and not neighbour.may_think_wanted(event.key, now_s):
        neighbour.strays += 1
        return f"sent {neighbour.strays} chunks that nobody wants" if neighbour.strays > STRAYS_FORGIVEN else None
    if content is None:
        return None
    chunk = event.key, event.index
    repeats = neighbour.repeats[chunk] = neighbour.repeats.get(chunk, 0) + 1
    return f"sent chunk {event.index} of {event.key} {repeats} times in vain" if repeats > REPEATS_FORGIVEN else None
