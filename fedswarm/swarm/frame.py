"""Frames: chunks as they travel, encoded by hand around their raw bytes.

protobuf copies a ``bytes`` field on the way in and again on the way out. A frame is written and read here instead, as
the same bytes a generated ``Frames`` with one ``Frame`` would give, with the payload last and never copied on reading.
Several frames travel as one message: their encodings, one after the other, are the ``Frames`` of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fedswarm.errors import WireError
from fedswarm.swarm.chunks import MAX_CHUNK_BYTES
from fedswarm.swarm.manifest import MAX_NAME_BYTES, Key

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# What precedes a field on the wire: its number in Frame, shifted by three, plus its wire type.
_ROUND: Final = 1 << 3 | _VARINT
_SOURCE: Final = 2 << 3 | _BYTES
_INDEX: Final = 3 << 3 | _VARINT
_RELAY: Final = 4 << 3 | _VARINT
_PAYLOAD: Final = 15 << 3 | _BYTES
_FRAME: Final = 1 << 3 | _BYTES  # in Frames

MAX_FRAMES: Final = 256
"""Most frames in one message."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One chunk as it travels; ``payload`` is a view into the received buffer."""

    key: Key
    index: int
    relay: bool
    payload: memoryview


def encode_frame(key: Key, index: int, relay: bool, payload: bytes | memoryview) -> bytes:
    """The wire form of a chunk, ``Frames`` with this one: one copy of ``payload`` behind a short header.

    As proto3 has it, fields that are zero or empty are left out.
    """
    source = key.source.encode()
    header = bytearray()
    if key.round:
        header += bytes((_ROUND,)) + _varint(key.round)
    if source:
        header += bytes((_SOURCE,)) + _varint(len(source)) + source
    if index:
        header += bytes((_INDEX,)) + _varint(index)
    if relay:
        header += bytes((_RELAY, 1))
    if len(payload):
        header += bytes((_PAYLOAD,)) + _varint(len(payload))
    return b"".join((bytes((_FRAME,)), _varint(len(header) + len(payload)), header, payload))


def decode_frames(buffer: bytes) -> list[Frame]:
    """Reads any legal ``Frames`` message; raises :class:`WireError` for anything else, or a payload over 4 MiB."""
    view = memoryview(buffer)
    frames: list[Frame] = []
    at = 0
    while at < len(view):
        tag, at = _read_varint(view, at)
        _, body, at = _read_value(view, at, tag)
        if tag == _FRAME:
            frames.append(_decode_frame(body))
        if len(frames) > MAX_FRAMES:
            raise WireError(f"a message holds more than {MAX_FRAMES} frames")
    return frames


def _decode_frame(view: memoryview) -> Frame:
    round_index, source, index, relay, payload = 0, "", 0, False, view[:0]
    at = 0
    while at < len(view):
        tag, at = _read_varint(view, at)
        number, body, at = _read_value(view, at, tag)
        if tag == _ROUND:
            round_index = _uint32(number)
        elif tag == _SOURCE:
            source = _text(body)
        elif tag == _INDEX:
            index = _uint32(number)
        elif tag == _RELAY:
            relay = number != 0
        elif tag == _PAYLOAD:
            payload = body
        # Any other field is one of a later version: skipped, as protobuf does.
    if len(payload) > MAX_CHUNK_BYTES:
        raise WireError(f"a frame carries {len(payload)} bytes, the largest chunk is {MAX_CHUNK_BYTES}")
    return Frame(Key(round_index, source), index, relay, payload)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    if at < len(view) and view[at] < 0x80:
        return view[at], at + 1  # the usual case
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise WireError(f"a frame of {len(view)} bytes ends inside a number")
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
    raise WireError("a frame holds a number longer than 64 bits")


def _read_value(view: memoryview, at: int, tag: int) -> tuple[int, memoryview, int]:
    """The number or the bytes of one field, and where the next field starts."""
    kind = tag & 7
    if tag < 8:
        raise WireError("a frame holds field number 0: not a protobuf message")
    if kind == _VARINT:
        number, at = _read_varint(view, at)
        return number, view[:0], at
    if kind == _BYTES:
        size, at = _read_varint(view, at)
    elif kind in (_FIXED64, _FIXED32):
        size = 8 if kind == _FIXED64 else 4
    else:
        raise WireError(f"a frame holds wire type {kind}, which no field of ours has")
    if size > len(view) - at:
        raise WireError(f"a frame of {len(view)} bytes announces a field of {size} bytes at {at}")
    return 0, view[at : at + size], at + size


def _uint32(number: int) -> int:
    if number >= 2**32:
        raise WireError(f"a frame's round or index is {number}, beyond 32 bits")
    return number


def _text(body: memoryview) -> str:
    if len(body) > MAX_NAME_BYTES:
        raise WireError(f"a frame's source has {len(body)} bytes, allowed are {MAX_NAME_BYTES}")
    try:
        return bytes(body).decode()
    except UnicodeDecodeError as error:
        raise WireError(f"a frame's source is not UTF-8: {bytes(body)[:40]!r}") from error
