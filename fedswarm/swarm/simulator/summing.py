"""Sums of vectors that several hosts hold, each adding up some chunks: ``services/peer/all_reduce.py``, simulated.

Vectors are whole numbers as float64, so that a sum has the same bits in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedswarm.randomness import generator
from fedswarm.swarm.events import FetchWanted, Spreading
from fedswarm.swarm.instructions import Completed, Failed
from fedswarm.swarm.manifest import Manifest, build_manifest, growing_manifest
from fedswarm.swarm.simulator.host import Host
from fedswarm.swarm.simulator.world import JOB, Fetch, Weights, World
from fedswarm.swarm.slice_sum import SliceSum
from fedswarm.swarm.slices import ReductionPlan


@dataclass(frozen=True)
class Summation:
    """One sum, and its truth.

    Attributes:
        plan: who adds up which chunks.
        contributions: the vectors that are added, by contributor.
        slices: what each contributor that owns chunks publishes, growing, with the true bytes of the sum.
        total: the true sum of all.
        patience_s: how long a fetch may take.
    """

    plan: ReductionPlan
    contributions: Mapping[str, Weights]
    slices: Mapping[str, Weights]
    total: NDArray[np.float64]
    patience_s: float

    @property
    def shape(self) -> Manifest:
        """How all contributions are cut."""
        return next(iter(self.contributions.values())).manifest

    def place(self, index: int) -> slice:
        """The weights in a chunk."""
        where = self.shape.range(index)
        return slice(where.start // 8, where.stop // 8)


def summation(
    contributors: Collection[str], plan: ReductionPlan, *, chunk_bytes: int, seed: int, patience_s: float
) -> Summation:
    """The sum of vectors of as many chunks as ``plan`` has, the last a little short."""
    count = plan.chunks * chunk_bytes // 8 - 3
    named = {"job": JOB, "round_index": 0, "schema_hash": "00", "chunk_bytes": chunk_bytes}
    vectors = {
        name: generator(seed, 0, f"vector of {name}").integers(-1000, 1000, count).astype(np.float64)
        for name in contributors
    }
    total = np.sum(list(vectors.values()), axis=0)
    contributions = {
        name: Weights(build_manifest(data, source=name, **named), data)  # type: ignore[arg-type]
        for name, data in vectors.items()
    }
    slices = {}
    for name in contributors:
        run = plan.run(name)
        if run:
            data = total[run.start * chunk_bytes // 8 : run.stop * chunk_bytes // 8].copy()
            slices[name] = Weights(
                growing_manifest(len(data), "float64", source=f"{name}/sum", **named),  # type: ignore[arg-type]
                data,
            )
    return Summation(plan, contributions, slices, total, patience_s)


class Member:
    """One host's part in a sum, from when it comes until it has what it wants, or failed.

    It serves its contribution, if it has one, and adds up the chunks it owns, of which others get each as soon as it is
    final. If it ``gathers``, it fetches the chunks of all other owners, and adds up by itself what they do not deliver.
    """

    def __init__(self, world: World, host: Host, task: Summation, *, gathers: bool) -> None:
        self.host = host
        self.ended_s: float | None = None
        self.failure: str | None = None
        self._world = world
        self._task = task
        self._gathers = gathers
        self._total = np.zeros_like(task.total)
        self._missing = set(range(task.plan.chunks) if gathers else task.plan.run(host.name))
        self._fetches: list[Fetch] = []

    def begin(self) -> None:
        """Takes part from now on."""
        task, name = self._task, self.host.name
        self._world.applications.append(self)
        if name in task.contributions:
            self._world.publish(self.host, task.contributions[name], Spreading.SCATTER)
        if name in task.slices:
            self._world.grow(self.host, task.slices[name], Spreading.SCATTER)
        self._add_up(task.plan.run(name), publishes=name in task.slices)
        if self._gathers:
            for owner, weights in task.slices.items():
                if owner != name:
                    first = task.plan.run(owner).start
                    self._fetch(weights.manifest, None, partial(self._take_slice, first), self._go_on)
        self._go_on()

    def fault(self) -> str | None:
        """It must have ended, and if it did not fail, with the very bits of the true sum."""
        if self.ended_s is None:
            return "still takes part in a sum"
        if self.failure is None and self._gathers and self._total.tobytes() != self._task.total.tobytes():
            return "has a wrong sum"
        return None

    # ---- what it fetches ------------------------------------------------------------------------------------------

    def _fetch(
        self,
        manifest: Manifest,
        chunks: Sequence[int] | None,
        sink: Callable[[int, bytes], None],
        then: Callable[[Fetch], None],
    ) -> None:
        indices = None if chunks is None else tuple(chunks)
        event = FetchWanted(manifest, f"{manifest.publisher}:1", swarm=False, indices=indices)
        fetch = self._world.fetch(self.host, event, sink, then)
        self._fetches.append(fetch)
        self._world.timeline.after(self._task.patience_s, self._world.soon, self.host, self._world.give_up, fetch)

    def _add_up(self, chunks: Sequence[int], *, publishes: bool) -> None:
        task = self._task
        if not chunks:
            return
        total = SliceSum(task.shape, chunks, task.contributions)
        for contributor, weights in task.contributions.items():
            sink = partial(self._add, total, contributor, publishes)
            if contributor != self.host.name:
                self._fetch(weights.manifest, chunks, sink, self._contribution_ended)
                continue
            for index in chunks:
                sink(index, weights.chunk(index))

    def _add(self, total: SliceSum, contributor: str, publishes: bool, index: int, payload: bytes) -> None:
        chunk = total.add(contributor, index, payload)
        if chunk is not None:
            self._put(index, chunk)
            if publishes:
                key = self._task.slices[self.host.name].manifest.key
                position = index - self._task.plan.run(self.host.name).start
                self._world.soon(self.host, self._world.finish, self.host, key, position, chunk.tobytes())

    def _take_slice(self, first: int, position: int, payload: bytes) -> None:
        self._put(first + position, np.frombuffer(payload, dtype=np.float64))

    def _put(self, index: int, chunk: NDArray[np.float64]) -> None:
        self._total[self._task.place(index)] = chunk
        self._missing.discard(index)

    # ---- how it ends ----------------------------------------------------------------------------------------------

    def _contribution_ended(self, fetch: Fetch) -> None:
        if not isinstance(fetch.ending, Completed) and self.ended_s is None:
            reason = fetch.ending.reason if isinstance(fetch.ending, Failed) else f"{fetch.key} takes too long"
            self._end(reason)
        self._go_on()

    def _go_on(self, fetch: Fetch | None = None) -> None:
        """Once all that was fetched is there or not to be had, adds up the rest itself."""
        if self.ended_s is not None or any(fetch.is_open for fetch in self._fetches):
            return
        if self._missing:
            self._add_up(sorted(self._missing), publishes=False)
        else:
            self._end(None)

    def _end(self, failure: str | None) -> None:
        self.ended_s, self.failure = self._world.timeline.now_s, failure
        for fetch in self._fetches:
            self._world.give_up(fetch)
