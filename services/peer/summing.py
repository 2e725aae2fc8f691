"""Adding up a run of chunks that several peers publish, as the chunks arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.slice_sum import SliceSum
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


def check_parts(parts: Sequence[Part], run: range) -> Manifest:
    """The common shape of contributions; raises :class:`WireError` unless they can be added up chunk by chunk."""
    if not parts:
        raise WireError("a sum of no contributions was asked for")
    first = parts[0].manifest
    for part in parts:
        manifest = part.manifest
        same = (manifest.total_bytes, manifest.chunk_bytes) == (first.total_bytes, first.chunk_bytes)
        if manifest.dtype != SUM_DTYPE or not same or manifest.schema_hash != first.schema_hash:
            raise WireError(f"{manifest.key} and {first.key} cannot be added up: they differ in type, size or chunks")
    if len(run) < 1 or not 0 <= run[0] <= run[-1] < first.chunks:
        raise WireError(f"chunks {run.start} to {run.stop - 1} of {first.key}, which has {first.chunks}")
    return first


async def sum_slice(
    node: PeerNode,
    parts: Sequence[Part],
    run: range,
    *,
    own: Mapping[str, NDArray[np.float64]] | None = None,
    on_final: OnFinal | None = None,
) -> NDArray[np.float64]:
    """The sum of chunks ``run`` over all parts; each is fetched from its publisher alone and added as it comes.

    Args:
        node: fetches.
        parts: the contributions, all cut alike (:func:`check_parts`).
        run: the chunks to add up.
        own: whole vectors of contributors that this process is itself, which are not fetched.
        on_final: is given each chunk's index and sum as soon as all contributed to it.

    Raises :class:`~fedswarm.errors.FedswarmError` when a contribution cannot be had.
    """
    shape = check_parts(parts, run)
    own = own or {}
    total = SliceSum(shape, run, [part.contributor for part in parts])

    def add(contributor: str, index: int, payload: bytes | memoryview) -> None:
        chunk = total.add(contributor, index, payload)
        if chunk is not None and on_final is not None:
            on_final(index, chunk)

    async def fetch(part: Part) -> None:
        def sink(index: int, payload: bytes | memoryview) -> None:
            add(part.contributor, index, payload)

        await node.fetch(part.manifest, part.target, swarm=False, indices=run, sink=sink)

    for contributor, vector in own.items():
        view = vector.data.cast("B")
        for index in run:
            add(contributor, index, view[shape.range(index)])
    async with asyncio.TaskGroup() as fetches:
        for part in parts:
            if part.contributor not in own:
                fetches.create_task(fetch(part))
    return total.vector
