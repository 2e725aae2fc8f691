"""How many bytes a message takes in a letter: an estimate of its protobuf encoding, within a few bytes a field."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.messages import (
    Acquaintances,
    Address,
    Bitfield,
    Cancel,
    Final,
    Forget,
    Goodbye,
    Have,
    Hello,
    Interested,
    Lack,
    Load,
    Message,
    NotInterested,
    Offer,
    Relieve,
    Want,
)

MessageSize = Callable[[Message], int]

# A field's tag and length, and a number beside it; all numbers that matter here fit two bytes of a varint.
_FIELD, _NUMBER = 2, 2
RECEIPT_BYTES = 16
FRAME_HEADER_BYTES = 24


def estimated_bytes(message: Message) -> int:
    """Bytes of a message in a letter, its own tag and length included."""
    return 2 * _FIELD + _body_bytes(message)


def _body_bytes(message: Message) -> int:
    match message:
        case Have(key, runs):
            return _key_bytes(key) + _FIELD + sum(map(_numbers_bytes, runs))
        case Want(key, indices) | Cancel(key, indices) | Lack(key, indices):
            return _key_bytes(key) + _FIELD + _numbers_bytes(indices)
        case Relieve(key, peer, indices):
            return _key_bytes(key) + _FIELD + len(peer) + _FIELD + _numbers_bytes(indices)
        case Bitfield(key, bits):
            return _key_bytes(key) + _FIELD + len(bits)
        case Final(key, _, digests):
            return _key_bytes(key) + _NUMBER + sum(len(digest) for digest in digests)
        case Interested(key) | NotInterested(key) | Forget(key):
            return _key_bytes(key)
        case Load():
            return 12
        case Acquaintances(added, dropped):
            return sum(map(_address_bytes, added)) + sum(_FIELD + len(peer) for peer in dropped)
        case Hello(_, job, address, _):
            return len(job) + _address_bytes(address) + 10
        case Offer(manifest):
            return _manifest_bytes(manifest)
        case Goodbye(reason):
            return _FIELD + len(reason)
        case _:
            return 0


def _key_bytes(key: Key) -> int:
    return 2 * _FIELD + _NUMBER + len(key.source)


def _numbers_bytes(numbers: Iterable[int]) -> int:
    return sum(1 if number < 128 else 2 for number in numbers)


def _address_bytes(address: Address) -> int:
    return 3 * _FIELD + len(address.peer) + len(address.target)


def _manifest_bytes(manifest: Manifest) -> int:
    texts = len(manifest.job) + len(manifest.source) + len(manifest.schema_hash) + len(manifest.dtype)
    return 60 + texts + sum(len(digest) for digest in manifest.digests) + len(manifest.importance)
