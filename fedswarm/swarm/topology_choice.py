"""The topology that a job asks for, and the text by which its peers tell their trackers of it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from fedswarm.errors import TopologyError
from fedswarm.jobs.exchange_sections import TopologySection
from fedswarm.jobs.schema import Job
from fedswarm.swarm.topologies import FAMILIES
from fedswarm.swarm.topology import Family

ALL_LINKED: Final = ("auto", "complete")
MOST_ALL_LINKED: Final = 16
"""Without an aggregator, more peers than these are not all linked with one another unless the job says so."""


def topology_of_job(job: Job) -> TopologySection:
    """What a job's ``auto`` means: everybody with everybody, or a k-regular graph among many peers.

    Only links between the many peers of a decentralised job carry weights that others need: there are too many of
    them if all are linked.
    """
    section = job.exchange.topology
    if section.kind != "auto":
        return section
    many = job.aggregation.mode == "decentralized" and job.cluster.executors > MOST_ALL_LINKED
    return TopologySection(kind="k_regular" if many else "complete")


def topology_text(section: TopologySection) -> str:
    """What an announcement says of a job's topology: JSON; nothing if everybody is linked with everybody."""
    return "" if section.kind in ALL_LINKED else section.model_dump_json(exclude_none=True)


def family_of_text(text: str) -> Family | None:
    """The form that such a text describes; ``None`` for everybody with everybody. Raises :class:`TopologyError`.

    Texts come from anybody: they are checked as a job is.
    """
    if not text:
        return None
    try:
        section = TopologySection.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise TopologyError(f"{text[:100]!r} describes no topology: {first['msg']}") from error
    return family_of(section)


def family_of(section: TopologySection) -> Family | None:
    """The form that a section asks for; ``None`` for everybody with everybody. Raises :class:`TopologyError`."""
    if section.kind in ALL_LINKED:
        return None
    parameters: dict[str, Any] = section.model_dump(exclude={"kind", "links"}, exclude_none=True)
    if section.links is not None:
        parameters["adjacency"] = _adjacency(section.links)
    return FAMILIES[section.kind](**parameters)


def _adjacency(links: str) -> dict[str, set[str]]:
    """Neighbours of each peer from pairs such as ``1-2 2-3``."""
    adjacency: dict[str, set[str]] = {}
    for pair in links.replace(",", " ").split():
        one, _, other = pair.partition("-")
        if not one or not other or one == other:
            raise TopologyError(f"{pair[:100]!r} is no link between two peers; write pairs such as 1-2")
        adjacency.setdefault(one, set()).add(other)
        adjacency.setdefault(other, set()).add(one)
    return adjacency
