import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.data import idx
from fedswarm.errors import DataError


def encode(array, type_code=idx.UNSIGNED_BYTE):
    header = bytes((0, 0, type_code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def write_set(folder, train=4, test=2):
    for names, count in ((idx.TRAIN, train), (idx.TEST, test)):
        (folder / names[0]).write_bytes(encode(np.full((count, 3, 3), 7, dtype=np.uint8)))
        (folder / names[1]).write_bytes(encode(np.arange(count, dtype=np.uint8)))


def test_golden_file(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(bytes.fromhex("00000801 00000003 050009"))
    assert idx.read_idx(path).tolist() == [5, 0, 9]


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_reads_back_any_shape_plain_or_gzipped(tmp_path_factory, shape):
    folder = tmp_path_factory.mktemp("idx")
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    (folder / "plain").write_bytes(encode(array))
    (folder / "packed.gz").write_bytes(gzip.compress(encode(array)))
    np.testing.assert_array_equal(idx.read_idx(folder / "plain"), array)
    np.testing.assert_array_equal(idx.read_idx(folder / "packed.gz"), array)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file"),
        (encode(np.zeros(3, dtype=np.uint8), type_code=13), "not an IDX file"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (encode(np.zeros(3, dtype=np.uint8))[:-1], "holds 2"),
        (encode(np.zeros(3, dtype=np.uint8)) + b"x", "holds more"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "more than"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, complaint):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        idx.read_idx(path)


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(encode(np.zeros(1000, dtype=np.uint8)))[:-9])
    with pytest.raises(DataError, match="cannot read"):
        idx.read_idx(path)


def test_a_folder_counts_only_with_all_four_files(tmp_path):
    write_set(tmp_path)
    assert idx.has_idx(tmp_path)
    (tmp_path / idx.TEST[1]).unlink()
    assert not idx.has_idx(tmp_path)


def test_images_and_labels_of_different_sets_are_refused(tmp_path):
    write_set(tmp_path)
    (tmp_path / idx.TRAIN[1]).write_bytes(encode(np.arange(3, dtype=np.uint8)))
    with pytest.raises(DataError, match="do not belong together"):
        idx.read_images_and_labels(tmp_path, idx.TRAIN)
