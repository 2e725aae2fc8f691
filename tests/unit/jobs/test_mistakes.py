from pathlib import Path

import pytest

from fedswarm.errors import JobError
from fedswarm.jobs.load import parse_job
from fedswarm.jobs.mistakes import SHOWN_CHARACTERS, shown, unknown_key

MISTAKEN = sorted((Path(__file__).parent / "mistaken").glob("*.yml"))


@pytest.mark.parametrize("path", MISTAKEN, ids=lambda path: path.stem)
def test_every_mistake_of_a_file_is_told_at_its_place(path):
    with pytest.raises(JobError) as caught:
        parse_job(path.read_text(), "job.yml")
    assert str(caught.value) == path.with_suffix(".txt").read_text().rstrip("\n")


def test_there_are_mistaken_files():
    assert len(MISTAKEN) == 3


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("training", "batch_sise"), "did you mean batch_size?"),
        (("training", "participants"), "it belongs in another section: selection.participants"),
        (("training", "test_bsz"), "FedScale's test_bsz is evaluation.batch_size here"),
        (("overcomitment",), "did you mean selection.overcommitment?"),
        (("ps_ip",), "FedScale's form, which has it, has job_conf too"),
        (("evaluation", "zzz"), "evaluation has interval, batch_size, ratio, before_averaging"),
    ],
)
def test_an_unknown_key_comes_with_the_key_that_was_meant(path, hint):
    assert unknown_key(path).endswith(hint)


def test_long_values_are_cut():
    assert len(shown("x" * 1000)) == SHOWN_CHARACTERS


def test_values_stay_on_one_line():
    assert "\n" not in shown("a\nb")


def test_a_line_shows_control_characters_escaped():
    with pytest.raises(JobError) as caught:
        parse_job('"a\\n\\e[31m": 3', "job.yml")
    assert str(caught.value).startswith(r"job.yml:1:1: a\n\x1b[31m: unknown key")


def test_a_file_of_nothing_but_mistakes_is_told_whole():
    with pytest.raises(JobError) as caught:
        parse_job("\n".join(f"nonsense{i}: 1" for i in range(900)), "job.yml")
    assert len(str(caught.value).splitlines()) == 900


def test_a_number_where_text_or_nothing_belongs_is_to_be_put_in_quotes():
    with pytest.raises(JobError, match="put it in quotes: '3'"):
        parse_job("exchange: {topology: {kind: star, hub: 3}}", "job.yml")
