"""``fedswarm validate`` and ``fedswarm schema``: is this job right, and what may stand in one?"""

from __future__ import annotations

import json

import typer

from fedswarm.cli.checked_job import load_checked_job
from fedswarm.cli.options import AsJson, JobFile, Overrides
from fedswarm.cli.output import result, result_json, say
from fedswarm.errors import FedswarmError
from fedswarm.jobs.resolved import job_schema


def validate(job_file: JobFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check a job file without starting anything; every mistake is named with its place."""
    try:
        loaded = load_checked_job(job_file, overrides or [])
    except FedswarmError as error:
        if not as_json:
            raise
        result_json({"valid": False, "mistakes": str(error).splitlines()})
        raise typer.Exit(error.exit_code) from None
    if as_json:
        job = loaded.job.model_dump(mode="json")
        result_json({"valid": True, "form": loaded.form, "notices": loaded.notices, "job": job})
        return
    for notice in loaded.notices:
        say(notice)
    result(f"{job_file}: a valid job ({loaded.job.job_name}, {loaded.job.rounds} rounds, {loaded.form} form)")


def schema() -> None:
    """Print the JSON schema of job files, for editors."""
    result(json.dumps(job_schema(), indent=2))
