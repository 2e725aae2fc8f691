"""Links that the topology has no longer, and how they end.

Topologies change while peers come and go, and links are made for errands, too: to fetch from somebody far, or to find
company while all trackers are away. So a link ends when *both* sides can do without it. A side can, and says so
(RELEASE), when

1. all trackers that it hears know the whole job, and none names the neighbour. With no tracker left nothing ends;
2. links with all whom they do name stand, and were named a while ago. As long as one of them is missing, any other link
   may be what holds the swarm together;
3. the link has been of no use for a while: nobody owes anybody chunks, no fetch is from this neighbour itself, and it
   is not the only one to hold a missing chunk. A link sought for an errand stays longer, for another may follow.

When that changes before the other side can do without it, too, the word is taken back (RETAIN). Who has said RELEASE
and hears it hangs up and seeks the neighbour no longer. Whoever does not know of a change yet thus holds on to the
link, and nobody redials one that ended, for neither side had a reason to keep it. Should a reason come up while the
last RELEASE is under way, its link breaks like any other, and is sought again like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fedswarm.swarm.agenda import Intention
from fedswarm.swarm.messages import Release, Retain
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.state import State

PART: Final = Intention("part")
PART_EVERY_S: Final = 1.0


class Parting:
    """Part of a :class:`~fedswarm.swarm.peer.Peer`.

    Args:
        state: what the parts share.
        is_of_use: whether something is under way on a link, or may only come by it.
        is_errand: whether we sought a link for a reason of its own.
    """

    def __init__(self, state: State, is_of_use: Callable[[Neighbour], bool], is_errand: Callable[[str], bool]) -> None:
        self._state = state
        self._is_of_use = is_of_use
        self._is_errand = is_errand
        self._arranged: frozenset[str] | None = None
        self._arranged_s = 0.0

    def arranged(self, neighbours: frozenset[str] | None) -> None:
        """Whom the topology links us with from now on; ``None`` when nobody can say."""
        self._arranged, self._arranged_s = neighbours, self._state.now_s
        self.review()

    def link_up(self) -> None:
        """A link stands, perhaps a superfluous one, or the last of those that others wait for."""
        if self._arranged is not None:
            self._state.agenda.put_unless_earlier(self._state.now_s + PART_EVERY_S, PART)

    def review(self) -> list[str]:
        """Tells neighbours whether we can do without them; returns those who can do without us, too."""
        state, over = self._state, []
        for neighbour in state.neighbours.values():
            spare = self._is_spare(neighbour)
            if spare != neighbour.released_here:
                neighbour.released_here = spare
                state.say(neighbour, Release() if spare else Retain())
            if spare and neighbour.released_there:
                over.append(neighbour.name)
        if self._arranged is not None and any(name not in self._arranged for name in state.neighbours):
            state.agenda.put_unless_earlier(state.now_s + PART_EVERY_S, PART)
        return over

    def _is_spare(self, neighbour: Neighbour) -> bool:
        state, limits, named = self._state, self._state.limits, self._arranged
        if named is None or neighbour.name in named:
            return False
        if self._is_of_use(neighbour):
            neighbour.used_s = state.now_s
            return False
        patience_s = limits.errand_s if self._is_errand(neighbour.name) else limits.part_after_s
        idle_s = state.now_s - max(neighbour.linked_s, neighbour.used_s)
        unchanged_s = state.now_s - self._arranged_s
        stands = bool(named) and all(name in state.neighbours for name in named)
        return stands and idle_s >= patience_s and unchanged_s >= limits.part_after_s

    def heard_release(self, neighbour: Neighbour) -> bool:
        """A neighbour can do without us; whether that ends the link."""
        neighbour.released_there = True
        return neighbour.released_here

    def heard_retain(self, neighbour: Neighbour) -> None:
        """A neighbour needs us after all."""
        neighbour.released_there = False
