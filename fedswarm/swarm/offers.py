"""Word of what is published, passed on from neighbour to neighbour until everybody has heard it once."""

from __future__ import annotations

from fedswarm.errors import WireError
from fedswarm.swarm.instructions import Offered
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import Offer
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.state import State


class Offers:
    """Part of a :class:`~fedswarm.swarm.peer.Peer`; manifests of other jobs than ``job`` are refused.

    What is known is bounded. When it is full the oldest round gives way, and an older one is not taken in: whatever
    gave way once stays out, so that no offer goes round and round.
    """

    def __init__(self, state: State, job: str) -> None:
        self._state = state
        self._job = job
        self._known: dict[Key, Manifest] = {}

    def make(self, manifest: Manifest) -> None:
        """Tells all neighbours, and those to come, of what is published here."""
        self._pass_on(manifest, but="")

    def heard(self, neighbour: Neighbour, manifest: Manifest) -> None:
        """A neighbour tells of weights: those for neighbours go no further, all others are passed on.

        Raises :class:`WireError` for weights of another job, and for others' weights that are for neighbours only.
        """
        if manifest.job != self._job:
            raise WireError(f"it offers weights of job {manifest.job!r}, this is {self._job!r}")
        if manifest.key in self._known or manifest.publisher == self._state.me.peer:
            return
        if manifest.key.is_for_neighbours:
            if manifest.publisher != neighbour.name:
                raise WireError(f"it passes on {manifest.key}, which is for the neighbours of its publisher")
        elif not self._make_room(manifest.key):
            return
        else:
            self._pass_on(manifest, but=neighbour.name)
        self._state.out.append(Offered(manifest, neighbour.name))

    def _make_room(self, key: Key) -> bool:
        if len(self._known) >= self._state.limits.most_offers:
            oldest = min(self._known)
            if key < oldest:
                return False
            del self._known[oldest]
        return True

    def link_up(self, neighbour: Neighbour) -> None:
        """A new neighbour hears of everything."""
        for manifest in self._known.values():
            self._tell(neighbour, manifest)

    def forget(self, key: Key) -> None:
        """Newcomers are not told of these weights any more."""
        self._known.pop(key, None)

    def _pass_on(self, manifest: Manifest, but: str) -> None:
        self._known[manifest.key] = manifest
        for neighbour in self._state.neighbours.values():
            if neighbour.name != but:
                self._tell(neighbour, manifest)

    def _tell(self, neighbour: Neighbour, manifest: Manifest) -> None:
        if neighbour.name != manifest.publisher:
            self._state.say(neighbour, Offer(manifest))
