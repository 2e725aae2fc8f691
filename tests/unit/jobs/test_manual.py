"""The manual's tables say what the code does."""

import re
from pathlib import Path

import pytest

from fedswarm import errors
from fedswarm.errors import FedswarmError, JobError
from fedswarm.jobs.fedscale_arguments import ARGUMENTS
from fedswarm.jobs.load import parse_job
from fedswarm.jobs.vocabulary import settings

DOCS = Path(__file__).parents[3] / "docs"
JOB_FILE = (DOCS / "job-file.md").read_text()
EXIT_CODES = (DOCS / "exit-codes.md").read_text()
LEAVES = [setting for setting in settings().values() if not setting.is_section]
ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FedswarmError)]


def section_of(manual, heading):
    return manual.partition(f"\n### {heading}")[2].partition("\n### ")[0]


@pytest.mark.parametrize("setting", LEAVES, ids=lambda setting: setting.dotted)
def test_the_manual_describes_every_setting_as_the_schema_does(setting):
    written = setting.default
    default = "null" if written is None else str(written).lower() if isinstance(written, bool) else str(written)
    row = f"| `{setting.path[-1]}` | {setting.takes} | {default} | {setting.description} |"
    heading = f"`{'.'.join(setting.path[:-1])}`:" if len(setting.path) > 1 else "Top level"
    assert row in section_of(JOB_FILE, heading)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_manual_translates_every_argument_of_fedscale(name):
    assert f"| `{name}` | `{'.'.join(ARGUMENTS[name].target)}` | " in JOB_FILE


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", JOB_FILE, re.DOTALL)[:1])
def test_the_manuals_first_job_is_valid(block):
    assert parse_job(block).job.rounds == 30


def test_the_manuals_job_in_fedscales_form_is_valid():
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", JOB_FILE, re.DOTALL) if "job_conf" in block]
    assert parse_job(block).job.job_name == "clothes"


def test_the_manuals_mistakes_are_told_as_it_shows_them():
    text = (Path(__file__).parent / "mistaken" / "own_form.yml").read_text()
    with pytest.raises(JobError) as caught:
        parse_job(text, "job.yml", ["seed=-1"])
    shown = re.search(r"```\n(job\.yml:2:1.*?)\n```", JOB_FILE, re.DOTALL)[1].splitlines()
    assert set(shown) <= set(str(caught.value).splitlines())


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code_in_the_manual(kind):
    assert f"| {kind.exit_code} | {kind.__name__} | " in EXIT_CODES


def test_exit_codes_are_not_shared():
    codes = [kind.exit_code for kind in ERRORS]
    assert len(set(codes)) == len(codes)
