from __future__ import annotations

import contextlib
from typing import Any

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
frames_fields = st.lists(
    st.fixed_dictionaries(
        {"round": uint32, "source": names, "index": uint32, "relay": st.booleans(), "payload": st.binary(max_size=300)}
    ),
    max_size=12,
)

UNKNOWN = b"\xa0\x06\x01" + b"\xa9\x06" + b"8" * 8 + b"\xb5\x06" + b"4" * 4 + b"\xba\x06\x02hi"
"""Fields of a later version, one of each wire type."""


def framed(body: bytes) -> bytes:
    """A message with one frame of these bytes, fewer than 16,384 of them."""
    size = len(body)
    return b"\x0a" + (bytes((size,)) if size < 128 else bytes((size & 0x7F | 0x80, size >> 7))) + body


def decode_frame(buffer: bytes) -> Frame:
    """The one frame in a message."""
    (frame,) = decode_frames(buffer)
    return frame


def encoded(fields: dict[str, Any]) -> bytes:
    return encode_frame(
        Key(fields["round"], fields["source"]), fields["index"], fields["relay"], memoryview(fields["payload"])
    )


# ---- one frame ------------------------------------------------------------------------------------------------------


@given(uint32, names, uint32, st.booleans(), st.binary(max_size=300))
@example(0, "", 0, False, b"")
def test_our_frame_is_the_generated_one(round_index: int, source: str, index: int, relay: bool, payload: bytes) -> None:
    frame = peer_pb2.Frame(round=round_index, source=source, index=index, relay=relay, payload=payload)
    generated = peer_pb2.Frames(frames=[frame]).SerializeToString(deterministic=True)
    assert encode_frame(Key(round_index, source), index, relay, payload) == generated


@given(uint32, names, uint32, st.booleans(), st.binary(max_size=300))
def test_generated_frames_are_read(round_index: int, source: str, index: int, relay: bool, payload: bytes) -> None:
    message = peer_pb2.Frame(round=round_index, source=source, index=index, relay=relay, payload=payload)
    frame = decode_frame(peer_pb2.Frames(frames=[message]).SerializeToString())
    assert (frame.key, frame.index, frame.relay) == (Key(round_index, source), index, relay)
    assert bytes(frame.payload) == payload


@given(st.permutations([b"\x08\x07", b"\x12\x01a", b"\x18\xac\x02", b"\x20\x01", b"\x7a\x03xyz"]))
def test_fields_may_come_in_any_order(parts: list[bytes]) -> None:
    frame = decode_frame(framed(b"".join(parts)))
    assert (frame.key, frame.index, frame.relay, bytes(frame.payload)) == (Key(7, "a"), 300, True, b"xyz")


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    once = b"\x08\x01\x12\x01a\x18\x02\x20\x01\x7a\x03old"
    again = b"\x18\x05\x20\x00\x7a\x03new"
    frame = decode_frame(framed(once + again))
    assert frame.key == Key(1, "a")
    assert frame.index == 5
    assert not frame.relay
    assert bytes(frame.payload) == b"new"


def test_golden_vectors() -> None:
    assert encode_frame(Key(7, "a"), 300, False, b"xyz").hex() == "0a0d" + "080712016118ac027a0378797a"
    assert encode_frame(Key(7, "a"), 300, True, b"xyz").hex() == "0a0f" + "080712016118ac0220017a0378797a"


def test_unknown_fields_are_skipped() -> None:
    assert decode_frame(framed(UNKNOWN + b"\x18\x02" + UNKNOWN)).index == 2


def test_the_payload_is_not_copied_on_reading() -> None:
    buffer = encode_frame(Key(1, "s"), 2, False, b"p" * 100)
    assert decode_frame(buffer).payload.obj is buffer


# ---- several frames in one message ----------------------------------------------------------------------------------


@given(frames_fields)
@example([])
@example([{"round": 0, "source": "", "index": 0, "relay": False, "payload": b""}] * 2)
def test_joined_frames_are_the_generated_message(fields: list[dict[str, Any]]) -> None:
    generated = peer_pb2.Frames(frames=[peer_pb2.Frame(**one) for one in fields])
    assert b"".join(map(encoded, fields)) == generated.SerializeToString(deterministic=True)


@given(frames_fields)
def test_joined_frames_are_read_one_by_one_in_their_order(fields: list[dict[str, Any]]) -> None:
    frames = decode_frames(b"".join(map(encoded, fields)))
    read = [
        {"round": f.key.round, "source": f.key.source, "index": f.index, "relay": f.relay, "payload": bytes(f.payload)}
        for f in frames
    ]
    assert read == fields


def test_unknown_fields_between_frames_are_skipped() -> None:
    ones = [encode_frame(Key(1, "s"), index, False, b"p") for index in range(3)]
    frames = decode_frames(UNKNOWN + UNKNOWN.join(ones) + UNKNOWN)
    assert [frame.index for frame in frames] == [0, 1, 2]


@pytest.mark.parametrize("message", [b"", UNKNOWN], ids=["nothing", "only fields of a later version"])
def test_a_message_may_hold_no_frame(message: bytes) -> None:
    assert decode_frames(message) == []


def test_a_message_holds_a_bounded_number_of_frames() -> None:
    one = encode_frame(Key(1, "s"), 2, False, b"")
    assert len(decode_frames(one * MAX_FRAMES)) == MAX_FRAMES
    with pytest.raises(WireError, match=f"more than {MAX_FRAMES} frames"):
        decode_frames(one * (MAX_FRAMES + 1))


def test_frames_without_a_byte_count_towards_the_bound() -> None:
    with pytest.raises(WireError, match=f"more than {MAX_FRAMES} frames"):
        decode_frames(framed(b"") * (MAX_FRAMES + 1))


def test_no_payload_of_a_message_is_copied_on_reading() -> None:
    buffer = b"".join(encode_frame(Key(1, "s"), index, False, b"p" * 100) for index in range(3))
    assert all(frame.payload.obj is buffer for frame in decode_frames(buffer))


# ---- what is none ---------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
@example(b"\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x80" * 30)
def test_hostile_bytes_never_crash(buffer: bytes) -> None:
    """Defect B4: frames were pickles; here they are a layout that either fits or is refused."""
    for message in (buffer, framed(buffer), encode_frame(Key(1, "s"), 2, False, b"p") + buffer):
        with contextlib.suppress(WireError):
            decode_frames(message)


@given(st.lists(st.sampled_from([b"\x0a", b"\x12", b"\x7a", b"\x08", b"\x00", b"\x02", b"\x80", b"\xff"]), max_size=60))
def test_hostile_bytes_that_resemble_frames_never_crash(parts: list[bytes]) -> None:
    with contextlib.suppress(WireError):
        decode_frames(b"".join(parts))


@given(st.data())
def test_truncated_frames_never_crash(data: st.DataObject) -> None:
    whole = encode_frame(Key(70_000, "source"), 4_000, True, b"payload" * 9)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(WireError):
        decode_frames(whole[:cut])


@given(st.data())
def test_a_truncated_message_is_refused_or_holds_its_first_frames(data: st.DataObject) -> None:
    ones = [encode_frame(Key(70_000, "source"), index, True, b"payload" * 9) for index in range(3)]
    cut = data.draw(st.integers(0, sum(map(len, ones))))
    with contextlib.suppress(WireError):
        frames = decode_frames(b"".join(ones)[:cut])
        assert cut == sum(map(len, ones[: len(frames)]))
        assert [frame.index for frame in frames] == list(range(len(frames)))


@given(st.data())
def test_a_frame_cut_short_within_its_message_has_no_payload_or_is_refused(data: st.DataObject) -> None:
    body = encode_frame(Key(70_000, "source"), 4_000, True, b"payload" * 9)[2:]
    cut = data.draw(st.integers(0, len(body) - 1))
    with contextlib.suppress(WireError):
        assert bytes(decode_frame(framed(body[:cut])).payload) == b""


FORBIDDEN = [
    (b"\x08", "ends inside a number"),
    (b"\x80" * 11, "longer than 64 bits"),
    (b"\x12\x05ab", "announces a field of 5 bytes"),
    (b"\x0b", "wire type 3"),
    (b"\x00\x01", "field number 0"),
]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *FORBIDDEN,
        (b"\x12\x02\xff\xfe", "not UTF-8"),
        (b"\x12\xfa\x01" + b"a" * 250, "250 bytes"),
        (b"\x08" + b"\xff" * 5 + b"\x01", "beyond 32 bits"),
    ],
)
def test_forbidden_frames_say_why(body: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_frames(framed(body))


def test_a_frame_larger_than_any_chunk_is_forbidden() -> None:
    with pytest.raises(WireError, match="largest chunk"):
        decode_frames(encode_frame(Key(1, "s"), 0, False, bytes(MAX_CHUNK_BYTES + 1)))


@pytest.mark.parametrize(("buffer", "message"), FORBIDDEN)
def test_forbidden_bytes_between_frames_say_why(buffer: bytes, message: str) -> None:
    one = encode_frame(Key(1, "s"), 2, False, b"p")
    with pytest.raises(WireError, match=message):
        decode_frames(one + buffer)


def test_one_forbidden_frame_spoils_its_message() -> None:
    one = encode_frame(Key(1, "s"), 2, False, b"p")
    with pytest.raises(WireError, match="not UTF-8"):
        decode_frames(one + framed(b"\x12\x02\xff\xfe") + one)
