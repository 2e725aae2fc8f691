"""Adding up chunks that several peers publish, as the chunks arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import FedswarmError, WireError
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import Manifest, growing_manifest
from fedswarm.swarm.slice_sum import SliceSum, slice_bytes
from services.peer.node import PeerNode

SUM_DTYPE: Final = "float64"

OnFinal: TypeAlias = Callable[[int, NDArray[np.float64]], None]


@dataclass(frozen=True)
class Part:
    """One contribution to a sum: a vector that its publisher serves at ``target``."""

    manifest: Manifest
    target: str

    @property
    def contributor(self) -> str:
        """Whose it is."""
        return self.manifest.publisher


def check_parts(parts: Sequence[Part], chunks: Sequence[int]) -> Manifest:
    """The common shape of contributions, of which ``chunks`` are to be added up.

    Raises :class:`WireError` unless there is one of each contributor, all are cut alike, and the chunks ascend.
    """
    if not parts:
        raise WireError("a sum of no contributions was asked for")
    first = parts[0].manifest
    for part in parts:
        manifest = part.manifest
        same = (manifest.total_bytes, manifest.chunk_bytes) == (first.total_bytes, first.chunk_bytes)
        if manifest.dtype != SUM_DTYPE or not same or manifest.schema_hash != first.schema_hash:
            raise WireError(f"{manifest.key} and {first.key} cannot be added up: they differ in type, size or chunks")
    names = [part.contributor for part in parts]
    if len(set(names)) < len(names):
        raise WireError(f"a sum has one contribution of each peer, these are from {', '.join(names)}")
    if len(chunks) < 1 or not 0 <= chunks[0] <= chunks[-1] < first.chunks:
        raise WireError(f"chunks {list(chunks)} of {first.key}, which has {first.chunks}")
    if any(after <= before for before, after in pairwise(chunks)):
        raise WireError(f"chunks {list(chunks)} of {first.key} are to be in ascending order, each once")
    return first


def slice_manifest(shape: Manifest, chunks: Sequence[int], source: str) -> Manifest:
    """What the sum of some chunks of vectors like ``shape`` is published as: these chunks one after the other."""
    return growing_manifest(
        slice_bytes(shape, chunks) // 8,
        SUM_DTYPE,
        job=shape.job,
        round_index=shape.round,
        source=source,
        schema_hash=shape.schema_hash,
        chunk_bytes=shape.chunk_bytes,
    )


async def sum_slice(
    node: PeerNode,
    parts: Sequence[Part],
    chunks: Sequence[int],
    *,
    own: Mapping[str, NDArray[np.float64]] | None = None,
    on_final: OnFinal | None = None,
) -> NDArray[np.float64]:
    """The sum of some chunks over all parts; each is fetched from its publisher alone and added as it comes.

    Args:
        node: fetches; one slice of the same parts at a time.
        parts: the contributions, all cut alike (:func:`check_parts`).
        chunks: those to add up, ascending; the result has them one after the other.
        own: whole vectors of contributors that this process is itself, which are not fetched.
        on_final: is given each chunk's index and sum as soon as all contributed to it.

    Raises the first :class:`~fedswarm.errors.FedswarmError` by which a contribution cannot be had.
    """
    shape = check_parts(parts, chunks)
    own = own or {}
    total = SliceSum(shape, chunks, [part.contributor for part in parts])

    def add(contributor: str, index: int, payload: bytes | memoryview) -> None:
        chunk = total.add(contributor, index, payload)
        if chunk is not None and on_final is not None:
            on_final(index, chunk)

    async def fetch(part: Part) -> None:
        def sink(index: int, payload: bytes | memoryview) -> None:
            add(part.contributor, index, payload)

        await node.fetch(part.manifest, part.target, swarm=False, indices=chunks, sink=sink)

    for contributor, vector in own.items():
        view = vector.data.cast("B")
        for index in chunks:
            add(contributor, index, view[shape.range(index)])
    try:
        async with asyncio.TaskGroup() as fetches:
            for part in parts:
                if part.contributor not in own:
                    fetches.create_task(fetch(part))
    except* FedswarmError as errors:
        failure = errors.exceptions[0]
    else:
        return total.vector
    raise failure


async def publish_slice(
    node: PeerNode,
    manifest: Manifest,
    parts: Sequence[Part],
    chunks: Sequence[int],
    *,
    own: Mapping[str, NDArray[np.float64]] | None = None,
    on_final: OnFinal | None = None,
) -> None:
    """Serves the sum of some chunks as ``manifest`` (:func:`slice_manifest`), each chunk from when it is final.

    Arguments and errors are those of :func:`sum_slice`.
    """
    result = node.grow(manifest, spreading=Spreading.SCATTER)
    place = {index: position for position, index in enumerate(chunks)}

    def publish(index: int, chunk: NDArray[np.float64]) -> None:
        result.finish(place[index], chunk.data.cast("B"))
        if on_final is not None:
            on_final(index, chunk)

    await sum_slice(node, parts, chunks, own=own, on_final=publish)
