"""Weights that are published while they are still being made."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from fedswarm.errors import WireError
from fedswarm.swarm.events import BecameFinal
from fedswarm.swarm.store import Holding


class Growing:
    """A publication whose chunks become final one by one, in any order."""

    def __init__(self, holding: Holding, feed: Callable[[BecameFinal], None]) -> None:
        self._holding = holding
        self._feed = feed

    def finish(self, index: int, payload: bytes | memoryview) -> None:
        """Publishes a chunk (copied); from now on others can fetch it.

        Raises :class:`WireError` for a chunk that does not exist, has another size, or is final already.
        """
        manifest = self._holding.manifest
        if not 0 <= index < manifest.chunks or len(payload) != manifest.chunk_size(index):
            raise WireError(
                f"{len(payload)} bytes are not chunk {index} of {manifest.key}, which has {manifest.chunks}"
            )
        if self._holding.held[index]:
            raise WireError(f"chunk {index} of {manifest.key} is final already")
        self._holding.put(index, payload)
        self._feed(BecameFinal(manifest.key, index, blake3(payload).digest()))
