import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.aggregation.sparse_encoding import decode, encode, encoded_bytes
from fedswarm.errors import WireError
from fedswarm.models.sparse_update import SparseUpdate, top_k

FLOATS = st.floats(width=32)


@st.composite
def updates(draw):
    chosen = draw(st.lists(st.booleans(), max_size=80))
    indices = np.flatnonzero(chosen).astype(np.uint32)
    values = draw(st.lists(FLOATS, min_size=indices.size, max_size=indices.size))
    return SparseUpdate(len(chosen), indices, np.asarray(values, dtype=np.float32))


@given(updates())
def test_what_is_decoded_is_what_was_encoded(update):
    data = encode(update)
    back = decode(data, update.size)
    assert (back.size, back.indices.dtype, back.values.dtype) == (update.size, np.uint32, np.float32)
    assert back.indices.tobytes() == update.indices.tobytes()
    assert back.values.tobytes() == update.values.tobytes()
    assert len(data) == encoded_bytes(update.size, update.indices.size)


def test_golden_bytes():
    update = SparseUpdate(10, np.asarray([1, 8], dtype=np.uint32), np.asarray([1.0, -2.0], dtype=np.float32))
    assert encode(update).hex() == "46535531" + "0a000000" + "02000000" + "0201" + "0000803f" + "000000c0"


def test_a_dense_update_has_no_bitmap():
    assert encoded_bytes(8, 8) == 12 + 32
    assert encoded_bytes(8, 7) == 12 + 1 + 28


def test_thirty_percent_of_a_model_take_a_third_of_its_bytes():
    delta = np.random.default_rng(5).standard_normal(100_000).astype(np.float32)
    assert len(encode(top_k(delta, 0.3, delta.size))) == 12 + 100_000 // 8 + 4 * 30_000


def header(size, kept, magic=b"FSU1"):
    return struct.pack("<4sII", magic, size, kept)


VALUE = struct.pack("<f", 1.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "shorter than its header"),
        (header(8, 1)[:-1], "shorter than its header"),
        (header(8, 1, b"FSU2") + b"\x01" + VALUE, "begins with b'FSU2'"),
        (header(9, 1) + b"\x01\x00" + VALUE, "does not fit a model of 8"),
        (header(8, 9) + VALUE * 9, "does not fit a model of 8"),
        (header(8, 2**32 - 1), "does not fit a model of 8"),
        (header(8, 1) + b"\x01", "takes 17 bytes, got 13"),
        (header(8, 1) + b"\x01" + VALUE + b"\x00", "takes 17 bytes, got 18"),
        (header(8, 1) + b"\x00" + VALUE, "marks 0 weights, 1 of the first 8 expected"),
        (header(8, 1) + b"\x03" + VALUE, "marks 2 weights, 1 of the first 8 expected"),
    ],
)
def test_bytes_of_another_kind_are_refused_with_what_is_wrong(data, words):
    with pytest.raises(WireError, match=words):
        decode(data, 8)


def test_a_bit_beyond_the_last_weight_is_refused():
    with pytest.raises(WireError, match="of the first 5 expected"):
        decode(header(5, 1) + b"\x40" + VALUE, 5)


@given(st.binary(max_size=80), st.integers(0, 40))
def test_any_bytes_are_an_update_or_a_wire_error(noise, size):
    for data in (noise, header(size, 3) + noise):
        try:
            update = decode(data, size)
        except WireError:
            continue
        assert update.dense().shape == (size,)
