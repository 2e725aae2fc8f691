"""A job as the commands take it: whatever is wrong with it is told with its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fedswarm.cli.options import working_folder
from fedswarm.errors import TopologyError
from fedswarm.jobs.load import LoadedJob, load_job
from fedswarm.launch.preflight import check_links

FORM: Final = ("exchange", "topology", "kind")


def load_checked_job(job_file: Path, overrides: Sequence[str]) -> LoadedJob:
    """Reads a job, with what it names and how it links its peers looked at.

    Raises what :func:`load_job` does, and :class:`TopologyError`.
    """
    loaded = load_job(job_file, overrides, working_folder())
    try:
        check_links(loaded.job)
    except TopologyError as error:
        raise loaded.located(FORM, error) from None
    return loaded
