import importlib.util

import pytest

from fedswarm.errors import DependencyError
from fedswarm.launch.preflight import check


def test_a_machine_with_everything_passes():
    check()


def test_a_machine_without_torch_gets_one_clear_message(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else there(name))
    with pytest.raises(DependencyError, match=r"not installed: torch; .*pip install torch"):
        check()
