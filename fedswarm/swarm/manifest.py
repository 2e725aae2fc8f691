"""The manifest: what a set of weights is made of, by which any chunk of it can be verified, whoever relayed it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from fedswarm.errors import IntegrityError, WireError
from fedswarm.swarm.chunks import MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, chunk_bytes_for

DIGEST_BYTES: Final = 32
MAX_TOTAL_BYTES: Final = 64 * 1024**3
MAX_NAME_BYTES: Final = 200
DTYPES: Final = ("float32", "float64")


class Key(NamedTuple):
    """The name of a set of weights inside a job."""

    round: int
    source: str

    @property
    def publisher(self) -> str:
        """The peer that publishes them: ``source`` up to a slash."""
        return self.source.partition("/")[0]

    @property
    def is_for_neighbours(self) -> bool:
        """Whether an offer of them goes no further than the publisher's neighbours: ``source`` has a slash."""
        return "/" in self.source

    def __str__(self) -> str:
        return f"round {self.round} of {self.source!r}"


@dataclass(frozen=True)
class Manifest:
    """One published set of weights: a flat little-endian vector, cut into chunks with a BLAKE3-256 digest each.

    Fields as in ``proto/fedswarm/v1/common.proto``. ``root`` covers all other fields, so two equal roots mean the same
    weights and two peers can compare one digest.

    Without ``digests`` the weights are still being made, chunk by chunk: their publisher tells each digest when the
    chunk is final (:class:`~fedswarm.swarm.messages.Final`), and nobody else's word counts.
    """

    job: str
    round: int
    source: str
    schema_hash: str
    dtype: str
    total_bytes: int
    chunk_bytes: int
    digests: tuple[bytes, ...]
    root: bytes = b""
    sample_count: int = 0
    importance: bytes = b""

    @cached_property
    def key(self) -> Key:
        """What names these weights in the job."""
        return Key(self.round, self.source)

    @cached_property
    def publisher(self) -> str:
        """The peer that publishes them."""
        return self.key.publisher

    @cached_property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.total_bytes // self.chunk_bytes)

    @property
    def grows(self) -> bool:
        """Whether digests come one by one, as chunks become final."""
        return not self.digests

    @cached_property
    def element(self) -> np.dtype[Any]:
        """The element type, little endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    def range(self, index: int) -> slice:
        """The bytes of the whole that chunk ``index`` covers."""
        start = index * self.chunk_bytes
        return slice(start, min(start + self.chunk_bytes, self.total_bytes))

    def chunk_size(self, index: int) -> int:
        """Bytes in chunk ``index``; only the last one may be short."""
        where = self.range(index)
        return int(where.stop - where.start)

    def verify(self, index: int, payload: bytes | memoryview, digest: bytes | None = None) -> bool:
        """Whether ``payload`` is chunk ``index``, byte for byte; ``digest`` is the publisher's word if they grow."""
        if not 0 <= index < self.chunks or len(payload) != self.chunk_size(index):
            return False
        expected = digest if self.grows else self.digests[index]
        return expected is not None and blake3(payload).digest() == expected

    def check(self) -> None:
        """Raises :class:`WireError` for a manifest beyond bounds, :class:`IntegrityError` for a wrong root."""
        for fault in self._faults():
            raise WireError(f"manifest of {self.key}: {fault}")
        if self.root != _root(self):
            raise IntegrityError(
                f"manifest of {self.key}: its root {self.root.hex() or 'is empty and'} does not cover its fields; "
                "it was altered on the way"
            )

    def _faults(self) -> Iterator[str]:
        for field in ("job", "source", "schema_hash"):
            size = len(getattr(self, field).encode())
            if size > MAX_NAME_BYTES or (size == 0 and field != "schema_hash"):
                yield f"{field} has {size} bytes, allowed are 1 to {MAX_NAME_BYTES}"
        if not self.publisher:
            yield "source names no peer before the slash"
        if not (0 <= self.round < 2**32 and 0 <= self.sample_count < 2**64):
            yield f"round {self.round} or sample count {self.sample_count} is out of range"
        if self.dtype not in DTYPES:
            yield f"dtype {self.dtype!r} is none of {', '.join(DTYPES)}"
            return
        if not MIN_CHUNK_BYTES <= self.chunk_bytes <= MAX_CHUNK_BYTES or self.chunk_bytes % 8:
            yield f"chunk_bytes {self.chunk_bytes} is not a multiple of 8 in {MIN_CHUNK_BYTES}..{MAX_CHUNK_BYTES}"
            return
        if not 0 < self.total_bytes <= MAX_TOTAL_BYTES or self.total_bytes % self.element.itemsize:
            yield f"total_bytes {self.total_bytes} is no number of {self.dtype} up to {MAX_TOTAL_BYTES} bytes"
            return
        if len(self.digests) not in (0, self.chunks) or any(len(digest) != DIGEST_BYTES for digest in self.digests):
            yield f"{len(self.digests)} digests for {self.chunks} chunks of {DIGEST_BYTES}-byte digests"
        if len(self.importance) not in (0, self.chunks):
            yield f"{len(self.importance)} importance values for {self.chunks} chunks"


def build_manifest(
    data: NDArray[Any],
    *,
    job: str,
    round_index: int,
    source: str,
    schema_hash: str,
    chunk_bytes: int | None = None,
    sample_count: int = 0,
    importance: bytes = b"",
) -> Manifest:
    """The manifest of a flat, contiguous float32 or float64 vector.

    Hashes all of ``data`` (about 6 GB/s a core): run it off the event loop when the vector is large. ``chunk_bytes``
    follows the size when absent. Raises :class:`WireError` for what no peer would accept.
    """
    payload = bytes_of(data)
    size = chunk_bytes or chunk_bytes_for(payload.nbytes)
    draft = Manifest(
        job=job,
        round=round_index,
        source=source,
        schema_hash=schema_hash,
        dtype=data.dtype.name,
        total_bytes=payload.nbytes,
        chunk_bytes=size,
        digests=tuple(blake3(payload[at : at + size]).digest() for at in range(0, payload.nbytes, size)),
        sample_count=sample_count,
        importance=importance,
    )
    return _sealed(draft)


def growing_manifest(
    elements: int,
    dtype: str,
    *,
    job: str,
    round_index: int,
    source: str,
    schema_hash: str,
    chunk_bytes: int | None = None,
    sample_count: int = 0,
) -> Manifest:
    """The manifest of ``elements`` numbers that are still to be made; raises :class:`WireError` as above."""
    total_bytes = elements * np.dtype(dtype).itemsize
    return _sealed(
        Manifest(
            job=job,
            round=round_index,
            source=source,
            schema_hash=schema_hash,
            dtype=dtype,
            total_bytes=total_bytes,
            chunk_bytes=chunk_bytes or chunk_bytes_for(total_bytes),
            digests=(),
            sample_count=sample_count,
        )
    )


def _sealed(draft: Manifest) -> Manifest:
    manifest = replace(draft, root=_root(draft))
    manifest.check()
    return manifest


def bytes_of(data: NDArray[Any]) -> memoryview:
    """The bytes of a flat, contiguous, little-endian float vector, without a copy; raises :class:`WireError`."""
    if data.dtype.name not in DTYPES or not data.dtype.isnative or not data.flags.c_contiguous or data.ndim != 1:
        raise WireError(
            f"cannot publish an array of shape {data.shape} and type {data.dtype}: "
            "give a flat contiguous float32 or float64 vector"
        )
    if data.size == 0:
        raise WireError("cannot publish an empty vector: a model has at least one weight")
    return data.data.toreadonly().cast("B")


def _root(manifest: Manifest) -> bytes:
    """BLAKE3-256 over every field but the root, each preceded by its length."""
    hasher = blake3()
    numbers = (manifest.round, manifest.total_bytes, manifest.chunk_bytes, manifest.sample_count)
    texts = (manifest.job, manifest.source, manifest.schema_hash, manifest.dtype)
    parts = [struct.pack("<4Q", *numbers), *(text.encode() for text in texts)]
    for part in (*parts, b"".join(manifest.digests), manifest.importance):
        hasher.update(struct.pack("<Q", len(part)))
        hasher.update(part)
    return hasher.digest()
