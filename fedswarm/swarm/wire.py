"""Protobuf at the border: manifests, letters of messages, and receipts; every bound is checked on reading.

The bytes of several letters put together are one letter with all their messages: protobuf merges repeated fields. So a
shell encodes each message once, knows its size, and joins whatever waits. Frames are no protobuf objects: see
:mod:`fedswarm.swarm.frame`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from fedswarm.errors import WireError
from fedswarm.swarm import messages as msg
from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.manifest import DIGEST_BYTES, MAX_NAME_BYTES, MAX_TOTAL_BYTES, Key, Manifest
from fedswarm.v1 import common_pb2, peer_pb2

MAX_MESSAGES: Final = 1024
"""Most messages in a letter, and receipts at a time."""
MAX_LISTED: Final = 65_536
"""Most chunks, runs or digests that one message lists."""
MAX_NAMED: Final = 1024
"""Most peers that one message names."""
MAX_REASON_BYTES: Final = 1000

_MAX_CHUNKS: Final = MAX_TOTAL_BYTES // MIN_CHUNK_BYTES


def manifest_to_proto(manifest: Manifest) -> common_pb2.Manifest:
    """The message for a manifest."""
    return common_pb2.Manifest(
        job=manifest.job,
        round=manifest.round,
        source=manifest.source,
        schema_hash=manifest.schema_hash,
        dtype=manifest.dtype,
        total_bytes=manifest.total_bytes,
        chunk_bytes=manifest.chunk_bytes,
        digests=b"".join(manifest.digests),
        root=manifest.root,
        sample_count=manifest.sample_count,
        importance=manifest.importance,
    )


def manifest_from_proto(message: common_pb2.Manifest) -> Manifest:
    """The checked manifest in a message; raises :class:`WireError` or :class:`IntegrityError`."""
    manifest = Manifest(
        job=message.job,
        round=message.round,
        source=message.source,
        schema_hash=message.schema_hash,
        dtype=message.dtype,
        total_bytes=message.total_bytes,
        chunk_bytes=message.chunk_bytes,
        digests=_split_digests(message.digests),
        root=message.root,
        sample_count=message.sample_count,
        importance=message.importance,
    )
    manifest.check()
    return manifest


def encode_letter(messages: Iterable[msg.Message]) -> bytes:
    """A ``Letter`` with these messages, in order."""
    return peer_pb2.Letter(messages=[_write(message) for message in messages]).SerializeToString()


def decode_letter(buffer: bytes) -> list[msg.Message]:
    """The messages of a ``Letter``.

    Raises :class:`WireError` for bytes that are none or break a bound, :class:`IntegrityError` for an altered manifest.
    """
    letter = _parse(peer_pb2.Letter, buffer)
    _bounded("messages in a letter", letter.messages, MAX_MESSAGES)
    return [_read(message) for message in letter.messages]


def encode_receipts(receipts: Iterable[msg.Receipt]) -> bytes:
    """A ``Receipts`` message."""
    return peer_pb2.Receipts(
        receipts=[
            peer_pb2.Receipt(round=r.key.round, source=r.key.source, index=r.index, verdict=r.verdict) for r in receipts
        ]
    ).SerializeToString()


def decode_receipts(buffer: bytes) -> tuple[msg.Receipt, ...]:
    """The receipts in a ``Receipts`` message; raises :class:`WireError`."""
    message = _parse(peer_pb2.Receipts, buffer)
    _bounded("receipts", message.receipts, MAX_MESSAGES)
    return tuple(msg.Receipt(_key(r), _index(r.index), _verdict(r.verdict)) for r in message.receipts)


# ---- bounds ---------------------------------------------------------------------------------------------------------


def _parse(kind: type[Any], buffer: bytes) -> Any:
    try:
        return kind.FromString(buffer)
    except DecodeError as error:
        raise WireError(f"{len(buffer)} bytes that are no {kind.__name__}: {error}") from error


def _bounded(what: str, items: Sequence[object], most: int) -> None:
    if len(items) > most:
        raise WireError(f"{len(items)} {what}, allowed are {most}")


def _name(what: str, text: str) -> str:
    size = len(text.encode())
    if not 0 < size <= MAX_NAME_BYTES:
        raise WireError(f"{what} has {size} bytes, allowed are 1 to {MAX_NAME_BYTES}")
    return text


def _key(message: Any) -> Key:
    """Of anything with a ``round`` and a ``source``."""
    return Key(message.round, _name("source", message.source))


def _index(index: int) -> int:
    if index >= _MAX_CHUNKS:
        raise WireError(f"chunk {index} is beyond the {_MAX_CHUNKS} that weights have at most")
    return index


def _indices(indices: Sequence[int]) -> tuple[int, ...]:
    _bounded("chunks in one message", indices, MAX_LISTED)
    return tuple(_index(index) for index in indices)


def _runs(numbers: Sequence[int]) -> msg.Runs:
    _bounded("numbers of runs in one message", numbers, 2 * MAX_LISTED)
    if len(numbers) % 2:
        raise WireError(f"{len(numbers)} numbers are no list of runs: each has a first chunk and a count")
    runs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    end = 0
    for first, count in runs:
        if first < end or count < 1 or first + count > _MAX_CHUNKS:
            raise WireError(f"a run of {count} chunks from {first} on, after one that ends at {end}, is out of order")
        end = first + count
    return runs


def _split_digests(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES))


def _bits(bits: bytes) -> bytes:
    if len(bits) * 8 > _MAX_CHUNKS:
        raise WireError(f"a bitfield of {len(bits)} bytes, weights have at most {_MAX_CHUNKS} chunks")
    return bits


def _verdict(number: int) -> msg.Verdict:
    try:
        return msg.Verdict(number)
    except ValueError as error:
        raise WireError(f"a receipt with verdict {number}, known are 0 to {max(msg.Verdict)}") from error


def _reason(text: str) -> str:
    if len(text.encode()) > MAX_REASON_BYTES:
        raise WireError(f"a goodbye of {len(text.encode())} bytes, allowed are {MAX_REASON_BYTES}")
    return text


def _address(message: common_pb2.PeerAddress) -> msg.Address:
    return msg.Address(_name("peer id", message.peer_id), _name("target", message.target))


# ---- one message ----------------------------------------------------------------------------------------------------


def _write_key(key: Key) -> peer_pb2.WeightsKey:
    return peer_pb2.WeightsKey(round=key.round, source=key.source)


def _write_address(address: msg.Address) -> common_pb2.PeerAddress:
    return common_pb2.PeerAddress(peer_id=address.peer, target=address.target)


def _write_hello(m: msg.Hello) -> peer_pb2.Hello:
    return peer_pb2.Hello(protocol=m.protocol, job=m.job, peer=_write_address(m.address), uplink_bps=m.uplink_bps)


def _read_hello(m: peer_pb2.Hello) -> msg.Hello:
    return msg.Hello(m.protocol, _name("job", m.job), _address(m.peer), m.uplink_bps)


def _write_bitfield(m: msg.Bitfield) -> peer_pb2.BitfieldMessage:
    return peer_pb2.BitfieldMessage(key=_write_key(m.key), bits=m.bits)


def _write_have(m: msg.Have) -> peer_pb2.Have:
    return peer_pb2.Have(key=_write_key(m.key), runs=[number for run in m.runs for number in run])


def _write_final(m: msg.Final) -> peer_pb2.Final:
    return peer_pb2.Final(key=_write_key(m.key), first=m.first, digests=b"".join(m.digests))


def _read_final(m: peer_pb2.Final) -> msg.Final:
    digests = _split_digests(m.digests)
    _bounded("digests in one message", digests, MAX_LISTED)
    if not digests or len(digests[-1]) != DIGEST_BYTES:
        raise WireError(f"{len(m.digests)} bytes are no list of digests of {DIGEST_BYTES} bytes")
    _index(m.first + len(digests) - 1)
    return msg.Final(_key(m.key), m.first, digests)


def _write_indices(m: msg.Want | msg.Cancel | msg.Lack) -> peer_pb2.Indices:
    return peer_pb2.Indices(key=_write_key(m.key), indices=m.indices)


def _write_relieve(m: msg.Relieve) -> peer_pb2.Relieve:
    return peer_pb2.Relieve(key=_write_key(m.key), peer_id=m.peer, indices=m.indices)


def _write_acquaintances(m: msg.Acquaintances) -> peer_pb2.Acquaintances:
    return peer_pb2.Acquaintances(added=[_write_address(address) for address in m.added], dropped=m.dropped)


def _read_acquaintances(m: peer_pb2.Acquaintances) -> msg.Acquaintances:
    _bounded("peers in one message", [*m.added, *m.dropped], MAX_NAMED)
    added = tuple(_address(address) for address in m.added)
    return msg.Acquaintances(added, tuple(_name("peer id", peer) for peer in m.dropped))


def _write_goodbye(m: msg.Goodbye) -> peer_pb2.Goodbye:
    return peer_pb2.Goodbye(reason=m.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))


def _write_nothing(_: msg.Message) -> peer_pb2.Nothing:
    return peer_pb2.Nothing()


_Codec = tuple[str, Callable[[Any], Any], Callable[[Any], msg.Message]]

# For each message: its field in PeerMessage, how its body is written, and how it is read.
_CODECS: Final[dict[type[msg.Message], _Codec]] = {
    msg.Hello: ("hello", _write_hello, _read_hello),
    msg.Offer: ("offer", lambda m: manifest_to_proto(m.manifest), lambda m: msg.Offer(manifest_from_proto(m))),
    msg.Interested: ("interested", lambda m: _write_key(m.key), lambda m: msg.Interested(_key(m))),
    msg.NotInterested: ("not_interested", lambda m: _write_key(m.key), lambda m: msg.NotInterested(_key(m))),
    msg.Bitfield: ("bitfield", _write_bitfield, lambda m: msg.Bitfield(_key(m.key), _bits(m.bits))),
    msg.Have: ("have", _write_have, lambda m: msg.Have(_key(m.key), _runs(m.runs))),
    msg.Final: ("final", _write_final, _read_final),
    msg.Forget: ("forget", lambda m: _write_key(m.key), lambda m: msg.Forget(_key(m))),
    msg.Choke: ("choke", _write_nothing, lambda _: msg.Choke()),
    msg.Unchoke: ("unchoke", _write_nothing, lambda _: msg.Unchoke()),
    msg.Want: ("want", _write_indices, lambda m: msg.Want(_key(m.key), _indices(m.indices))),
    msg.Cancel: ("cancel", _write_indices, lambda m: msg.Cancel(_key(m.key), _indices(m.indices))),
    msg.Lack: ("lack", _write_indices, lambda m: msg.Lack(_key(m.key), _indices(m.indices))),
    msg.Relieve: (
        "relieve",
        _write_relieve,
        lambda m: msg.Relieve(_key(m.key), _name("peer id", m.peer_id), _indices(m.indices)),
    ),
    msg.Load: (
        "load",
        lambda m: peer_pb2.Load(uplink_bps=m.uplink_bps, backlog_bytes=m.backlog_bytes),
        lambda m: msg.Load(m.uplink_bps, m.backlog_bytes),
    ),
    msg.Acquaintances: ("acquaintances", _write_acquaintances, _read_acquaintances),
    msg.Alive: ("alive", _write_nothing, lambda _: msg.Alive()),
    msg.Release: ("release", _write_nothing, lambda _: msg.Release()),
    msg.Retain: ("retain", _write_nothing, lambda _: msg.Retain()),
    msg.Goodbye: ("goodbye", _write_goodbye, lambda m: msg.Goodbye(_reason(m.reason))),
}
_READERS: Final = {field: read for field, _, read in _CODECS.values()}


def _write(message: msg.Message) -> peer_pb2.PeerMessage:
    field, write, _ = _CODECS[type(message)]
    return peer_pb2.PeerMessage(**{field: write(message)})


def _read(message: peer_pb2.PeerMessage) -> msg.Message:
    field = message.WhichOneof("body")
    if field is None:
        raise WireError("a message of a kind that this protocol does not have")
    return _READERS[field](getattr(message, field))
