from __future__ import annotations

import numpy as np
import pytest

from fedswarm.errors import WireError
from fedswarm.swarm.chunks import MIB, MIN_CHUNK_BYTES
from fedswarm.swarm.frame import Frame, decode_frames
from fedswarm.swarm.manifest import Key, Manifest, build_manifest
from fedswarm.swarm.store import ChunkStore, Holding


def weights(chunks: int, seed: int = 1, chunk_bytes: int = MIN_CHUNK_BYTES) -> tuple[np.ndarray, Manifest]:
    """Random numbers, of which the last chunk is short."""
    data = np.random.default_rng(seed).random(chunks * chunk_bytes // 8 - 3)
    manifest = build_manifest(
        data, job="toy", round_index=7, source="publisher", schema_hash="00", chunk_bytes=chunk_bytes
    )
    return data, manifest


def payload_of(data: np.ndarray, manifest: Manifest, index: int) -> bytes:
    return data.tobytes()[manifest.range(index)]


def frame_of(store: ChunkStore, manifest: Manifest, index: int, *, relay: bool = False) -> Frame:
    (frame,) = decode_frames(store.frame(manifest.key, index, relay) or b"")
    return frame


def test_chunks_in_any_order_make_the_vector() -> None:
    data, manifest = weights(5)
    holding = Holding(manifest)
    for index in (3, 0, 4, 2, 1):
        holding.put(index, payload_of(data, manifest, index))
    vector = holding.vector(writable=True)
    np.testing.assert_array_equal(vector, data)
    assert vector.dtype == data.dtype
    assert holding.held.all()


def test_what_is_missing_reads_as_zeros() -> None:
    data, manifest = weights(3)
    holding = Holding(manifest)
    holding.put(1, payload_of(data, manifest, 1))
    whole = holding.vector(writable=False).tobytes()
    assert whole[manifest.range(1)] == payload_of(data, manifest, 1)
    assert not any(whole[manifest.range(0)])
    assert [holding.payload(index) is None for index in range(3)] == [True, False, True]


def test_a_shared_vector_cannot_be_written() -> None:
    _, manifest = weights(1)
    with pytest.raises(ValueError, match="read-only"):
        Holding(manifest).vector(writable=False)[0] = 1.0


def test_a_source_serves_its_chunks_without_a_copy() -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    assert manifest.verify(2, frame_of(store, manifest, 2).payload)
    holding = store.get(manifest.key)
    assert holding is not None
    assert np.shares_memory(holding.vector(writable=False), data)


def test_frames_for_everybody_are_made_once() -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    assert store.frame(manifest.key, 1, False) is store.frame(manifest.key, 1, False)


def test_the_frames_made_last_are_remembered_as_far_as_a_mebibyte_goes() -> None:
    remembered = MIB // MIN_CHUNK_BYTES - 1  # a frame is a little longer than its chunk
    data, manifest = weights(remembered + 2)
    store = ChunkStore()
    store.publish(manifest, data)
    frames = [store.frame(manifest.key, index, False) for index in range(remembered + 1)]
    assert all(store.frame(manifest.key, index, False) is frames[index] for index in range(1, remembered + 1))
    assert store.frame(manifest.key, 0, False) is not frames[0]


def test_of_frames_beyond_a_mebibyte_the_last_one_is_remembered() -> None:
    data, manifest = weights(3, chunk_bytes=2 * MIB)
    store = ChunkStore()
    store.publish(manifest, data)
    first, last = (store.frame(manifest.key, index, False) for index in (0, 1))
    assert store.frame(manifest.key, 1, False) is last
    assert store.frame(manifest.key, 0, False) is not first


def test_an_owner_and_the_others_get_different_frames_of_a_chunk() -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    frames = [frame_of(store, manifest, 1, relay=relay) for relay in (True, False)]
    assert [frame.relay for frame in frames] == [True, False]
    assert frames[0].payload == frames[1].payload


def test_a_relay_serves_what_it_has() -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.open(manifest).put(1, payload_of(data, manifest, 1))
    assert bytes(frame_of(store, manifest, 1).payload) == payload_of(data, manifest, 1)
    assert store.frame(manifest.key, 0, False) is None


@pytest.mark.parametrize("index", [-1, 3, 2**32 - 1])
def test_a_chunk_that_does_not_exist_is_not_held(index: int) -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    assert store.frame(manifest.key, index, False) is None
    assert store.frame(Key(99, "nobody"), 0, False) is None


def test_forgotten_weights_are_gone() -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.publish(manifest, data)
    store.frame(manifest.key, 0, False)
    store.forget(manifest.key)
    assert store.frame(manifest.key, 0, False) is None
    assert store.keys() == []


def test_what_is_there_stays_when_opened_again() -> None:
    data, manifest = weights(3)
    store = ChunkStore()
    store.open(manifest).put(1, payload_of(data, manifest, 1))
    assert store.open(manifest).held.sum() == 1


def test_other_weights_under_a_taken_key_are_refused() -> None:
    data, manifest = weights(3)
    other, changed = weights(3, seed=2)
    store = ChunkStore()
    store.publish(manifest, data)
    store.publish(manifest, data)
    with pytest.raises(WireError, match="forget it first"):
        store.publish(changed, other)
    with pytest.raises(WireError, match="forget it first"):
        store.open(changed)


def test_a_vector_must_fit_its_manifest() -> None:
    data, manifest = weights(3)
    with pytest.raises(WireError, match="do not fit a manifest"):
        ChunkStore().publish(manifest, data[1:])
