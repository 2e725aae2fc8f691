import importlib.util

import pytest

from fedswarm.errors import DependencyError, JobError
from fedswarm.jobs.schema import Job
from fedswarm.launch.preflight import check


def test_a_machine_with_everything_passes():
    check(Job())


def test_a_machine_without_torch_gets_one_clear_message(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else there(name))
    with pytest.raises(DependencyError, match=r"not installed: torch; .*pip install torch"):
        check(Job())


def test_deployment_is_refused_with_the_way_out():
    with pytest.raises(JobError, match="set experiment_mode to simulation"):
        check(Job(experiment_mode="deployment"))
