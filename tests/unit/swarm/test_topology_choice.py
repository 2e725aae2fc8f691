from __future__ import annotations

from typing import Any

import pytest

from fedswarm.errors import TopologyError
from fedswarm.jobs.exchange_sections import TopologySection
from fedswarm.jobs.schema import Job
from fedswarm.jobs.vocabulary import settings
from fedswarm.swarm.topologies import FAMILIES
from fedswarm.swarm.topology_choice import family_of, family_of_text, topology_of_job, topology_text

NEEDED: dict[str, dict[str, Any]] = {"erdos_renyi": {"probability": 0.5}, "custom": {"links": "1-2 2-3"}}


def section(**fields: Any) -> TopologySection:
    return TopologySection.model_validate(fields)


def test_a_job_can_ask_for_every_family() -> None:
    assert set(settings()["exchange", "topology", "kind"].choices) == {*FAMILIES, "auto"}


@pytest.mark.parametrize(
    ("peers", "mode", "kind"),
    [(16, "decentralized", "complete"), (17, "decentralized", "k_regular"), (17, "centralized", "complete")],
)
def test_only_many_peers_without_an_aggregator_are_linked_sparsely(peers: int, mode: str, kind: str) -> None:
    fields = {"experiment_mode": "deployment", "aggregation": {"mode": mode}, "cluster": {"executors": peers}}
    assert topology_of_job(Job.model_validate(fields)).kind == kind


def test_what_a_job_asks_for_goes_before_its_number_of_peers() -> None:
    assert topology_of_job(Job.model_validate({"exchange": {"topology": {"kind": "ring"}}})).kind == "ring"


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_what_is_announced_is_what_the_job_asks_for(kind: str) -> None:
    asked = section(kind=kind, **NEEDED.get(kind, {}))
    assert family_of_text(topology_text(asked)) == family_of(asked)
    assert (family_of(asked) is None) == (kind == "complete")


def test_everybody_with_everybody_needs_no_words() -> None:
    assert topology_text(section()) == ""


def test_parameters_reach_their_family() -> None:
    family = family_of(section(kind="tree", arity=4))
    assert family is not None
    names = [str(number) for number in range(1, 7)]
    assert family.build(names, 0).neighbours("1") == ("2", "3", "4", "5")


def test_links_of_ones_own_are_pairs() -> None:
    family = family_of(section(kind="custom", links="1-2, 2-3 3-4"))
    assert family is not None
    assert family.build(["1", "2", "3", "4"], 0).edges == {("1", "2"), ("2", "3"), ("3", "4")}


@pytest.mark.parametrize("links", ["1", "1-", "-1", "1-1"])
def test_half_a_link_is_none(links: str) -> None:
    with pytest.raises(TopologyError, match="is no link between two peers"):
        family_of(section(kind="custom", links=links))


@pytest.mark.parametrize(
    "text", ["nonsense", "[]", '{"kind": "moebius"}', '{"kind": "tree", "arity": -1}', '{"kind": "tree", "rows": 3}']
)
def test_a_text_off_the_wire_is_checked(text: str) -> None:
    with pytest.raises(TopologyError, match="describes no topology"):
        family_of_text(text)
