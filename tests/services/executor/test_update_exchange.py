"""Exchanges of two linked nodes over loopback, step by step: nothing here depends on how fast either is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from fedswarm.clock import WallClock
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds.peer_manifests import PeerManifests
from fedswarm.rounds.peer_steps import ModelFetched, ModelOffered
from fedswarm.swarm.events import Introduced
from fedswarm.swarm.messages import Address
from services.executor.update_exchange import UpdateExchange
from services.peer.node import PeerNode
from services.process.server import Server

SIZE = 20_000
LAYOUT = Layout((TensorSpec("w", (SIZE,), True),))
JOB = Job.model_validate({"exchange": {"chunk_kib": 16}})
PATIENCE_S = 30.0


class Party:
    """One node and its exchange; ``offers`` are those heard."""

    def __init__(self, name: str) -> None:
        self.clock = WallClock()
        self.node = PeerNode(name, JOB.job_name, self.clock)
        self.manifests = PeerManifests.of(JOB, name, LAYOUT, np.zeros(SIZE, dtype=np.float32))
        self.exchange = UpdateExchange(self.node, self.manifests, 1000, lambda samples: samples, lambda *_: None)
        self.offers: asyncio.Queue[Any] = asyncio.Queue()
        self.node.on_offer = lambda manifest, _: self.offers.put_nowait(self.exchange.heard(manifest))
        self._server = Server()

    async def start(self) -> str:
        self.node.register(self._server)
        target = f"127.0.0.1:{await self._server.start('127.0.0.1', 0)}"
        await self.node.start(target)
        return target

    def begin(self, exchange: int, *lasting: int) -> None:
        """Goes on to an exchange, with a model that consists of its number."""
        self.exchange.forget_before(exchange - 1, frozenset(lasting))
        model = np.full(SIZE, exchange, dtype=np.float32)
        self.exchange.offer_model(self.manifests.model(exchange, model, lasts=exchange in lasting), model)

    def held(self) -> list[int]:
        """The exchanges whose models can be had of this party."""
        keys = self.node._store.keys()
        return sorted(key.round for key in keys)

    async def hear(self) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await self.offers.get()

    async def fetch(self, exchange: int) -> Any:
        return await self.exchange.fetch_model("1", exchange, self.clock.now_s() + PATIENCE_S)

    async def close(self) -> None:
        await self.node.close()
        await self._server.stop(0)


@pytest.fixture
async def parties() -> AsyncIterator[tuple[Party, Party]]:
    """Who goes on, and a neighbour that is slow."""
    owner, slow = Party("1"), Party("2")
    await owner.start()
    owner.node.feed(Introduced((Address("2", await slow.start()),)))
    yield owner, slow
    await slow.close()
    await owner.close()


async def test_a_model_that_lasts_can_be_had_many_exchanges_after_it_was_offered(parties: tuple[Party, Party]) -> None:
    owner, slow = parties
    owner.begin(1, 1)
    assert await slow.hear() == ModelOffered("1", 1, lasts=True)
    for exchange in range(2, 40):
        owner.begin(exchange, 1)
    event, model = await slow.fetch(1)
    assert event == ModelFetched("1", 1)
    assert np.array_equal(model, np.ones(SIZE))


async def test_other_models_are_forgotten_after_two_exchanges_and_these_when_they_last_no_longer(
    parties: tuple[Party, Party],
) -> None:
    owner, _ = parties
    owner.begin(1, 1)
    for exchange in (2, 3, 4, 5):
        owner.begin(exchange, 1)
    assert owner.held() == [1, 4, 5]
    owner.begin(6, 6)
    assert owner.held() == [5, 6]


async def test_a_newcomer_is_told_of_models_that_last(parties: tuple[Party, Party]) -> None:
    owner, _ = parties
    owner.begin(1, 1)
    for exchange in range(2, 9):
        owner.begin(exchange, 1)
    late = Party("3")
    owner.node.feed(Introduced((Address("3", await late.start()),)))
    try:
        told = [await late.hear() for _ in range(3)]
    finally:
        await late.close()
    assert {(offer.exchange, offer.lasts) for offer in told} == {(1, True), (7, False), (8, False)}
