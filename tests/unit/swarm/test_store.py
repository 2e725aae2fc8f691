from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import Key, build_manifest
from fedswarm.swarm.store import Assembly, ChunkStore
from fedswarm.swarm.wire import decode_frame

Weights = Callable[..., tuple[np.ndarray, object]]


def test_chunks_in_any_order_make_the_vector(toy_weights: Weights) -> None:
    data, manifest = toy_weights(5)
    assembly = Assembly(manifest)
    for index in (3, 0, 4, 2, 1):
        assembly.write(index, memoryview(data.tobytes()[manifest.range(index)]))
    np.testing.assert_array_equal(assembly.vector(), data)
    assert assembly.vector().dtype == data.dtype


def test_a_source_serves_its_chunks(toy_weights: Weights) -> None:
    data, manifest = toy_weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    frame = decode_frame(store.frame(manifest.key, 2) or b"")
    assert manifest.verify(2, frame.payload)


def test_a_source_makes_each_frame_once(toy_weights: Weights) -> None:
    data, manifest = toy_weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    assert store.frame(manifest.key, 1) is store.frame(manifest.key, 1)


def test_a_relay_passes_on_the_very_bytes_it_got(toy_weights: Weights) -> None:
    _, manifest = toy_weights(3)
    store, frame = ChunkStore(), b"as received"
    store.relay(manifest)
    store.keep(manifest.key, 1, frame)
    assert store.frame(manifest.key, 1) is frame
    assert store.frame(manifest.key, 0) is None


def test_without_relaying_nothing_is_kept(toy_weights: Weights) -> None:
    _, manifest = toy_weights(1)
    store = ChunkStore()
    store.keep(manifest.key, 0, b"frame")
    assert store.frame(manifest.key, 0) is None


@pytest.mark.parametrize("index", [-1, 3, 2**32 - 1])
def test_a_chunk_that_does_not_exist_is_missing(toy_weights: Weights, index: int) -> None:
    data, manifest = toy_weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    assert store.frame(manifest.key, index) is None
    assert store.frame(Key(99, "nobody"), 0) is None


def test_forgotten_weights_are_gone(toy_weights: Weights) -> None:
    data, manifest = toy_weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    store.frame(manifest.key, 0)
    store.forget(manifest.key)
    assert store.frame(manifest.key, 0) is None
    assert store.keys() == []


def test_other_weights_under_a_taken_key_are_refused(toy_weights: Weights) -> None:
    data, manifest = toy_weights(3)
    other, changed = toy_weights(3, seed=2)
    store = ChunkStore()
    store.publish(manifest, data)
    store.publish(manifest, data)
    with pytest.raises(WireError, match="forget it first"):
        store.publish(changed, other)


def test_a_vector_must_fit_its_manifest(toy_weights: Weights) -> None:
    data, manifest = toy_weights(3)
    with pytest.raises(WireError, match="do not fit a manifest"):
        ChunkStore().publish(manifest, data[1:])


def test_whole_weights_come_back_as_a_copy(toy_weights: Weights) -> None:
    data, manifest = toy_weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    copy = store.whole(manifest)
    assert copy is not None
    np.testing.assert_array_equal(copy, data)
    assert not np.shares_memory(copy, data)


def test_whole_needs_every_chunk_and_the_same_root(toy_weights: Weights) -> None:
    data, manifest = toy_weights(2)
    store = ChunkStore()
    store.relay(manifest)
    assert store.whole(manifest) is None
    other = build_manifest(data + 1, job="toy", round_index=7, source="publisher", schema_hash="00")
    store.publish(manifest, data)
    assert store.whole(other) is None
