import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fedswarm.jobs.load import parse_job
from fedswarm.jobs.resolved import dump_job, job_digest, job_schema
from fedswarm.jobs.schema import Job
from fedswarm.jobs.section import Section
from fedswarm.jobs.vocabulary import settings

NO_DEADLINE = hypothesis_settings(deadline=None)

rates = st.floats(1e-12, 1e12)
option_values = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())


@st.composite
def jobs(draw):
    return Job.model_validate(
        {
            "job_name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
            "seed": draw(st.integers(0, 2**63 - 1)),
            "rounds": draw(st.integers(1, 10**6)),
            "data": {"name": draw(st.text(min_size=1)), "max_samples": draw(st.none() | st.integers(1))},
            "model": {"options": draw(st.dictionaries(st.text(max_size=8), option_values, max_size=3))},
            "training": {"learning_rate": draw(rates), "local_steps": draw(st.none() | st.integers(1, 10**9))},
            "exchange": {"chunk_kib": draw(st.just("auto") | st.integers(16, 4096))},
        }
    )


@NO_DEADLINE
@given(jobs())
def test_a_dumped_job_reads_back_equal(job):
    assert parse_job(dump_job(job)).job == job


@pytest.mark.parametrize("text", ["4e-5", "1e3", "0o17", "09", "no", "2026-01-01", "1:30", "null", "0x1", " a", "a: b"])
def test_text_that_looks_like_something_else_stays_text(text):
    job = Job.model_validate({"data": {"name": text}})
    assert parse_job(dump_job(job)).job.data.name == text


def test_a_dump_opens_with_what_it_is():
    assert dump_job(Job()).startswith("# The job in full")


@pytest.mark.parametrize(
    "changed",
    [{"cluster": {"executors": 7}}, {"exchange": {"broadcast": "direct"}}, {"job_name": "other"}],
    ids=["cluster", "exchange", "name"],
)
def test_the_digest_ignores_what_does_not_change_results(changed):
    assert job_digest(Job.model_validate(changed)) == job_digest(Job())


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"training": {"momentum": 0.8}},
        {"data": {"partition": {"alpha": 0.1}}},
        {"model": {"options": {"a": 1}}},
    ],
    ids=["seed", "training", "partition", "options"],
)
def test_the_digest_follows_what_changes_results(changed):
    assert job_digest(Job.model_validate(changed)) != job_digest(Job())


def test_the_digest_does_not_depend_on_the_order_of_options():
    one, other = ({"model": {"options": options}} for options in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert job_digest(Job.model_validate(one)) == job_digest(Job.model_validate(other))


def test_the_schema_is_json_and_refuses_unknown_keys():
    schema = json.loads(json.dumps(job_schema()))
    assert schema["title"] == "fedswarm job"
    assert schema["additionalProperties"] is False


def test_every_setting_has_a_description():
    assert [setting.dotted for setting in settings().values() if not setting.description] == []


def test_sections_are_immutable():
    with pytest.raises(ValueError, match="frozen"):
        Job().training.batch_size = 3  # type: ignore[misc]
    assert Section.model_config["frozen"]
