import numpy as np
import pytest

from fedswarm.errors import ModelError
from fedswarm.launch.peer_models import peer_models
from fedswarm.models.checkpoint import save_safetensors
from fedswarm.models.layout import Layout, TensorSpec


@pytest.fixture
def leave_models(tmp_path):
    def leave(*models):
        for number, weights in enumerate(models, 1):
            layout = Layout((TensorSpec("weight", (len(weights),)),))
            save_safetensors(tmp_path / f"peer-{number}.safetensors", layout, np.array(weights, np.float32), {})
        return tmp_path

    return leave


def test_equal_models_are_no_distance_apart(leave_models):
    told = peer_models(leave_models(*[[0.1, 0.2, 0.3]] * 3))
    assert (told.peers, told.largest_difference, told.consensus_distance) == (["1", "2", "3"], 0.0, 0.0)


def test_the_difference_is_of_one_weight_and_the_distance_from_the_mean(leave_models):
    told = peer_models(leave_models([3.0, 0.0], [3.0, 8.0]))
    assert told.largest_difference == 8.0
    assert told.consensus_distance == 4.0
    assert told.norm == 5.0


def test_one_model_alone_is_not_compared(leave_models):
    assert peer_models(leave_models([1.0])) is None


def test_models_of_different_sizes_are_refused(leave_models):
    with pytest.raises(ModelError, match=r"peer-2.* 2 weights.*1"):
        peer_models(leave_models([1.0], [1.0, 2.0]))
