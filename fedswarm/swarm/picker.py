"""Which chunk to ask a holder for. The rules, in the order they are weighed:

1. Only chunks that are not held, not asked for already, and known to be held by whom we ask.
2. *Ownership.* Of the peers that fetch the same weights, one owns each chunk (:mod:`~fedswarm.swarm.ownership`). The
   owner takes it from the publisher, the others take it from peers: so the publisher uploads about one copy in all.
3. The publisher is asked for a chunk of another owner only when nobody that answers holds it and the owner is gone or
   late; lateness moves ownership (:meth:`~fedswarm.swarm.exchange.Exchange`), so rule 2 covers it.
4. *Rarest first*: the chunk held by the fewest peers, since what one peer holds may leave with it.
5. Ties are broken by keyed random numbers, different at each peer, so that neighbours fetch different chunks and have
   something to exchange.
6. *Balance*: the least loaded holder picks first, and none is asked for more than its window of bytes.
7. *End game*: when every missing chunk has been asked for, one that keeps us waiting much longer than its holder
   usually does is asked of one other peer. Never of a third, never of the publisher.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedswarm.swarm.download import Download


def pick_from_peer(download: Download, peer: str) -> int | None:
    """The chunk to ask a peer for, or ``None``."""
    member = download.members.get(peer)
    if member is None or not member.counted:
        return None
    return _rarest(download, member.held.bits & download.unrequested)


def pick_from_publisher(download: Download) -> int | None:
    """The chunk to ask the publisher for, or ``None``."""
    return _rarest(download, download.unrequested & download.owned & (download.rarity == 0))


def _rarest(download: Download, wanted: NDArray[np.bool_]) -> int | None:
    candidates = np.flatnonzero(wanted)
    if len(candidates) == 0:
        return None
    return int(candidates[np.argmin(download.rarity[candidates] + download.ties[candidates])])
