import csv

import numpy as np
import pytest

from fedswarm.errors import RunFailedError
from fedswarm.records.training_rows import TrainingRows


def write(folder, round_index=0):
    features = np.asarray([[0.1, 1.0], [0.0, -2.5]], dtype=np.float32)
    TrainingRows(folder, "bliss")("g", round_index, np.asarray([7, 9]), features, np.asarray([30.25, np.nan]))


def rows(folder):
    with (folder / "bliss_g.csv").open() as file:
        return list(csv.reader(file))


def test_a_row_holds_round_client_features_and_target(tmp_path):
    write(tmp_path / "metrics")
    assert rows(tmp_path / "metrics") == [
        ["round", "client_id", "f0", "f1", "target_utility"],
        ["0", "7", "0.1", "1.0", "30.25"],
        ["0", "9", "0.0", "-2.5", ""],
    ]


def test_a_file_has_one_head_however_often_it_is_opened(tmp_path):
    write(tmp_path)
    write(tmp_path, round_index=1)
    assert [row[0] for row in rows(tmp_path)] == ["round", "0", "0", "1", "1"]


def test_nothing_is_made_before_the_first_rows(tmp_path):
    TrainingRows(tmp_path / "metrics", "bliss")
    assert not (tmp_path / "metrics").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "metrics").write_text("")
    with pytest.raises(RunFailedError, match="cannot be written"):
        write(tmp_path / "metrics")
