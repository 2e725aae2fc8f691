import importlib.util
import sys

import pytest

from fedswarm.errors import DependencyError, TopologyError
from fedswarm.jobs.schema import Job
from fedswarm.launch.preflight import broken_package, check


def test_a_machine_with_everything_passes():
    check(Job())


def test_peers_without_an_aggregator_must_fit_their_topology():
    sections = {
        "experiment_mode": "deployment",
        "aggregation": {"mode": "decentralized"},
        "exchange": {"topology": {"kind": "hypercube"}},
    }
    check(Job.model_validate({**sections, "cluster": {"executors": 8}}))
    with pytest.raises(TopologyError, match="4 or 8"):
        check(Job.model_validate({**sections, "cluster": {"executors": 6}}))


def test_executors_with_an_aggregator_must_fit_the_topology_that_the_job_names_too():
    def cube(executors):
        return Job.model_validate(
            {"cluster": {"executors": executors}, "exchange": {"topology": {"kind": "hypercube"}}}
        )

    check(cube(4))
    check(cube(1))
    with pytest.raises(TopologyError, match="a hypercube of 3 peers"):
        check(cube(3))


def test_a_machine_without_torch_gets_one_clear_message(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else there(name))
    with pytest.raises(DependencyError, match=r"not installed: torch; .*pip install torch"):
        check(Job())


def test_nothing_is_broken_here():
    assert broken_package() is None


def test_a_package_that_cannot_be_imported_is_told_with_the_reason(monkeypatch, tmp_path):
    (tmp_path / "blake3.py").write_text("raise OSError('libblake3.so: wrong ELF class')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "blake3", raising=False)
    told = str(broken_package())
    assert told.startswith("blake3 cannot be imported (OSError: libblake3.so: wrong ELF class); install it anew")
