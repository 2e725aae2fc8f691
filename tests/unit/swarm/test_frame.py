from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedswarm.errors import WireError
from fedswarm.swarm.chunks import MAX_CHUNK_BYTES
from fedswarm.swarm.frame import MAX_FRAMES, Frame, decode_frames, encode_frame
from fedswarm.swarm.manifest import Key
from fedswarm.v1 import peer_pb2

uint32 = st.integers(0, 2**32 - 1)
names = st.text(st.characters(codec="utf-8"), max_size=40)


@given(uint32, names, uint32, st.booleans(), st.binary(max_size=300))
@example(0, "", 0, False, b"")
def test_our_frame_is_the_generated_one(round_index: int, source: str, index: int, relay: bool, payload: bytes) -> None:
    generated = peer_pb2.Frame(round=round_index, source=source, index=index, relay=relay, payload=payload)
    assert encode_frame(Key(round_index, source), index, relay, payload) == generated.SerializeToString(
        deterministic=True
    )


@given(uint32, names, uint32, st.booleans(), st.binary(max_size=300))
def test_generated_frames_are_read(round_index: int, source: str, index: int, relay: bool, payload: bytes) -> None:
    message = peer_pb2.Frame(round=round_index, source=source, index=index, relay=relay, payload=payload)
    frame = decode_frame(message.SerializeToString())
    assert (frame.key, frame.index, frame.relay) == (Key(round_index, source), index, relay)
    assert bytes(frame.payload) == payload


@given(st.permutations([b"\x08\x07", b"\x12\x01a", b"\x18\xac\x02", b"\x20\x01", b"\x7a\x03xyz"]))
def test_fields_may_come_in_any_order(parts: list[bytes]) -> None:
    frame = decode_frame(b"".join(parts))
    assert (frame.key, frame.index, frame.relay, bytes(frame.payload)) == (Key(7, "a"), 300, True, b"xyz")


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    once = encode_frame(Key(1, "a"), 2, True, b"old")
    again = b"\x18\x05\x20\x00\x7a\x03new"
    frame = decode_frame(once + again)
    assert frame.index == 5
    assert not frame.relay
    assert bytes(frame.payload) == b"new"


def test_golden_vectors() -> None:
    assert encode_frame(Key(7, "a"), 300, False, b"xyz").hex() == "080712016118ac027a0378797a"
    assert encode_frame(Key(7, "a"), 300, True, b"xyz").hex() == "080712016118ac0220017a0378797a"


def test_unknown_fields_are_skipped() -> None:
    later = b"\xa0\x06\x01" + b"\xa9\x06" + b"8" * 8 + b"\xb5\x06" + b"4" * 4 + b"\xba\x06\x02hi"
    assert decode_frame(later + encode_frame(Key(1, "s"), 2, False, b"p")).index == 2


def test_the_payload_is_not_copied_on_reading() -> None:
    buffer = encode_frame(Key(1, "s"), 2, False, b"p" * 100)
    assert decode_frame(buffer).payload.obj is buffer


@given(st.binary(max_size=200))
@example(b"\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x80" * 30)
def test_hostile_bytes_never_crash(buffer: bytes) -> None:
    """Defect B4: frames were pickles; here they are a layout that either fits or is refused."""
    with contextlib.suppress(WireError):
        decode_frame(buffer)


@given(st.data())
def test_truncated_frames_never_crash(data: st.DataObject) -> None:
    whole = encode_frame(Key(70_000, "source"), 4_000, True, b"payload" * 9)
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
        (encode_frame(Key(1, "s"), 0, False, bytes(MAX_CHUNK_BYTES + 1)), "largest chunk"),
    ],
)
def test_forbidden_frames_say_why(buffer: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_frame(buffer)
