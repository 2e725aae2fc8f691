import numpy as np
import pytest

from fedswarm.errors import ModelError
from fedswarm.models.layout import Layout, TensorSpec

LAYOUT = Layout((TensorSpec("w", (2, 3)), TensorSpec("b", (2,)), TensorSpec("mean", (), trainable=False)))
VECTOR = np.arange(9, dtype=np.float32)


def test_sizes_count_all_and_trainable_elements():
    assert (LAYOUT.size, LAYOUT.trainable_size, LAYOUT.nbytes) == (9, 8, 36)


def test_split_gives_named_views():
    parts = LAYOUT.split(VECTOR)
    assert {name: part.shape for name, part in parts.items()} == {"w": (2, 3), "b": (2,), "mean": ()}
    assert all(np.shares_memory(part, VECTOR) for part in parts.values())


def test_join_undoes_split():
    np.testing.assert_array_equal(LAYOUT.join(LAYOUT.split(VECTOR)), VECTOR)


@pytest.mark.parametrize("shape", [(8,), (9, 1), ()])
def test_a_vector_of_another_shape_is_refused(shape):
    with pytest.raises(ModelError, match="does not fit a layout of 9 weights"):
        LAYOUT.split(np.zeros(shape, dtype=np.float32))


def test_join_refuses_missing_and_misshapen_tensors():
    parts = LAYOUT.split(VECTOR)
    with pytest.raises(ModelError, match="lack tensor 'b'"):
        LAYOUT.join({"w": parts["w"], "mean": parts["mean"]})
    with pytest.raises(ModelError, match=r"'w' has shape \(3, 2\), expected \(2, 3\)"):
        LAYOUT.join(parts | {"w": parts["w"].T})


def test_json_round_trip_keeps_the_hash():
    again = Layout.from_json(LAYOUT.to_json())
    assert again == LAYOUT
    assert again.schema_hash == LAYOUT.schema_hash


@pytest.mark.parametrize(
    "other",
    [
        Layout(LAYOUT.tensors[::-1]),
        Layout(LAYOUT.tensors[:2]),
        Layout((*LAYOUT.tensors[:2], TensorSpec("mean", ()))),
    ],
)
def test_another_layout_has_another_hash(other):
    assert other.schema_hash != LAYOUT.schema_hash


@pytest.mark.parametrize("text", ["", "{}x", "[[1]]", '[["w", [-1], true]]', '[["w", "x", true]]'])
def test_what_is_no_layout_is_refused(text):
    with pytest.raises(ModelError, match="layout"):
        Layout.from_json(text)
