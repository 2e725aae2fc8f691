"""Where chunks live: one buffer for each set of weights, of which frames are made when they are sent."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import WireError
from fedswarm.swarm.chunks import MIB
from fedswarm.swarm.frame import encode_frame
from fedswarm.swarm.manifest import Key, Manifest, bytes_of

_REMEMBERED_BYTES: Final = MIB


class Holding:
    """What is held of one set of weights: a flat buffer, and which of its chunks are in place, ``held``.

    The buffer of chunks that are not in place costs no memory before they come.
    """

    def __init__(self, manifest: Manifest, data: NDArray[Any] | None = None) -> None:
        self.manifest = manifest
        self.held = np.full(manifest.chunks, data is not None)
        # NumPy asks for huge pages for what is empty, not for zeros: touching them costs a tenth.
        self._array = (
            np.empty(manifest.total_bytes // manifest.element.itemsize, manifest.element) if data is None else data
        )
        self._bytes = self._array.data.cast("B")

    def put(self, index: int, payload: bytes | memoryview) -> None:
        """Copies a verified chunk to its place."""
        self._bytes[self.manifest.range(index)] = payload
        self.held[index] = True

    def payload(self, index: int) -> memoryview | None:
        """The bytes of a chunk, not copied, or ``None`` if it is not held."""
        if not 0 <= index < self.manifest.chunks or not self.held[index]:
            return None
        return self._bytes[self.manifest.range(index)].toreadonly()

    def vector(self, *, writable: bool) -> NDArray[Any]:
        """The flat vector in the manifest's element type, sharing the buffer; what is missing is zero."""
        for index in np.flatnonzero(~self.held).tolist():
            self._bytes[self.manifest.range(index)] = bytes(self.manifest.chunk_size(index))
        view = self._array.view()
        view.flags.writeable = writable
        return view


class ChunkStore:
    """All weights that this peer can serve, wholly or in part."""

    def __init__(self) -> None:
        self._holdings: dict[Key, Holding] = {}
        self._lately: OrderedDict[tuple[Key, int, bool], bytes] = OrderedDict()
        self._lately_bytes = 0

    def publish(self, manifest: Manifest, data: NDArray[Any]) -> None:
        """Serves ``data`` (not copied: leave it unchanged until forgotten) as the source.

        Raises :class:`WireError` when the vector does not fit its manifest or the key serves other weights.
        """
        payload = bytes_of(data)
        if payload.nbytes != manifest.total_bytes or data.dtype.name != manifest.dtype:
            raise WireError(
                f"{manifest.key}: {payload.nbytes} bytes of {data.dtype} do not fit a manifest of "
                f"{manifest.total_bytes} bytes of {manifest.dtype}"
            )
        self._check_same(manifest)
        self._holdings[manifest.key] = Holding(manifest, data)

    def open(self, manifest: Manifest) -> Holding:
        """A place for chunks that come one by one, or what is there of them already.

        Raises :class:`WireError` when the key serves other weights.
        """
        self._check_same(manifest)
        if manifest.key not in self._holdings:
            self._holdings[manifest.key] = Holding(manifest)
        return self._holdings[manifest.key]

    def get(self, key: Key) -> Holding | None:
        """What is held of these weights."""
        return self._holdings.get(key)

    def frame(self, key: Key, index: int, relay: bool) -> bytes | None:
        """The encoded frame of a chunk, or ``None`` if it is not held.

        The last ones made are remembered, because a relay sends the same frames to everybody, one after the other.
        """
        name = (key, index, relay)
        if name in self._lately:
            return self._lately[name]
        holding = self._holdings.get(key)
        payload = None if holding is None else holding.payload(index)
        if payload is None:
            return None
        frame = self._lately[name] = encode_frame(key, index, relay, payload)
        self._lately_bytes += len(frame)
        while self._lately_bytes > _REMEMBERED_BYTES and len(self._lately) > 1:
            self._lately_bytes -= len(self._lately.popitem(last=False)[1])
        return frame

    def chunk_size(self, key: Key, index: int) -> int:
        """Bytes in a chunk of weights that are held in part at least."""
        return self._holdings[key].manifest.chunk_size(index)

    def forget(self, key: Key) -> None:
        """Drops a set of weights, if held."""
        self._holdings.pop(key, None)
        self._lately.clear()
        self._lately_bytes = 0

    def keys(self) -> list[Key]:
        """What is held, wholly or in part."""
        return list(self._holdings)

    def _check_same(self, manifest: Manifest) -> None:
        present = self._holdings.get(manifest.key)
        if present is not None and present.manifest.root != manifest.root:
            raise WireError(f"{manifest.key} is held already with other weights: forget it first")
