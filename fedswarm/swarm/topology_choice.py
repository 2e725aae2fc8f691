"""The topology that a job asks for, and the text by which its peers tell their trackers of it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fedswarm.errors import TopologyError
from fedswarm.jobs.exchange_sections import TopologySection
from fedswarm.swarm.topologies import FAMILIES
from fedswarm.swarm.topology import Family


def topology_text(section: TopologySection) -> str:
    """What an announcement says of a job's topology: JSON; nothing if everybody is linked with everybody."""
    return "" if section.kind == "complete" else section.model_dump_json(exclude_none=True)


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
    """The form that a job asks for; ``None`` for everybody with everybody. Raises :class:`TopologyError`."""
    if section.kind == "complete":
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
