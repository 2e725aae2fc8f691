"""A job as it is kept and compared: its resolved YAML, its digest, and the schema that editors read."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import yaml

from fedswarm.jobs.schema import Job
from fedswarm.jobs.vocabulary import job_schema_of_fields
from fedswarm.jobs.yaml_source import CORE_BASED_INTEGER, CORE_FLOAT

_HEADER: Final = "# The job in full, defaults included; `fedswarm submit` takes this file again.\n"

# They say where a run happens, how its bytes travel and what it is called, never what it computes.
_WITHOUT_EFFECT: Final = {"job_name", "cluster", "exchange"}


class _JobDumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 (PyYAML's) or YAML 1.2 (:mod:`fedswarm.jobs.yaml_source`) would read differently."""


_JobDumper.add_implicit_resolver("tag:yaml.org,2002:float", CORE_FLOAT, list("-+.0123456789"))
_JobDumper.add_implicit_resolver("tag:yaml.org,2002:int", CORE_BASED_INTEGER, ["0"])


def dump_job(job: Job) -> str:
    """The job as YAML with every setting written out; :func:`fedswarm.jobs.load.parse_job` gives the same job back."""
    body = yaml.dump(job.model_dump(), Dumper=_JobDumper, sort_keys=False, width=120)
    return _HEADER + body


def job_digest(job: Job) -> str:
    """64 hexadecimal digits that are equal for jobs that compute the same.

    The name of the job and its sections ``cluster`` and ``exchange`` are left out: results depend on none of them.
    """
    settings = job.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(canonical.encode(), digest_size=32, person=b"fedswarm-job").hexdigest()


def job_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of fedswarm's own form, for editors and other tools."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **job_schema_of_fields(),
        "title": "fedswarm job",
        "description": "A federated-learning job: what is learnt, by whom, from which data, on which processes.",
    }
