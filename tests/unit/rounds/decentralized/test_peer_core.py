from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.errors import RunFailedError
from fedswarm.jobs.schema import Job
from fedswarm.rounds.peer_core import PeerCore
from fedswarm.swarm.importance import METHODS
from fedswarm.training.task import ClientUpdate

SIZE, CHUNK = 40, 8


@pytest.fixture
def core(make_village: Any) -> Any:
    """A client whose training moves later weights further."""
    engine = make_village()._engine
    engine._wishes = {0: np.arange(SIZE, dtype=np.float32)}

    def make(**exchange: Any) -> PeerCore:
        return PeerCore(engine, Job.model_validate({"exchange": exchange}), "1", 0, {0: 10, 1: 30}, CHUNK)

    return make


def test_weights_travel_and_importance_is_that_of_the_change(core: Any) -> None:
    update = core(importance="delta_l2").train(0, np.full(SIZE, 39, dtype=np.float32))
    assert np.array_equal(update.weights, (np.arange(SIZE) + 39) / 2)
    assert list(update.importance) == [255, 191, 127, 63, 0]  # the first chunk is furthest from 39


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_ranks_every_chunk(core: Any, method: str) -> None:
    importance = core(importance=method).train(0, np.zeros(SIZE, dtype=np.float32)).importance
    assert len(importance) == SIZE // CHUNK and max(importance) == 255


def test_training_that_fails_ends_the_peer(core: Any) -> None:
    peer = core()
    peer._engine.train = lambda task: ClientUpdate(task.client_id, success=False, error="training diverged")
    with pytest.raises(RunFailedError, match="round 3: training diverged"):
        peer.train(3, np.zeros(SIZE, dtype=np.float32))


def test_chunks_are_counted_whose_they_are(core: Any) -> None:
    peer, own = core(), np.ones(SIZE, dtype=np.float32)
    collected = peer.collect_updates(np.zeros_like(own), own)
    for peer_id, chunks in (("2", range(5)), ("3", (0, 4))):
        sink = collected.sink(peer_id, 10)
        for chunk in chunks:
            sink(chunk, memoryview(own[:CHUNK]).cast("B"))
    arrivals = collected.arrivals(["2", "3", "4"], 40)
    assert (arrivals.complete, arrivals.partial, arrivals.missing) == (1, 1, 1)
    assert arrivals.chunk_share == (5 + 5 + 2) / 20
    assert arrivals.weight_share == pytest.approx((5 * 20 + 2 * 10) / (5 * 40))
    assert collected.missing("3") == [1, 2, 3] and collected.missing("4") is None


def test_what_comes_after_the_end_is_ignored(core: Any) -> None:
    peer, own = core(), np.ones(SIZE, dtype=np.float32)
    collected = peer.collect_updates(np.zeros_like(own), own)
    sink = collected.sink("2", 10)
    collected.close()
    sink(0, memoryview(np.full(CHUNK, 9, dtype=np.float32)).cast("B"))
    assert np.array_equal(peer.mean_of_updates(collected, 20), own)


def test_a_claim_that_shrank_meanwhile_breaks_no_mean(core: Any) -> None:
    peer, own = core(), np.ones(SIZE, dtype=np.float32)
    collected = peer.collect_updates(np.zeros_like(own), own)
    assert np.array_equal(peer.mean_of_updates(collected, 5), own)


def test_models_of_all_give_the_same_bits_whoever_averages_them(core: Any) -> None:
    peer, draws = core(), np.random.default_rng(0)
    models = [draws.normal(size=SIZE).astype(np.float32) for _ in range(2)]
    means = []
    for own, other in (models, models[::-1]):
        collected = peer.collect_models(own)
        sink = collected.sink("other", 1)
        for chunk in range(5):
            sink(chunk, memoryview(other[chunk * CHUNK : (chunk + 1) * CHUNK]).cast("B"))
        means.append(peer.mean_of_models(collected))
    assert np.array_equal(*means)
    assert np.allclose(means[0], np.mean(models, axis=0), atol=1e-7)
