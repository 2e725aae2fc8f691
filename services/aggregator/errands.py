"""What executors were asked to publish, and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from fedswarm.errors import FedswarmError, RunFailedError
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.wire import manifest_from_proto
from fedswarm.v1 import common_pb2

T = TypeVar("T")


class Errand(NamedTuple):
    """Something an executor was asked to publish: an order, or (``first_chunk`` not None) its slice of a sum."""

    executor: str
    order_id: int
    first_chunk: int | None = None


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(frozen=True)
class Answer:
    """What an executor says of one errand: that it published something, that it cannot do it, or first one then the
    other."""

    published: asyncio.Future[Manifest] = field(default_factory=_future)
    failed: asyncio.Future[str] = field(default_factory=_future)

    async def manifest(self) -> Manifest:
        """What was published; raises :class:`FedswarmError` for a failure or a broken manifest."""
        await self._first(self.published)
        if not self.published.done():
            raise RunFailedError(self.failed.result())
        return self.published.result()

    async def unless_it_fails(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` gives; cut short by :class:`RunFailedError` when the executor says that it failed."""
        working = asyncio.create_task(work)
        try:
            await self._first(working)
            if not working.done():
                raise RunFailedError(self.failed.result())
            return working.result()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _first(self, work: asyncio.Future[Any]) -> None:
        """Waits for work or the failure."""
        either: list[asyncio.Future[Any]] = [work, self.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)


class Errands:
    """All errands under way."""

    def __init__(self) -> None:
        self._waiting: dict[Errand, Answer] = {}

    @contextmanager
    def awaited(self, errand: Errand) -> Iterator[Answer]:
        """Takes the answer to an errand within the block."""
        answer = self._waiting[errand] = Answer()
        try:
            yield answer
        finally:
            del self._waiting[errand]

    def published(self, errand: Errand, message: common_pb2.Manifest) -> None:
        """An executor published what it was asked for; what nobody waits for any more is ignored."""
        answer = self._waiting.get(errand)
        if answer is None or answer.published.done():
            return
        try:
            answer.published.set_result(manifest_from_proto(message))
        except FedswarmError as error:
            answer.published.set_exception(error)

    def failed(self, errand: Errand, reason: str) -> None:
        """An executor could not do it."""
        answer = self._waiting.get(errand)
        if answer is not None and not answer.failed.done():
            answer.failed.set_result(reason)
