"""Bliss as a job asks for it."""

from __future__ import annotations

from pathlib import Path

from fedswarm.devices.device_catalogue import BRANDS, MODEL_CLUSTERS, load_catalogue
from fedswarm.jobs.schema import Job
from fedswarm.selection.bliss.collection import RowSink
from fedswarm.selection.bliss.policy import BlissSelector


def make_bliss(job: Job, sink: RowSink | None = None) -> BlissSelector:
    """The policy of ``selection.bliss``; reads the lists of brands and models.

    Raises :class:`~fedswarm.errors.DataError` if one of these is no list, and
    :class:`~fedswarm.errors.DependencyError` if a regressor's package is not installed.
    """
    section = job.selection.bliss
    catalogue = load_catalogue(
        Path(section.brands) if section.brands else BRANDS,
        Path(section.model_clusters) if section.model_clusters else MODEL_CLUSTERS,
    )
    return BlissSelector(
        section,
        job.seed,
        job.selection.t_budget_s,
        adaptive=job.training.adaptive.enabled,
        catalogue=catalogue,
        sink=sink if section.collect_data else None,
    )
