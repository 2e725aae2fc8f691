from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedswarm.errors import FedswarmError, IntegrityError, WireError
from fedswarm.swarm.chunks import MAX_CHUNK_BYTES
from fedswarm.swarm.manifest import Key, build_manifest
from fedswarm.swarm.wire import decode_frame, encode_frame, encode_missing, manifest_from_proto, manifest_to_proto
from fedswarm.v1 import common_pb2, peer_pb2

uint32 = st.integers(0, 2**32 - 1)
names = st.text(st.characters(codec="utf-8"), max_size=40)


@given(uint32, names, uint32, st.binary(max_size=300))
@example(0, "", 0, b"")
def test_our_frame_is_the_generated_one(round_index: int, source: str, index: int, payload: bytes) -> None:
    generated = peer_pb2.Frame(round=round_index, source=source, index=index, payload=payload)
    assert encode_frame(Key(round_index, source), index, payload) == generated.SerializeToString(deterministic=True)


@given(uint32, names, uint32, st.booleans(), st.binary(max_size=300))
def test_generated_frames_are_read(round_index: int, source: str, index: int, missing: bool, payload: bytes) -> None:
    message = peer_pb2.Frame(round=round_index, source=source, index=index, missing=missing, payload=payload)
    frame = decode_frame(message.SerializeToString())
    assert (frame.key, frame.index, frame.missing) == (Key(round_index, source), index, missing)
    assert bytes(frame.payload) == payload


def test_a_frame_golden_vector() -> None:
    assert encode_frame(Key(7, "a"), 300, b"xyz").hex() == "080712016118ac027a0378797a"


def test_missing_is_a_legal_frame() -> None:
    message = peer_pb2.Frame.FromString(encode_missing(Key(2, "b"), 5))
    assert message == peer_pb2.Frame(round=2, source="b", index=5, missing=True)


def test_unknown_fields_are_skipped() -> None:
    later = b"\xa0\x06\x01" + b"\xa9\x06" + b"8" * 8 + b"\xb5\x06" + b"4" * 4 + b"\xba\x06\x02hi"
    assert decode_frame(later + encode_frame(Key(1, "s"), 2, b"p")).index == 2


def test_the_payload_is_not_copied() -> None:
    buffer = encode_frame(Key(1, "s"), 2, b"p" * 100)
    assert decode_frame(buffer).payload.obj is buffer


@given(st.binary(max_size=200))
@example(b"\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x80" * 30)
def test_hostile_bytes_never_crash(buffer: bytes) -> None:
    with contextlib.suppress(WireError):
        decode_frame(buffer)


@given(st.data())
def test_truncated_frames_never_crash(data: st.DataObject) -> None:
    whole = encode_frame(Key(70_000, "source"), 4_000, b"payload" * 9)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with contextlib.suppress(WireError):
        assert bytes(decode_frame(whole[:cut]).payload) == b""


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        (b"\x08", "ends inside a number"),
        (b"\x80" * 11, "longer than 64 bits"),
        (b"\x12\x05ab", "announces a field of 5 bytes"),
        (b"\x12\x02\xff\xfe", "not UTF-8"),
        (b"\x12\xfa\x01" + b"a" * 250, "250 bytes"),
        (b"\x08" + b"\xff" * 5 + b"\x01", "beyond 32 bits"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x01", "field number 0"),
        (encode_frame(Key(1, "s"), 0, bytes(MAX_CHUNK_BYTES + 1)), "largest chunk"),
    ],
)
def test_forbidden_frames_say_why(buffer: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_frame(buffer)


def test_manifests_survive_the_wire() -> None:
    data = np.arange(9_000, dtype=np.float64)
    manifest = build_manifest(
        data, job="j", round_index=4, source="a/1", schema_hash="ab", sample_count=12, importance=b"\x01"
    )
    message = common_pb2.Manifest.FromString(manifest_to_proto(manifest).SerializeToString())
    assert manifest_from_proto(message) == manifest


def test_a_tampered_manifest_is_refused() -> None:
    manifest = build_manifest(np.zeros(3), job="j", round_index=4, source="a", schema_hash="ab")
    message = manifest_to_proto(manifest)
    message.sample_count = 10**9
    with pytest.raises(IntegrityError):
        manifest_from_proto(message)


@given(st.binary(max_size=100), st.integers(0, 2**64 - 1), uint32)
def test_hostile_manifests_never_crash(digests: bytes, total_bytes: int, chunk_bytes: int) -> None:
    message = common_pb2.Manifest(
        job="j", source="s", dtype="float32", digests=digests, total_bytes=total_bytes, chunk_bytes=chunk_bytes
    )
    with pytest.raises(FedswarmError):
        manifest_from_proto(message)
