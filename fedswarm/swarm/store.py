"""Where chunks live: encoded frames to serve, and the buffer a fetch assembles in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import Key, Manifest, bytes_of
from fedswarm.swarm.wire import decode_frame, encode_frame


class Assembly:
    """One preallocated buffer into which chunks are copied where they belong, in any order."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._buffer = np.empty(manifest.total_bytes, dtype=np.uint8)

    def write(self, index: int, payload: memoryview) -> None:
        """Copies a verified chunk into place."""
        self._buffer[self._manifest.range(index)] = np.frombuffer(payload, dtype=np.uint8)

    def vector(self) -> NDArray[Any]:
        """The flat vector in the manifest's element type, sharing the buffer."""
        return self._buffer.view(self._manifest.element)


class ChunkStore:
    """The frames this peer can serve, by key and index.

    A relay keeps frames exactly as they came, so passing one on copies nothing. A source keeps a view of the weights
    and makes each frame when it is first asked for, once.
    """

    def __init__(self) -> None:
        self._sets: dict[Key, _Served] = {}

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
        present = self._sets.get(manifest.key)
        if present is not None and present.manifest.root != manifest.root:
            raise WireError(f"{manifest.key} is published already with other weights: forget it first")
        self._sets[manifest.key] = _Served(manifest, payload)

    def relay(self, manifest: Manifest) -> None:
        """Makes room for the frames of somebody else's weights."""
        self._sets.setdefault(manifest.key, _Served(manifest, None))

    def keep(self, key: Key, index: int, frame: bytes) -> None:
        """Keeps a verified frame as it was received; without :meth:`relay` before, it is not kept."""
        served = self._sets.get(key)
        if served is not None:
            served.frames[index] = frame

    def frame(self, key: Key, index: int) -> bytes | None:
        """The encoded frame of a chunk, or ``None`` if it is not held."""
        served = self._sets.get(key)
        return None if served is None else served.frame(index)

    def whole(self, manifest: Manifest) -> NDArray[Any] | None:
        """A new vector of exactly these weights, if every chunk is held."""
        served = self._sets.get(manifest.key)
        if served is None or served.manifest.root != manifest.root:
            return None
        assembly = Assembly(manifest)
        for index in range(manifest.chunks):
            frame = served.frame(index)
            if frame is None:
                return None
            assembly.write(index, decode_frame(frame).payload)
        return assembly.vector()

    def forget(self, key: Key) -> None:
        """Drops a set of weights, if held."""
        self._sets.pop(key, None)

    def keys(self) -> list[Key]:
        """What is held, wholly or in part."""
        return list(self._sets)


class _Served:
    """One set of weights being served; ``data`` is there only at its source."""

    def __init__(self, manifest: Manifest, data: memoryview | None) -> None:
        self.manifest = manifest
        self.frames: dict[int, bytes] = {}
        self._data = data

    def frame(self, index: int) -> bytes | None:
        frame = self.frames.get(index)
        if frame is None and self._data is not None and 0 <= index < self.manifest.chunks:
            frame = encode_frame(self.manifest.key, index, self._data[self.manifest.range(index)])
            self.frames[index] = frame
        return frame
