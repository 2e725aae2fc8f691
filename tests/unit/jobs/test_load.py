from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fedswarm.errors import JobError, JobFileError
from fedswarm.jobs.load import load_job, parse_job
from fedswarm.jobs.schema import Job

NO_DEADLINE = hypothesis_settings(deadline=None)


def test_an_empty_mapping_is_the_default_job():
    assert parse_job("{}").job == Job()


def test_a_file_in_our_form_is_loaded_with_its_overrides(tmp_path):
    path = tmp_path / "job.yml"
    path.write_text("rounds: 3\ntraining:\n  learning_rate: 4e-5\n")
    loaded = load_job(path, ["training.batch_size=32"])
    assert (loaded.form, loaded.notices) == ("fedswarm", ())
    assert (loaded.job.rounds, loaded.job.training.learning_rate, loaded.job.training.batch_size) == (3, 4e-5, 32)


def test_a_section_whose_keys_are_all_commented_out_means_its_defaults():
    text = "training:\n#  batch_size: 3\ndata:\n  partition:\n"
    assert parse_job(text).job == Job()


def test_messages_name_the_file_as_the_user_did(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("rouds: 3\n")
    with pytest.raises(JobError, match="^" + str(path) + ":1:1: rouds: unknown key"):
        load_job(path)


def test_file_and_command_line_mistakes_are_told_together():
    with pytest.raises(JobError) as caught:
        parse_job("rounds: 0\n", "job.yml", ["seed=-1"])
    first, second = str(caught.value).splitlines()
    assert first.startswith("job.yml:1:9: rounds: ")
    assert second.startswith("--set seed=-1: seed: ")


def test_a_file_that_is_not_there_has_its_own_error():
    with pytest.raises(JobFileError):
        load_job(Path("no such job.yml"))


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["auto", "lr", "iid"])
)
keys = st.one_of(
    st.sampled_from([*Job.model_fields, "partition", "options", "batch_size", "path", "job_conf", "kind"]),
    st.text(max_size=5),
)
trees = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4), max_leaves=12
)


@NO_DEADLINE
@given(st.dictionaries(keys, trees, max_size=5))
def test_any_tree_is_a_job_or_a_located_error(tree):
    text = yaml.safe_dump(tree, allow_unicode=True)
    try:
        parse_job(text, "job.yml")
    except (JobError, JobFileError) as error:
        assert str(error).startswith("job.yml")


@NO_DEADLINE
@given(st.text(alphabet=st.sampled_from("ab:- \n[]{}&*!|>'\"%@#?,\t0.\x07é"), max_size=40))
def test_any_text_is_a_job_or_a_located_error(text):
    try:
        parse_job(text, "job.yml")
    except (JobError, JobFileError) as error:
        assert str(error).startswith("job.yml")


def test_adaptive_training_in_deployment_is_refused_with_both_ways_out():
    text = "experiment_mode: deployment\ntraining:\n  adaptive: {enabled: true}\n"
    with pytest.raises(JobError, match=r"simulation, or training\.adaptive\.enabled: false"):
        parse_job(text)
