from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedswarm.errors import FedswarmError, IntegrityError, WireError
from fedswarm.swarm import messages as msg
from fedswarm.swarm.manifest import Key, Manifest, build_manifest, growing_manifest
from fedswarm.swarm.wire import (
    MAX_LISTED,
    MAX_MESSAGES,
    MAX_NAMED,
    MAX_REASON_BYTES,
    decode_letter,
    decode_receipts,
    encode_letter,
    encode_receipts,
    manifest_from_proto,
    manifest_to_proto,
)
from fedswarm.v1 import common_pb2, peer_pb2

KEY = Key(3, "a")
ADDRESS = msg.Address("a", "host:1")

uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
chunk = st.integers(0, 4 * 1024 * 1024 - 1)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
sources = names.filter(lambda name: not name.startswith("/"))  # before the slash is the publisher
keys = st.builds(Key, uint32, names)
addresses = st.builds(msg.Address, names, names)
indices = st.lists(chunk, max_size=20).map(tuple)
digests = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5).map(tuple)


def manifest(**changes: Any) -> Manifest:
    fields = {"job": "j", "round_index": 4, "source": "a/1", "schema_hash": "ab", "sample_count": 12, **changes}
    return build_manifest(np.arange(9_000, dtype=np.float64), **fields)


def runs_from(gaps: list[tuple[int, int]]) -> msg.Runs:
    runs, end = [], 0
    for gap, count in gaps:
        runs.append((end + gap, count))
        end += gap + count
    return tuple(runs)


runs = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=20).map(runs_from)
offers = st.builds(msg.Offer, st.builds(manifest, source=sources, importance=st.sampled_from([b"", b"\x07"])))
messages = st.one_of(
    st.builds(msg.Hello, uint32, names, addresses, uint64),
    offers,
    st.builds(msg.Offer, st.just(growing_manifest(10, "float64", job="j", round_index=1, source="a", schema_hash=""))),
    *(st.builds(kind, keys) for kind in (msg.Interested, msg.NotInterested, msg.Forget)),
    st.builds(msg.Bitfield, keys, st.binary(max_size=40)),
    st.builds(msg.Have, keys, runs),
    st.builds(msg.Final, keys, st.integers(0, 1000), digests),
    *(st.builds(kind) for kind in (msg.Choke, msg.Unchoke, msg.Alive, msg.Release, msg.Retain)),
    *(st.builds(kind, keys, indices) for kind in (msg.Want, msg.Cancel, msg.Lack)),
    st.builds(msg.Relieve, keys, names, indices),
    st.builds(msg.Load, uint64, uint64),
    st.builds(msg.Acquaintances, st.lists(addresses, max_size=5).map(tuple), st.lists(names, max_size=5).map(tuple)),
    st.builds(msg.Goodbye, st.text(st.characters(codec="utf-8"), max_size=40)),
)
receipts = st.builds(msg.Receipt, keys, chunk, st.sampled_from(msg.Verdict))


@given(st.lists(messages, max_size=10))
def test_letters_survive_the_wire(said: list[msg.Message]) -> None:
    assert decode_letter(encode_letter(said)) == said


@given(st.lists(messages, max_size=5), st.lists(messages, max_size=5))
def test_letters_put_together_are_one_letter(first: list[msg.Message], second: list[msg.Message]) -> None:
    assert decode_letter(encode_letter(first) + encode_letter(second)) == first + second


@given(st.lists(receipts, max_size=20).map(tuple))
def test_receipts_survive_the_wire(given_receipts: tuple[msg.Receipt, ...]) -> None:
    assert decode_receipts(encode_receipts(given_receipts)) == given_receipts


@given(st.binary(max_size=200))
@example(b"\x0a\x00")
def test_hostile_bytes_never_crash(buffer: bytes) -> None:
    """Defect B4: messages were pickles; nothing that came off a socket is ever unpickled."""
    for decode in (decode_letter, decode_receipts):
        with contextlib.suppress(WireError):
            decode(buffer)


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_altered_letters_never_crash(said: list[msg.Message], data: st.DataObject) -> None:
    buffer = bytearray(encode_letter(said))
    for _ in range(data.draw(st.integers(1, 4))):
        buffer[data.draw(st.integers(0, len(buffer) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        decode_letter(bytes(buffer))


LONG = "x" * 201


def letter(**body: Any) -> bytes:
    return peer_pb2.Letter(messages=[peer_pb2.PeerMessage(**body)]).SerializeToString()


def key(source: str = "a") -> peer_pb2.WeightsKey:
    return peer_pb2.WeightsKey(round=3, source=source)


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        (b"\xff" * 9, "are no Letter"),
        (b"\x0a\x02\xa0\x06", "are no Letter"),
        (encode_letter([msg.Alive()]) * (MAX_MESSAGES + 1), f"{MAX_MESSAGES + 1} messages in a letter"),
        (letter(), "a kind that this protocol does not have"),
        (letter(interested=key("")), "source has 0 bytes"),
        (letter(forget=key(LONG)), "source has 201 bytes"),
        (letter(hello=peer_pb2.Hello(job="", peer={"peer_id": "a", "target": "t"})), "job has 0 bytes"),
        (letter(hello=peer_pb2.Hello(job="j", peer={"peer_id": LONG, "target": "t"})), "peer id has 201 bytes"),
        (letter(hello=peer_pb2.Hello(job="j", peer={"peer_id": "a"})), "target has 0 bytes"),
        (letter(want=peer_pb2.Indices(key=key(), indices=[2**22])), "chunk 4194304 is beyond"),
        (letter(want=peer_pb2.Indices(key=key(), indices=[0] * (MAX_LISTED + 1))), "65537 chunks in one message"),
        (letter(relieve=peer_pb2.Relieve(key=key(), indices=[1])), "peer id has 0 bytes"),
        (letter(have=peer_pb2.Have(key=key(), runs=[1])), "1 numbers are no list of runs"),
        (letter(have=peer_pb2.Have(key=key(), runs=[1, 0])), "out of order"),
        (letter(have=peer_pb2.Have(key=key(), runs=[5, 2, 6, 1])), "out of order"),
        (letter(have=peer_pb2.Have(key=key(), runs=[2**32 - 1, 2**32 - 1])), "out of order"),
        (letter(have=peer_pb2.Have(key=key(), runs=[0] * (2 * MAX_LISTED + 2))), "numbers of runs"),
        (letter(bitfield=peer_pb2.BitfieldMessage(key=key(), bits=bytes(2**19 + 1))), "a bitfield of 524289 bytes"),
        (letter(final=peer_pb2.Final(key=key())), "0 bytes are no list of digests"),
        (letter(final=peer_pb2.Final(key=key(), digests=bytes(33))), "33 bytes are no list of digests"),
        (letter(final=peer_pb2.Final(key=key(), first=2**22 - 1, digests=bytes(64))), "is beyond"),
        (letter(acquaintances=peer_pb2.Acquaintances(dropped=["a"] * (MAX_NAMED + 1))), "1025 peers"),
        (letter(goodbye=peer_pb2.Goodbye(reason="x" * (MAX_REASON_BYTES + 1))), "a goodbye of 1001 bytes"),
    ],
)
def test_forbidden_letters_say_why(buffer: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_letter(buffer)


@pytest.mark.parametrize(
    ("receipt", "message"),
    [
        ({"source": ""}, "source has 0 bytes"),
        ({"source": "a", "index": 2**22}, "is beyond"),
        ({"source": "a", "verdict": 3}, "verdict 3, known are 0 to 2"),
    ],
)
def test_forbidden_receipts_say_why(receipt: dict[str, Any], message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_receipts(peer_pb2.Receipts(receipts=[peer_pb2.Receipt(**receipt)]).SerializeToString())


def test_a_long_goodbye_is_cut_at_a_whole_letter() -> None:
    (cut,) = decode_letter(encode_letter([msg.Goodbye("é" * 600 + "x")]))
    assert cut == msg.Goodbye("é" * 500)


def test_manifests_survive_the_wire() -> None:
    original = manifest(importance=b"\x01")
    message = common_pb2.Manifest.FromString(manifest_to_proto(original).SerializeToString())
    assert manifest_from_proto(message) == original


def test_a_tampered_manifest_is_refused() -> None:
    message = manifest_to_proto(manifest())
    message.sample_count = 10**9
    with pytest.raises(IntegrityError):
        manifest_from_proto(message)
    with pytest.raises(IntegrityError):
        decode_letter(letter(offer=message))


@given(st.binary(max_size=100), st.integers(0, 2**64 - 1), uint32)
def test_hostile_manifests_never_crash(joined: bytes, total_bytes: int, chunk_bytes: int) -> None:
    message = common_pb2.Manifest(
        job="j", source="s", dtype="float32", digests=joined, total_bytes=total_bytes, chunk_bytes=chunk_bytes
    )
    with pytest.raises(FedswarmError):
        manifest_from_proto(message)
