"""Hostile pickles are refused before anything of theirs runs; plain ones come out as they went in."""

import builtins
import collections
import contextlib
import os
import pickle
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.devices.restricted_pickle import parse_pickle, read_pickle
from fedswarm.errors import DataError

PROTOCOLS = (2, 3, 4, 5)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
KEYS = st.integers(-(2**40), 2**40) | st.text()
PLAIN = st.recursive(
    SCALARS | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner) | st.sets(KEYS),
    max_leaves=20,
)
DEEP = b")" + b"\x85" * 100_000


class Call:
    """Pickles as a call of ``function(*arguments)``, optionally with a state set afterwards."""

    def __init__(self, function, *arguments, state=None):
        self._reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self._reduced


@pytest.fixture
def footprint(tmp_path):
    """A file that every hostile pickle here tries to make."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def hostile(payload, protocol=4):
    return pickle.dumps({1: {"rate": payload}}, protocol=protocol)


def whole(*parts):
    return b"\x80\x04" + b"".join(parts) + b"."


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_data_come_out_as_python_would_load_them(value, protocol):
    assert parse_pickle(pickle.dumps(value, protocol=protocol), "x") == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "<i8", "<f4", ">f8", "?"])
def test_arrays_and_their_scalars_become_numbers(protocol, dtype):
    array = np.asarray([0, 1, 0, 100]).astype(dtype)
    value = {"array": array, "scalar": array[3], "empty": array[:0], "shared": [array, array]}
    expected = {"array": array.tolist(), "scalar": array[3].item(), "empty": [], "shared": [array.tolist()] * 2}
    assert parse_pickle(pickle.dumps(value, protocol=protocol), "x") == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ordered_dictionaries_and_frozen_sets_become_plain_ones(protocol):
    value = collections.OrderedDict([(2, frozenset([1])), (1, set())])
    parsed = parse_pickle(pickle.dumps(value, protocol=protocol), "x")
    assert list(parsed.items()) == [(2, {1}), (1, set())]


def test_runs_of_numbers_of_every_width_keep_their_order():
    value = [*range(0, 70_000, 7), -1, 2**31 - 1, 0.5, 1.5, 3, -0.25, *range(300)]
    assert parse_pickle(pickle.dumps(value), "x") == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_of_the_shell_is_refused_by_name(footprint, protocol):
    with pytest.raises(DataError, match=r"devices\.pkl: at byte \d+: it asks for '(posix|os)\.system'"):
        parse_pickle(hostile(Call(os.system, f"touch {footprint}"), protocol), "devices.pkl")


@pytest.mark.parametrize(
    "function",
    [builtins.eval, builtins.exec, builtins.getattr, builtins.__import__, builtins.open, builtins.print, np.load],
)
def test_functions_are_refused(footprint, function):
    with pytest.raises(DataError, match="not plain data; nothing was executed"):
        parse_pickle(hostile(Call(function, f"open({str(footprint)!r}, 'w')")), "x")


def test_a_process_is_not_started(footprint):
    with pytest.raises(DataError, match=r"subprocess\.Popen"):
        parse_pickle(hostile(Call(subprocess.Popen, ["touch", str(footprint)])), "x")


@pytest.mark.parametrize("name", ["os system", "numpy f2py.os.system", "collections OrderedDict.__init__.__globals__"])
def test_names_are_looked_up_whole_never_walked(footprint, name):
    module, _, attribute = name.partition(" ")
    call = b"c%s\n%s\n(X%stR" % (module.encode(), attribute.encode(), struct.pack("<I", 4) + b"true")
    with pytest.raises(DataError, match="it asks for"):
        parse_pickle(whole(call), "x")


def test_object_arrays_that_hide_a_call_are_refused(footprint):
    array = np.asarray([Call(os.system, f"touch {footprint}")], dtype=object)
    with pytest.raises(DataError):
        parse_pickle(hostile(array), "x")


def test_object_arrays_are_refused_even_of_numbers():
    with pytest.raises(DataError, match="only arrays of numbers"):
        parse_pickle(pickle.dumps(np.asarray([1, 2], dtype=object)), "x")


def test_a_scalar_of_an_object_type_does_not_turn_bytes_into_a_pointer():
    dtype = np.dtype("O")
    scalar = np.float64(0).__reduce__()[0]
    with pytest.raises(DataError, match="only arrays of numbers"):
        parse_pickle(hostile(Call(scalar, dtype, b"\x41" * 8)), "x")


@pytest.mark.parametrize("dtype", ["V8", "S4", "U4", "M8[s]", "f8,i4", "O", "g", "F"])
def test_arrays_of_anything_but_numbers_are_refused(dtype):
    with pytest.raises(DataError, match="numpy array of"):
        parse_pickle(pickle.dumps(np.zeros(2, dtype=dtype)), "x")


def test_arrays_of_several_dimensions_are_refused():
    with pytest.raises(DataError, match="not one-dimensional"):
        parse_pickle(pickle.dumps(np.zeros((2, 2))), "x")


def test_a_subclass_of_array_is_refused():
    with pytest.raises(DataError, match="asks for 'numpy"):
        parse_pickle(pickle.dumps(np.ma.masked_array([1.0])), "x")


def test_an_array_that_claims_more_than_it_holds_is_refused():
    rebuilt, arguments, state = np.zeros(2).__reduce__()
    claims_more = Call(rebuilt, *arguments, state=(state[0], (10**15,), *state[2:]))
    with pytest.raises(DataError, match="1000000000000000 values in 16 bytes"):
        parse_pickle(hostile(claims_more), "x")


def test_an_array_of_a_size_to_allocate_at_once_is_not_made():
    rebuilt, (kind, _, code), _ = np.zeros(2).__reduce__()
    assert parse_pickle(hostile(Call(rebuilt, kind, (2**50,), code)), "x") == {1: {"rate": []}}


class Plain:
    pass


def test_states_are_set_on_arrays_alone():
    for target in (b"}", b"]", b"cnumpy\nndarray\n"):
        with pytest.raises(DataError, match="a state set on a"):
            parse_pickle(whole(target, b"}b"), "x")


def test_instances_are_refused_whichever_way_they_are_made():
    for protocol in PROTOCOLS:
        with pytest.raises(DataError, match=r"Plain"):
            parse_pickle(pickle.dumps(Plain(), protocol=protocol), "x")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (b"(ios\nsystem\n", "INST"),
        (b"(o", "OBJ"),
        (b")\x81", "NEWOBJ"),
        (b")}\x92", "NEWOBJ_EX"),
        (b"\x82\x01", "EXT1"),
        (b"\x84\1\0\0\0", "EXT4"),
        (b"Psomewhere\n", "PERSID"),
        (b"NQ", "BINPERSID"),
        (b"\x97", "NEXT_BUFFER"),
        (b"2", "instruction 0x32"),
        (b"\xff", "instruction 0xff"),
    ],
)
def test_instructions_beyond_plain_data_are_refused(code, name):
    with pytest.raises(DataError, match=name):
        parse_pickle(whole(code), "x")


def test_a_memo_bomb_takes_no_memory():
    """Five bytes make the memo table of Python's own unpickler tens of gigabytes long."""
    assert parse_pickle(whole(b"Nr\xff\xff\xff\xff"), "x") is None


def test_a_doubling_bomb_stays_as_small_as_its_file():
    """Each level holds the one before twice: 2**100 leaves if anybody walked them."""
    levels = b"".join(b"q%c(h%ch%ct" % (level, level, level) for level in range(100))
    assert len(parse_pickle(whole(b")", levels), "x")) == 2


@pytest.mark.parametrize("use", [b"}%sNs", b"}(%sNu", b"\x8f(%s\x90", b"(%s\x91"])
def test_nothing_nested_is_ever_hashed(use):
    """Who hashes a tuple nested that deep overflows the C stack; a doubling bomb as a key never ends."""
    with pytest.raises(DataError, match="a key of type tuple"):
        parse_pickle(whole(use % DEEP), "x")


def test_data_nested_too_deep_to_print_are_read_and_forgotten():
    assert isinstance(parse_pickle(whole(DEEP), "x"), tuple)


def test_a_list_that_holds_itself_is_harmless():
    value = []
    value.append(value)
    parsed = parse_pickle(pickle.dumps(value), "x")
    assert parsed[0] is parsed


def test_copies_are_charged_to_a_budget():
    """A hundred bytes of state, set again and again, would fill any memory."""
    array = pickle.dumps(np.zeros(1000, dtype="u1"), protocol=4)[2:-1]
    with pytest.raises(DataError, match="unfolds to more values"):
        parse_pickle(whole(*[array] * 5), "x", max_copied_values=4000)


@pytest.mark.parametrize(
    "size", [b"B\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"X\xff\xff\xff\x7f", b"\x96" + b"\xff" * 8]
)
def test_claimed_lengths_are_compared_with_the_file_before_anything_is_allocated(size):
    with pytest.raises(DataError, match="more bytes should follow"):
        parse_pickle(whole(size), "x")


def test_integers_beyond_64_bits_are_refused():
    with pytest.raises(DataError, match="an integer of 9 bytes"):
        parse_pickle(pickle.dumps(2**64), "x")


@given(st.binary(max_size=60))
def test_noise_is_refused_or_read_never_anything_else(noise):
    with contextlib.suppress(DataError):
        parse_pickle(whole(noise), "x")


@given(PLAIN, st.data())
def test_every_torn_file_is_refused(value, data):
    content = pickle.dumps(value)
    end = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(DataError):
        parse_pickle(content[:end], "x")


def test_protocols_of_python_2_are_refused_with_the_way_out():
    with pytest.raises(DataError, match="protocol=4"):
        parse_pickle(pickle.dumps({1: 2}, protocol=0), "x")


def test_a_file_too_large_is_refused(tmp_path: Path):
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps(list(range(100))))
    with pytest.raises(DataError, match="larger than 50 bytes"):
        read_pickle(path, max_bytes=50)


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_pickle(tmp_path)
