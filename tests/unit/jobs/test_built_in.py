"""The names that rooms with torch have are those that the others know."""

import fedswarm.models.zoo as zoo
from fedswarm.data.load import IDX_SCALES
from fedswarm.jobs import built_in


def test_the_models_are_those_of_the_zoo():
    assert set(built_in.MODELS) == set(zoo.BUILDERS)


def test_the_data_sets_in_idx_files_are_those_that_are_read():
    assert set(built_in.IDX_DATA_SETS) == set(IDX_SCALES)
