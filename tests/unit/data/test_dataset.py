import numpy as np
import pytest
import torch

from fedswarm.data.dataset import Split, from_arrays
from fedswarm.errors import DataError


def arrays(**changes):
    made = {
        "train_x": np.zeros((4, 3), dtype=np.float32),
        "train_y": np.array([0, 1, 2, 1]),
        "test_x": np.ones((2, 3), dtype=np.float32),
        "test_y": np.array([0, 1]),
    }
    return {key: value for key, value in (made | changes).items() if value is not None}


def test_classes_default_to_the_highest_label_plus_one():
    assert from_arrays("toy", arrays()).classes == 3


def test_float_inputs_are_taken_as_they_are():
    values = np.array([[1.5, -2.0, 1e6]] * 4, dtype=np.float64)
    np.testing.assert_array_equal(from_arrays("toy", arrays(train_x=values)).train.inputs.numpy(), values)


def test_byte_images_are_standardised_by_the_training_set_alone_and_get_a_channel():
    train = np.array([0, 255, 0, 255], dtype=np.uint8).reshape(4, 1, 1)
    test = np.full((2, 1, 1), 255, dtype=np.uint8)
    dataset = from_arrays("toy", arrays(train_x=train, test_x=test))
    assert dataset.input_shape == (1, 1, 1)
    # Mean 1/2 and deviation 1/2 on the scale 0..1.
    assert dataset.train.inputs.flatten().tolist() == [-1, 1, -1, 1]
    assert dataset.test.inputs.flatten().tolist() == [1, 1]


def test_a_given_scale_replaces_the_training_sets_own():
    pixels = np.full((4, 1, 1), 51, dtype=np.uint8)
    dataset = from_arrays("toy", arrays(train_x=pixels, test_x=pixels[:2]), scale=(0.1, 0.5))
    np.testing.assert_allclose(dataset.train.inputs.flatten(), (51 / 255 - 0.1) / 0.5, rtol=1e-6)


def test_images_of_one_colour_do_not_divide_by_zero():
    pixels = np.full((4, 2, 2), 9, dtype=np.uint8)
    assert torch.isfinite(from_arrays("toy", arrays(train_x=pixels, test_x=pixels[:2])).train.inputs).all()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"test_y": None}, "lacks test_y"),
        ({"train_y": np.array([0, 1])}, r"labels must be int64 \(4,\)"),
        ({"train_y": np.array([0, 1, -1, 1])}, "labels span -1..1"),
        ({"train_y": np.array([0.0, 1.0, 2.0, 1.0])}, "labels must be integers, not float64"),
        ({"train_x": np.array(["a"] * 4)}, "inputs must be numbers"),
        ({"train_x": np.zeros(4)}, "inputs must be float32"),
        ({"test_x": np.zeros((2, 5))}, "differ in shape"),
        ({"test_x": np.zeros((0, 3)), "test_y": np.zeros(0, dtype=int)}, "at least one"),
        ({"users": np.arange(3)}, "3 users for 4 training samples"),
        ({"sample_names": np.array(["a"])}, "1 sample_names for 4"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, complaint):
    with pytest.raises(DataError, match=complaint):
        from_arrays("toy", arrays(**changes))


def test_a_split_knows_its_length():
    assert len(Split(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))) == 3
