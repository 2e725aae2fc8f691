"""What can be known to go wrong before anything starts."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Final

from fedswarm.errors import DependencyError
from fedswarm.jobs.schema import Job

# What the services import beyond the command line's own needs, and what to install for it.
NEEDED: Final = {"torch": "torch", "numpy": "numpy", "grpc": "grpcio", "safetensors": "safetensors", "blake3": "blake3"}


def check(job: Job) -> None:
    """Looks whether a job can run here, without importing what only the services need.

    Raises:
        DependencyError: a package is missing.
        TopologyError: the peers cannot be linked as the job says.
    """
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        raise DependencyError(
            f"not installed: {names}; run `make setup`, or: python -m pip install {' '.join(missing)}"
        )
    check_links(job)


def check_links(job: Job) -> None:
    """Looks whether the executors can be linked as the job says; raises :class:`TopologyError`.

    Says nothing where numpy is missing. With an aggregator a single executor needs no link.
    """
    decentralized, executors = job.aggregation.mode == "decentralized", job.cluster.executors
    chosen = job.exchange.topology.kind != "auto" and executors > 1
    if (decentralized or chosen) and importlib.util.find_spec("numpy") is not None:
        from fedswarm.launch.peer_plan import founding_topology  # numpy, for these jobs alone

        founding_topology(job)


def broken_package() -> DependencyError | None:
    """The first package that is there but cannot be imported, if any: a likely reason for whatever has failed."""
    for module, package in NEEDED.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken installation may raise anything
            reason = f"{type(error).__name__}: {error}"
            return DependencyError(
                f"{package} cannot be imported ({reason}); install it anew: "
                f"python -m pip install --force-reinstall {package}"
            )
    return None
