"""The manual's template is a policy that keeps the contract, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fedswarm.jobs.built_in import POLICIES
from fedswarm.selection.conformance import CHECKS, Check

MANUAL = (Path(__file__).parents[3] / "docs" / "selection.md").read_text()
TEMPLATE = next(block for block in re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL) if "class " in block)


@pytest.fixture
def template() -> Any:
    names: dict[str, Any] = {}
    exec(TEMPLATE, names)
    return names["LongestWaiting"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_template_keeps_the_contract(template: Any, check: Check) -> None:
    check(template)


def test_every_policy_is_in_the_manual() -> None:
    assert all(f"| `{policy}` |" in MANUAL for policy in POLICIES)
