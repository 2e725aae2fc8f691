import hashlib
import json
from importlib import resources

import numpy as np
import pytest

from fedswarm.data import idx
from fedswarm.data.load import load_dataset
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DataSection


def own_arrays(folder):
    assert folder in (None, "somewhere")
    return {
        "train_x": np.zeros((4, 3)),
        "train_y": np.array([0, 1, 0, 1]),
        "test_x": np.zeros((2, 3)),
        "test_y": np.array([0, 1]),
        "users": np.array([7, 7, 9, 9]),
    }


def own_failure(folder):
    raise RuntimeError("disk on fire")


def own_nonsense(folder):
    return [1, 2, 3]


@pytest.fixture
def own_module(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "own_data", sys.modules[__name__])


def test_the_embedded_subset_is_balanced_and_normalised():
    dataset = load_dataset(DataSection(name="fashion_mnist"))
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.train.labels.bincount().tolist() == [1000] * 10
    assert dataset.test.labels.bincount().tolist() == [200] * 10
    assert abs(float(dataset.train.inputs.mean())) < 0.02
    assert abs(float(dataset.train.inputs.std()) - 1) < 0.02


def test_the_embedded_subset_is_the_one_its_provenance_describes():
    folder = resources.files("fedswarm.data") / "embedded"
    provenance = json.loads((folder / "fashion_mnist.json").read_text())
    total = hashlib.sha256()
    with resources.as_file(folder / "fashion_mnist.npz") as path, np.load(path) as archive:
        for name in sorted(archive.files):
            total.update(f"{name} {archive[name].shape}\n".encode())
            total.update(archive[name].tobytes())
    assert total.hexdigest() == provenance["arrays_sha256"]


def test_idx_files_in_a_folder(tmp_path):
    header = bytes((0, 0, 8, 3)) + (2).to_bytes(4) + (28).to_bytes(4) * 2
    for names in (idx.TRAIN, idx.TEST):
        (tmp_path / names[0]).write_bytes(header + bytes(2 * 28 * 28))
        (tmp_path / names[1]).write_bytes(bytes((0, 0, 8, 1)) + (2).to_bytes(4) + b"\x03\x09")
    dataset = load_dataset(DataSection(name="mnist", folder=str(tmp_path)))
    assert dataset.train.labels.tolist() == [3, 9]
    assert dataset.classes == 10
    np.testing.assert_allclose(dataset.train.inputs.min(), -0.1307 / 0.3081, rtol=1e-6)


def test_an_archive_in_a_folder(tmp_path):
    np.savez(tmp_path / "mine.npz", **own_arrays(None), note=np.array(["ignored"]))
    dataset = load_dataset(DataSection(name="mine", folder=str(tmp_path)))
    assert dataset.users.tolist() == [7, 7, 9, 9]


def test_an_archive_with_pickles_is_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", **own_arrays(None) | {"train_y": np.array([{}, 1, 2, 3], dtype=object)})
    with pytest.raises(DataError, match=r"cannot read .*mine\.npz"):
        load_dataset(DataSection(name="mine", folder=str(tmp_path)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"plain text"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*mine\.npz"):
        load_dataset(DataSection(name="mine", folder=str(tmp_path)))


def test_a_single_array_is_no_archive(tmp_path):
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"cannot read .*mine\.npz"):
        load_dataset(DataSection(name="mine", folder=str(tmp_path)))


def test_a_function_of_the_users_own(own_module):
    dataset = load_dataset(DataSection(name="own_data:own_arrays", folder="somewhere"))
    assert dataset.classes == 2


@pytest.mark.parametrize(
    ("function", "complaint"), [("own_failure", "RuntimeError: disk on fire"), ("own_nonsense", "returned a list")]
)
def test_a_function_that_fails_or_returns_nonsense(own_module, function, complaint):
    with pytest.raises(DataError, match=complaint):
        load_dataset(DataSection(name=f"own_data:{function}"))


@pytest.mark.parametrize(
    ("name", "folder", "way_out"),
    [
        ("fashion_mnist", "/no/such/folder", "fedswarm data fetch fashion_mnist --folder /no/such/folder"),
        ("fashion_mnist", "EMPTY", "fedswarm data fetch"),
        ("mnist", "EMPTY", "t10k-images-idx3-ubyte"),
        ("mnist", None, "set data.folder"),
        ("mine", "EMPTY", "put mine.npz"),
        ("fashion_mist", None, "did you mean 'fashion_mnist'"),
    ],
)
def test_missing_data_say_the_way_out(tmp_path, name, folder, way_out):
    folder = str(tmp_path) if folder == "EMPTY" else folder
    with pytest.raises(DataError, match=way_out):
        load_dataset(DataSection(name=name, folder=folder))
