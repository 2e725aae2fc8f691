"""What can be known to go wrong before anything starts."""

from __future__ import annotations

import importlib.util
from typing import Final

from fedswarm.errors import DependencyError, JobError
from fedswarm.jobs.schema import Job

# What the services import beyond the command line's own needs, and what to install for it.
NEEDED: Final = {"torch": "torch", "numpy": "numpy", "grpc": "grpcio", "safetensors": "safetensors", "blake3": "blake3"}


def check(job: Job) -> None:
    """Looks, without importing anything, whether this job can run here.

    Raises:
        JobError: the job asks for what this version cannot do.
        DependencyError: a package is missing.
    """
    if job.experiment_mode == "deployment":
        raise JobError(
            "experiment_mode: deployment is not available yet: executors as real devices arrive in a later version; "
            "set experiment_mode to simulation"
        )
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        raise DependencyError(
            f"not installed: {names}; run `make setup`, or: python -m pip install {' '.join(missing)}"
        )
