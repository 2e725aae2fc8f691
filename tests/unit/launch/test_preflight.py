import importlib.util
import sys

import pytest

from fedswarm.errors import DependencyError
from fedswarm.launch.preflight import broken_package, check


def test_a_machine_with_everything_passes():
    check()


def test_a_machine_without_torch_gets_one_clear_message(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else there(name))
    with pytest.raises(DependencyError, match=r"not installed: torch; .*pip install torch"):
        check()


def test_nothing_is_broken_here():
    assert broken_package() is None


def test_a_package_that_cannot_be_imported_is_told_with_the_reason(monkeypatch, tmp_path):
    (tmp_path / "blake3.py").write_text("raise OSError('libblake3.so: wrong ELF class')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "blake3", raising=False)
    told = str(broken_package())
    assert told.startswith("blake3 cannot be imported (OSError: libblake3.so: wrong ELF class); install it anew")
