from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blake3 import blake3

from fedswarm.errors import IntegrityError, WireError
from fedswarm.swarm.chunks import MIB, MIN_CHUNK_BYTES
from fedswarm.swarm.manifest import Key, Manifest, build_manifest


def build(data: np.ndarray, **changes: object) -> Manifest:
    fields = {"job": "j", "round_index": 3, "source": "a", "schema_hash": "ff", "chunk_bytes": MIN_CHUNK_BYTES}
    return build_manifest(data, **{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def data() -> np.ndarray:
    return np.arange(10_000, dtype=np.float32)


def test_chunks_cover_the_vector(data: np.ndarray) -> None:
    manifest = build(data)
    assert manifest.chunks == 3
    assert [manifest.chunk_size(i) for i in range(3)] == [16384, 16384, 7232]
    assert manifest.range(2) == slice(32768, 40000)


def test_each_digest_is_blake3_of_its_chunk(data: np.ndarray) -> None:
    manifest = build(data)
    assert manifest.digests[2] == blake3(data.tobytes()[32768:]).digest()


def test_the_root_is_stable() -> None:
    manifest = build(np.zeros(2, dtype=np.float64), sample_count=5, importance=b"\x07")
    assert manifest.root.hex() == "05d84384bbf3600266154da3a669966f8e3d37c3f94d13a79dc4115f1941be9a"


def test_a_chunk_verifies_only_in_its_place(data: np.ndarray) -> None:
    manifest = build(data)
    payload = data.tobytes()[:16384]
    assert manifest.verify(0, payload)
    assert not manifest.verify(1, payload)
    assert not manifest.verify(7, payload)
    assert not manifest.verify(-3, payload)


@pytest.mark.parametrize("position", [0, 5_000, 16383])
def test_one_flipped_bit_is_seen(data: np.ndarray, position: int) -> None:
    payload = bytearray(data.tobytes()[:16384])
    payload[position] ^= 1
    assert not build(data).verify(0, bytes(payload))


def test_a_short_chunk_is_seen(data: np.ndarray) -> None:
    assert not build(data).verify(0, data.tobytes()[:16383])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_bytes": 70 * 1024**3}, "total_bytes"),
        ({"total_bytes": 0}, "total_bytes"),
        ({"total_bytes": 39_998}, "total_bytes"),
        ({"chunk_bytes": 1024}, "chunk_bytes"),
        ({"chunk_bytes": 8 * MIB}, "chunk_bytes"),
        ({"chunk_bytes": 16388}, "chunk_bytes"),
        ({"digests": (b"x" * 32,)}, "1 digests for 3 chunks"),
        ({"digests": (b"x" * 32, b"x" * 32, b"x")}, "32-byte"),
        ({"dtype": "object"}, "dtype 'object'"),
        ({"source": ""}, "source has 0 bytes"),
        ({"source": "/x"}, "names no peer"),
        ({"source": "s" * 300}, "300 bytes"),
        ({"importance": b"12"}, "2 importance values"),
        ({"round": -1}, "round -1"),
    ],
)
def test_what_cannot_be_is_refused(data: np.ndarray, changes: dict[str, object], message: str) -> None:
    with pytest.raises(WireError, match=message):
        replace(build(data), **changes).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"round": 4}, {"sample_count": 9}, {"schema_hash": "00"}, {"root": b""}])
def test_an_altered_field_breaks_the_root(data: np.ndarray, changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="altered"):
        replace(build(data), **changes).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros((2, 2), dtype=np.float32),
        np.zeros(4, dtype=np.int32),
        np.zeros(0, dtype=np.float32),
        np.zeros(8, dtype=np.float32)[::2],
        np.zeros(4, dtype=">f4"),
    ],
)
def test_only_flat_native_floats_are_published(vector: np.ndarray) -> None:
    with pytest.raises(WireError, match="cannot publish"):
        build(vector)


def test_a_publisher_may_name_several_sets(data: np.ndarray) -> None:
    manifest = build(data, source="executor-1/order-7")
    assert manifest.publisher == "executor-1"
    assert manifest.key == Key(3, "executor-1/order-7")
