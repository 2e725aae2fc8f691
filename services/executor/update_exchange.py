"""A peer's side of exchanges: hears of others' weights, fetches them into a mean, publishes its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Set

from fedswarm.errors import FedswarmError
from fedswarm.models.layout import Vector
from fedswarm.rounds.collected_updates import CollectedUpdates
from fedswarm.rounds.peer_exchange import FetchEnd
from fedswarm.rounds.peer_manifests import PeerManifests
from fedswarm.rounds.peer_steps import FetchEnded, ModelFetched, ModelLost, ModelOffered, PeerEvent, UpdateOffered
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import Key, Manifest
from services.peer.node import PeerNode

log = logging.getLogger(__name__)


class UpdateExchange:
    """What one peer knows of the others' manifests, and the mean that their weights go into.

    Args:
        node: this peer's.
        manifests: how weights are named in the job.
        last_exchange: what is offered for later ones is nonsense.
        weigh: what an update counts that was trained on so many samples.
        refuse: is told once of each peer whose offers do not fit the job, and why.
    """

    def __init__(
        self,
        node: PeerNode,
        manifests: PeerManifests,
        last_exchange: int,
        weigh: Callable[[int], int],
        refuse: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._manifests = manifests
        self._last_exchange = last_exchange
        self._weigh = weigh
        self._refuse = refuse
        self._heard: dict[Key, Manifest] = {}
        self._refused: set[str] = set()
        self._by_peers = manifests.update_suffix == ""
        self.collected: CollectedUpdates | None = None

    def heard(self, manifest: Manifest) -> PeerEvent | None:
        """What an offer says, if it concerns this job's exchanges and fits."""
        is_update = self._manifests.is_update(manifest)
        peer = manifest.publisher
        if peer in self._refused or manifest.round > self._last_exchange:
            return None
        if not is_update and not self._manifests.is_model(manifest):
            return None
        complaint = self._manifests.complaint(manifest)
        if complaint is not None:
            self._refused.add(peer)
            self._refuse(peer, complaint)
            return None
        self._heard[manifest.key] = manifest
        if is_update:
            return UpdateOffered(peer, manifest.round, self._weigh(manifest.sample_count))
        return ModelOffered(peer, manifest.round, self._manifests.is_lasting(manifest))

    def forget_before(self, exchange: int, lasting: Set[int]) -> None:
        """Nothing of earlier exchanges is offered, served or fetched any more, but this peer's ``lasting`` models."""
        kept = {self._manifests.model_key(self._manifests.peer, earlier, lasts=True) for earlier in lasting}
        self._node.forget_before(exchange, kept)
        self._heard = {key: manifest for key, manifest in self._heard.items() if key.round >= exchange}

    def offer_model(self, manifest: Manifest, model: Vector) -> None:
        """Offers the model with which this peer begins an exchange to neighbours that are behind."""
        self._node.publish(manifest, model, spreading=Spreading.ANSWER, offer=True)

    def publish(self, manifest: Manifest, own: Vector, collected: CollectedUpdates | None) -> None:
        """Offers one's own weights; those of others go into ``collected`` from now on."""
        self.collected = collected
        spreading = Spreading.SEED if self._by_peers and collected is not None else Spreading.ANSWER
        self._node.publish(manifest, own, spreading=spreading, offer=True)

    async def fetch_update(self, peer: str, exchange: int, weight: int | None, deadline_s: float) -> FetchEnded:
        """Fetches what is lacking of a peer's weights; they count ``weight``, or by their samples."""
        manifest = self._heard[self._manifests.update_key(peer, exchange)]
        collected = self.collected
        assert collected is not None, "weights are fetched once one's own are published"
        sink = collected.sink(peer, self._weigh(manifest.sample_count) if weight is None else weight)
        indices = collected.missing(peer)
        try:
            fetched = await self._node.fetch(
                manifest, swarm=self._by_peers, indices=indices, deadline_s=deadline_s, sink=sink
            )
        except FedswarmError as error:
            log.warning("the weights of peer %s for exchange %d: %s", peer, exchange, error)
            return FetchEnded(peer, exchange, FetchEnd.FAILED)
        return FetchEnded(peer, exchange, FetchEnd.COMPLETE if fetched.complete else FetchEnd.EXPIRED)

    async def fetch_model(
        self, peer: str, exchange: int, deadline_s: float
    ) -> tuple[ModelFetched | ModelLost, Vector | None]:
        """Fetches the model of a neighbour; ``None`` if it cannot be had by the deadline."""
        keys = (self._manifests.model_key(peer, exchange, lasts=lasts) for lasts in (False, True))
        manifest = next((self._heard[key] for key in keys if key in self._heard), None)
        try:
            if manifest is not None:
                fetched = await self._node.fetch(manifest, swarm=False, deadline_s=deadline_s)
                if fetched.complete:
                    return ModelFetched(peer, exchange), fetched.vector
        except FedswarmError as error:
            log.warning("the model of peer %s at exchange %d: %s", peer, exchange, error)
        return ModelLost(peer, exchange), None
