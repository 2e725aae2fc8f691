"""Which chunk to ask a neighbour for. The rules, in the order they are weighed:

1. Only chunks that are wanted, not held, not asked for already, verifiable, and held by whom we ask.
2. *Pushed weights*: what somebody is about to send is not asked for; only chunks that a neighbour has held for long
   without anybody pushing them here (:meth:`~fedswarm.swarm.fetching.Fetching`) are.
3. *Rarest first* while there is time: the chunk held by the fewest neighbours, since what one holds may leave with it.
4. *Importance* breaks ties of rarity, and takes over as the deadline nears: the score is
   ``(1 - theta) * rarity rank + theta * importance rank``, theta as in :meth:`~fedswarm.swarm.content.Fetch.urgency`.
5. What is left of ties is broken by keyed random numbers, different at each peer, so that neighbours fetch different
   chunks and have something to exchange. What is fetched from its publisher alone comes in order.
6. *Across sets of weights* the same score decides, so that all sources of a round come in evenly.
7. *Balance*: the least loaded neighbour picks first, and none is asked for more than its window of bytes.
8. *End game*: when nothing else is left to ask for, a chunk that keeps us waiting much longer than its holder usually
   does is asked of one other. Never of a third; whoever loses the race gets a CANCEL.

Do not forget to look at all of them when one changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.content import Content, dense_rank


class Candidate(NamedTuple):
    """A chunk to ask for; the smallest is the one to take."""

    score: float
    tie: float
    chunk: int


def pick(content: Content, peer: str, allowed: NDArray[np.bool_], theta: float) -> Candidate | None:
    """The best chunk of ``allowed`` to ask ``peer`` for, or ``None``; ``theta`` weighs importance against rarity."""
    member = content.members.get(peer)
    if member is None:
        return None
    candidates = np.flatnonzero(member.bits & allowed)
    if len(candidates) == 0:
        return None
    rarity = content.rarity[candidates]
    importance = content.importance_rank[candidates]
    if theta == 0.0:  # importance only breaks ties of rarity
        scores, ties = rarity.astype(np.float64), importance + content.ties[candidates] / content.manifest.chunks
    else:
        scores = (1 - theta) * dense_rank(rarity) + theta * importance
        ties = content.ties[candidates]
    best = int(np.lexsort((ties, scores))[0]) if len(candidates) > 1 else 0
    return Candidate(float(scores[best]), float(ties[best]), int(candidates[best]))
