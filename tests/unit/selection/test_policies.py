"""Policies by name, and of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedswarm.errors import JobError
from fedswarm.jobs.built_in import POLICIES
from fedswarm.jobs.schema import Job
from fedswarm.selection.contract import Moment, Selector
from fedswarm.selection.policies import make_selector

OWN = """
import numpy as np
from fedswarm.selection.contract import Policy

class First(Policy):
    def __init__(self, seed, skip=0):
        self.skip = skip

    def select_participants(self, count, moment):
        return moment.online[self.skip:][:count]

class Picky(Policy):
    def __init__(self, seed, must):
        pass

class NoPolicy:
    def __init__(self, seed):
        pass
"""


def named(policy: str, **options: Any) -> Selector:
    return make_selector(Job.model_validate({"selection": {"policy": policy, "options": options}}))


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_policies_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("policy", POLICIES)
def test_built_in_policies_are_found_by_name(policy: str) -> None:
    assert named(policy).describe()["algo"] == policy


def test_an_unknown_policy_is_told_what_there_is() -> None:
    with pytest.raises(JobError, match=r"'ort' is unknown: there are random, oort, pyramidfl"):
        named("ort")


def test_a_policy_of_ones_own_gets_its_options(own_module: str) -> None:
    moment = Moment(0.0, 0, 0, np.arange(10))
    assert named(f"{own_module}:First", skip=4).select_participants(3, moment).tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ("Missing", "has no function 'Missing'"),
        ("Picky", "TypeError: .*must"),
        ("NoPolicy", "has no t_budget_s, register_client, register_clients, .*derive it from"),
    ],
)
def test_faults_of_ones_own_policy_are_told(own_module: str, policy: str, fault: str) -> None:
    with pytest.raises(JobError, match=fault):
        named(f"{own_module}:{policy}")
