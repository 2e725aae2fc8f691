from pathlib import Path

import pytest

from fedswarm.jobs.load import load_job

CONFIGS = Path(__file__).parents[3] / "benchmark" / "configs"
READY = sorted(CONFIGS.glob("*/*.yml"))


@pytest.mark.parametrize("path", READY, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_ready_job_is_valid(path):
    assert load_job(path).job.rounds > 0


@pytest.mark.parametrize("task", ["fashion_mnist", "femnist", "speech", "openimage", "stackoverflow"])
@pytest.mark.parametrize("name", ["random", "oort", "pyramidfl", "bliss", "bliss_adapt"])
def test_every_policy_has_a_job_on_every_task(task, name):
    job = load_job(CONFIGS / task / f"{name}.yml").job
    assert job.selection.policy == name.removesuffix("_adapt")
    assert job.training.adaptive.enabled == name.endswith("_adapt")


def test_the_first_job_of_a_newcomer_is_there():
    assert CONFIGS / "fashion_mnist" / "random.yml" in READY


def test_jobs_in_fedscales_form_are_in_their_own_folder():
    forms = {path.relative_to(CONFIGS).parts[0]: load_job(path).form for path in READY}
    assert {folder for folder, form in forms.items() if form == "fedscale"} == {"fedscale"}
