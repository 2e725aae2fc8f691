import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fedswarm.errors import ModelError
from fedswarm.models.checkpoint import load_safetensors, save_safetensors
from fedswarm.models.layout import Layout, TensorSpec

LAYOUT = Layout((TensorSpec("w", (2, 3)), TensorSpec("b", (2,)), TensorSpec("mean", (), trainable=False)))
VECTOR = np.arange(9, dtype=np.float32) / 7


@given(shapes=st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_any_weights_survive_the_round_trip(tmp_path_factory, shapes, seed):
    layout = Layout(tuple(TensorSpec(f"t{i}", tuple(shape), i % 2 == 0) for i, shape in enumerate(shapes)))
    vector = np.random.default_rng(seed).standard_normal(layout.size).astype(np.float32)
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_safetensors(path, layout, vector, {"round": "7"})
    read_layout, read_vector, metadata = load_safetensors(path)
    assert read_layout == layout
    assert read_vector.tobytes() == vector.tobytes()
    assert metadata == {"round": "7"}


def test_any_safetensors_reader_sees_the_named_tensors(tmp_path):
    save_safetensors(tmp_path / "deep" / "m.safetensors", LAYOUT, VECTOR, {})
    tensors = load_file(tmp_path / "deep" / "m.safetensors")
    np.testing.assert_array_equal(tensors["w"], VECTOR[:6].reshape(2, 3))
    np.testing.assert_array_equal(tensors["mean"], VECTOR[8])


def test_saving_replaces_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "m.safetensors"
    save_safetensors(path, LAYOUT, VECTOR, {})
    save_safetensors(path, LAYOUT, VECTOR + 1, {})
    assert load_safetensors(path)[1][0] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


SAVE = """
import sys
from pathlib import Path
import numpy as np
from fedswarm.models.checkpoint import save_safetensors
from fedswarm.models.layout import Layout, TensorSpec
layout = Layout((TensorSpec("w", (2, 3)), TensorSpec("b", (2,))))
metadata = {f"key {i}": "é" * i for i in range(20)}
save_safetensors(Path(sys.argv[1]), layout, np.arange(8, dtype=np.float32), metadata)
"""


def test_two_processes_write_the_same_bytes(tmp_path):
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        subprocess.run([sys.executable, "-c", SAVE, str(path)], check=True)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert load_safetensors(paths[0])[2]["key 7"] == "é" * 7


def test_tensors_start_aligned(tmp_path):
    save_safetensors(tmp_path / "m.safetensors", LAYOUT, VECTOR, {"note": "any length"})
    assert int.from_bytes((tmp_path / "m.safetensors").read_bytes()[:8], "little") % 8 == 0


def test_a_save_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save_safetensors(path, LAYOUT, VECTOR, {})

    def disk_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_safetensors(path, LAYOUT, VECTOR + 1, {})
    np.testing.assert_array_equal(load_safetensors(path)[1], VECTOR)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_vector_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ModelError, match="does not fit"):
        save_safetensors(tmp_path / "m.safetensors", LAYOUT, VECTOR[:-1], {})


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(ModelError, match="cannot read"):
        load_safetensors(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="cannot read"):
        load_safetensors(path)
    save_file({"w": VECTOR}, path)
    with pytest.raises(ModelError, match="not a checkpoint of fedswarm"):
        load_safetensors(path)


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [({"w": np.zeros(2)}, "'w' is float64"), ({}, "lack tensor 'w'"), ({"w": VECTOR}, "has shape")],
)
def test_tensors_that_contradict_the_layout_are_refused(tmp_path, tensors, complaint):
    path = tmp_path / "m.safetensors"
    layout = Layout((TensorSpec("w", (2,)),))
    save_file(tensors, path, metadata={"fedswarm.layout": layout.to_json()})
    with pytest.raises(ModelError, match=complaint):
        load_safetensors(path)
