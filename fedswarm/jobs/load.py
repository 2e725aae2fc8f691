"""From a job file to a :class:`Job`: fedswarm's own form or FedScale's, with every mistake located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedswarm.errors import FedswarmError, JobError
from fedswarm.jobs.fedscale import is_fedscale, translate
from fedswarm.jobs.mistakes import (
    Mistake,
    job_error,
    misfits_of,
    repetition_mistakes,
    rule_mistakes,
    shape_mistakes,
)
from fedswarm.jobs.overrides import apply_overrides, replaces
from fedswarm.jobs.reading import Reading
from fedswarm.jobs.schema import Job
from fedswarm.jobs.surroundings import missing_things
from fedswarm.jobs.vocabulary import settings
from fedswarm.jobs.yaml_source import Node, parse_document, read_source


@dataclass(frozen=True)
class LoadedJob:
    """A valid job, what its reader should be told about it, and the form it was written in."""

    job: Job
    notices: tuple[str, ...] = ()
    form: Literal["fedswarm", "fedscale"] = "fedswarm"
    root: Node | None = None

    def located(self, path: tuple[str, ...], error: FedswarmError) -> FedswarmError:
        """An error that has come of the setting at ``path``, told as other mistakes in the job are."""
        node = None if self.root is None else Reading(self.root, frozenset()).node(path)
        if node is None:
            return error
        return type(error)(str(Mistake(node.place, node.label or ".".join(path), str(error))))


def load_job(path: Path, overrides: Sequence[str] = (), here: Path | None = None) -> LoadedJob:
    """Reads a job file and applies ``--set`` overrides (``"training.batch_size=32"``) to it.

    With ``here``, a folder, whatever the job names is looked for, too; relative paths start there.

    Raises :class:`~fedswarm.errors.JobFileError` if the file cannot be read or is not YAML, and
    :class:`~fedswarm.errors.JobError` with one line for every mistake in it; if all of them are about things that are
    not there, :class:`~fedswarm.errors.DataError` or :class:`~fedswarm.errors.ModelError`.
    """
    return parse_job(read_source(path), str(path), overrides, here)


def parse_job(text: str, name: str = "job.yml", overrides: Sequence[str] = (), here: Path | None = None) -> LoadedJob:
    """The same for a text; ``name`` stands in messages where the file's path would."""
    document = parse_document(text, name)
    root, mistakes = document.root, repetition_mistakes(document.repetitions)
    notices: tuple[str, ...] = ()
    form: Literal["fedswarm", "fedscale"] = "fedscale" if is_fedscale(root) else "fedswarm"
    if form == "fedscale":
        translation = translate(root)
        root, notices = translation.root, translation.notices
        mistakes += [mistake for mistake in translation.mistakes if not replaces(overrides, mistake.mended_by)]
    _fill_empty_sections(root)
    mistakes += apply_overrides(root, overrides)
    job, found = _validate(root, here)
    told = {mistake.place for mistake in mistakes}
    mistakes += [mistake for mistake in found if mistake.kind is JobError or mistake.place not in told]
    if mistakes or job is None:
        raise job_error(mistakes)
    return LoadedJob(job, notices, form, root)


def _validate(root: Node, here: Path | None) -> tuple[Job | None, list[Mistake]]:
    job: Job | None = None
    misfits: dict[tuple[str, ...], list[ErrorDetails]] = {}
    try:
        job = Job.model_validate(root.plain())
    except ValidationError as error:
        misfits = misfits_of(error, root)
    reading = Reading(root, frozenset(misfits))
    mistakes = shape_mistakes(misfits, root) + rule_mistakes(reading)
    return job, mistakes + ([] if here is None else missing_things(reading, here))


def _fill_empty_sections(root: Node) -> None:
    """A section whose keys are all commented out reads as null in YAML and means all its defaults."""
    for path, setting in settings().items():
        node: Node | None = root
        for step in path:
            node = node.value.get(step) if node is not None and isinstance(node.value, dict) else None
        if node is not None and node.value is None and setting.is_section:
            node.value = {}
