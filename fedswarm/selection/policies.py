"""The policies by the names that jobs use."""

from __future__ import annotations

from fedswarm.jobs.schema import Job
from fedswarm.selection.contract import Selector
from fedswarm.selection.random_policy import RandomSelector


def make_selector(job: Job) -> Selector:
    """The policy that ``selection.policy`` names."""
    return {"random": RandomSelector}[job.selection.policy](job.seed)
