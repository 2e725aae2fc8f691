from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.errors import TopologyError, WireError
from fedswarm.swarm import introductions
from fedswarm.swarm.announcements import Announcement, Progress, Publication, Reference
from fedswarm.swarm.introductions import Introductions, Lease, Notice
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Address
from fedswarm.swarm.topology import Family, Topology

ROOT = bytes(32)


class Ring(Family):
    """A ring in the order of arrival, as small as can be."""

    def build(self, names: Any, seed: int) -> Topology:
        pairs = zip(names, [*names[1:], names[0]], strict=True)
        return Topology.of(names, (pair for pair in pairs if pair[0] != pair[1]))

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        return self.build((*topology.names, name), seed)

    def leave(self, topology: Topology, name: str, seed: int) -> Topology:
        return self.build([other for other in topology.names if other != name], seed)


class Pairs(Ring):
    """Begins with even numbers of peers only; then each newcomer is linked to the one before."""

    def build(self, names: Any, seed: int) -> Topology:
        if len(names) % 2:
            raise TopologyError("odd")
        return super().build(names, seed)

    def join(self, topology: Topology, name: str, seed: int) -> Topology:
        return Topology.of((*topology.names, name), [*topology.edges, (topology.names[-1], name)])


def family_of(topology: str) -> Family | None:
    return {"ring": Ring(), "pairs": Pairs()}.get(topology)


class Town:
    """A registry and what its peers heard, as their shells would have applied it."""

    def __init__(self, topology: str = "", wanted: int = 0, seed: int = 0, founders: int = 0) -> None:
        self.registry = Introductions(10.0, family_of, seed)
        self.topology = topology
        self.wanted = wanted
        self.founders = founders
        self.leases: dict[str, Lease] = {}
        self.dials: dict[str, dict[str, str]] = {}
        self.expects: dict[str, set[str]] = {}
        self.said = 0

    def announce(self, peer: str, now_s: float = 0.0, **fields: Any) -> list[str]:
        """Returns whom the peer is to dial."""
        announcement = Announcement(
            "j",
            Address(peer, f"host:{peer}"),
            wanted_peers=self.wanted,
            topology=self.topology,
            founders=self.founders,
        )
        lease, notices = self.registry.announce(replace(announcement, **fields), now_s)
        self.leases[peer] = lease
        self.dials.setdefault(peer, {})
        self.expects.setdefault(peer, set())
        self._apply(notices)
        assert notices[0].lease == lease
        return [address.peer for address in notices[0].joined]

    def leave(self, peer: str) -> None:
        del self.dials[peer], self.expects[peer]
        self._apply(self.registry.leave(self.leases.pop(peer)))

    def settle(self, now_s: float) -> None:
        self._apply(self.registry.settle(now_s))

    def _apply(self, notices: list[Notice]) -> None:
        for notice in notices:
            assert notice.lease == self.leases[notice.lease.peer]
            dials = self.dials[notice.lease.peer]
            expects = self.expects[notice.lease.peer]
            for peer in notice.left:
                dials.pop(peer, None)
                expects.discard(peer)
            expects.update(notice.expected)
            dials.update({address.peer: address.target for address in notice.joined})
            self.said += len(notice.left) + len(notice.joined)

    @property
    def links(self) -> set[tuple[str, str]]:
        return {(min(pair), max(pair)) for one, others in self.dials.items() for pair in ((one, o) for o in others)}

    def degree(self, peer: str) -> int:
        return sum(peer in link for link in self.links)


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_newcomer_is_to_link_with_all_who_are_there(town: Town) -> None:
    assert [town.announce(peer) for peer in "abc"] == [[], ["a"], ["a", "b"]]
    assert [address.peer for address in town.registry.peers("j")] == ["a", "b", "c"]


def test_jobs_do_not_see_each_other(town: Town) -> None:
    town.announce("a")
    assert town.announce("b", job="k") == []


def test_the_neighbours_of_who_leaves_are_told_and_nobody_else() -> None:
    town = Town("ring")
    for peer in "abcde":
        town.announce(peer)
    told = town.registry.leave(town.leases["c"])
    assert {notice.lease.peer: notice.left for notice in told} == {"b": ("c",), "d": ("c",)}
    assert [notice.joined for notice in told] == [(Address("d", "host:d"),), ()]
    assert [notice.expected for notice in told] == [(), ("b",)]


def test_leaving_is_once(town: Town) -> None:
    town.announce("a")
    town.announce("b")
    lease = town.leases["a"]
    assert [notice.left for notice in town.registry.leave(lease)] == [("a",)]
    assert town.registry.leave(lease) == []


def test_silence_ends_a_lease_and_renewal_keeps_it(town: Town) -> None:
    town.announce("a")
    town.announce("b")
    assert town.registry.renew(town.leases["a"], Announcement("j", Address("a", "host:a")), 9.0)
    assert town.registry.expired(10.5) == [town.leases["b"]]


def test_an_old_stream_cannot_end_or_renew_a_new_lease(town: Town) -> None:
    town.announce("a")
    old = town.leases["a"]
    town.announce("a", now_s=1.0)
    assert not town.registry.renew(old, Announcement("j", Address("a", "host:a")), 2.0)
    assert town.registry.leave(old) == []
    assert len(town.registry.peers("j")) == 1


def test_who_comes_back_keeps_its_links_and_its_neighbours_hear_only_where_it_went() -> None:
    town = Town("ring")
    for peer in "abcdef":
        town.announce(peer)
    links, said = town.links, town.said
    assert town.announce("c") == ["b", "d"]
    assert town.said - said == 2
    town.announce("c", address=Address("c", "elsewhere:1"))
    assert town.dials["b"]["c"] == town.dials["d"]["c"] == "elsewhere:1"
    assert town.links == links


def test_founders_are_linked_when_all_are_there_in_the_order_of_their_names() -> None:
    links = []
    for order in (["10", "2", "1", "3"], ["3", "1", "2", "10"]):
        town = Town("ring", founders=4)
        assert [town.announce(peer) for peer in order[:3]] == [[], [], []]
        assert len(town.announce(order[3])) == 2
        links.append(town.links)
    assert links[0] == links[1] == {("1", "2"), ("2", "3"), ("10", "3"), ("1", "10")}


def test_founders_do_not_wait_for_ever() -> None:
    town = Town("ring", founders=4)
    for peer in "abc":
        town.announce(peer, now_s=5.0)
    town.leave("b")
    town.settle(20.0)
    assert town.links == set()
    town.settle(26.0)
    assert town.links == {("a", "c")}
    assert town.announce("b", now_s=30.0) == ["a", "c"]
    assert town.links == {("a", "b"), ("b", "c"), ("a", "c")}


def test_founders_too_few_for_the_form_are_linked_as_it_goes() -> None:
    town = Town("pairs", founders=4)
    for peer in "abc":
        town.announce(peer)
    town.settle(100.0)
    assert town.links == {("a", "b"), ("b", "c")}


def test_a_job_is_forgotten_with_its_last_peer(town: Town) -> None:
    town.announce("a", topology="ring")
    with pytest.raises(WireError, match="start all peers of a job with the same job file"):
        town.announce("b")
    town.leave("a")
    assert town.announce("b") == []


@pytest.mark.parametrize("topology", ["", "ring"])
@settings(max_examples=40, deadline=None)
@given(moves=st.lists(st.integers(0, 30), max_size=60))
def test_what_peers_heard_adds_up_to_the_topology(topology: str, moves: list[int]) -> None:
    """Each number comes, or goes if it is there."""
    town = Town(topology, wanted=6)
    for move in moves:
        town.leave(f"p{move}") if f"p{move}" in town.dials else town.announce(f"p{move}")
    graph = town.registry.topology("j")
    assert town.links == (set() if graph is None else graph.edges)
    assert set(town.dials) == (set() if graph is None else set(graph.names))
    for peer, dials in town.dials.items():
        assert graph is not None and {*dials, *town.expects[peer]} == set(graph.neighbours(peer))


def test_a_tracker_knows_the_whole_job_when_all_had_time_to_come(town: Town) -> None:
    assert not town.registry.is_whole("j")
    town.announce("a", now_s=5.0)
    town.settle(24.0)
    assert not town.registry.is_whole("j")
    town.settle(25.0)
    assert town.registry.is_whole("j")
    town.announce("b", now_s=30.0)
    assert town.registry.is_whole("j")


def test_in_a_large_swarm_a_newcomer_gets_a_random_subset() -> None:
    town = Town(wanted=5)
    dials = [town.announce(f"p{number}") for number in range(60)]
    assert [len(named) for named in dials] == [min(number, 5) for number in range(60)]
    assert len({tuple(sorted(named)) for named in dials[20:]}) > 35


def test_random_subsets_follow_from_the_seed() -> None:
    towns = [Town(wanted=5, seed=seed) for seed in (1, 1, 2)]
    dials = [[town.announce(f"p{number}") for number in range(40)] for town in towns]
    assert dials[0] == dials[1] != dials[2]


def test_who_lost_most_of_its_neighbours_gets_new_ones() -> None:
    town = Town(wanted=8)
    for number in range(80):
        town.announce(f"p{number}")
    for number in range(60):
        town.leave(f"p{number}")
    assert min(town.degree(f"p{number}") for number in range(60, 80)) >= 4
    assert town.registry.topology("j") is not None  # in one piece


def test_a_join_or_leave_in_a_large_swarm_is_told_to_few() -> None:
    town = Town(wanted=6)
    for number in range(300):
        town.announce(f"p{number}")
    said = town.said
    town.announce("newcomer")
    town.leave("newcomer")
    assert town.said - said <= 6 + 6 + 2


def test_nobody_gets_more_peers_than_there_are_on_offer() -> None:
    town = Town(wanted=10**6)
    for number in range(250):
        named = town.announce(f"p{number}")
    assert len(named) == 200


def test_publications_are_found_by_round_as_long_as_their_holder_is_there(town: Town) -> None:
    """Defect B10: the tracker looked under another key than peers reported, and refused what relays hold."""
    sets = {peer: tuple(Reference(Key(number, peer), ROOT) for number in (1, 2)) for peer in "ab"}
    for peer, published in sets.items():
        town.announce(peer, published=published)
    found = town.registry.publications("j", 2)
    assert found == [Publication(Reference(Key(2, peer), ROOT), Address(peer, f"host:{peer}")) for peer in "ab"]
    town.leave("a")
    assert [each.holder.peer for each in town.registry.publications("j", 2)] == ["b"]
    assert town.registry.publications("j", 3) == town.registry.publications("other", 2) == []


def test_a_renewal_replaces_what_its_peer_publishes(town: Town) -> None:
    town.announce("a", published=(Reference(Key(1, "a"), ROOT),))
    renewal = Announcement("j", Address("a", "host:a"), published=(Reference(Key(2, "a"), ROOT),))
    town.registry.renew(town.leases["a"], renewal, 1.0)
    assert town.registry.publications("j", 1) == []
    assert len(town.registry.publications("j", 2)) == 1


def test_a_census_adds_up_what_peers_announced(town: Town) -> None:
    town.announce("seed", uplink_bps=5, progress=Progress(3, 10, 10, sent_bytes=100, received_bytes=7))
    town.announce("leech", uplink_bps=3, progress=Progress(3, 4, 10, sent_bytes=1, received_bytes=50))
    town.announce("idle")
    census = town.registry.census("j")
    assert (census.peers, census.seeds, census.uplink_bps) == (3, 1, 8)
    assert (census.held_chunks, census.wanted_chunks) == (14, 20)
    assert (census.sent_bytes, census.received_bytes) == (101, 57)
    assert town.registry.census("nobody's").peers == 0
    assert town.registry.topology("nobody's") is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"job": ""}, "job has 0 bytes"),
        ({"address": Address("", "t")}, "peer id has 0 bytes"),
        ({"address": Address("a", "")}, "target has 0 bytes"),
        ({"address": Address("é" * 101, "t")}, "peer id has 202 bytes"),
        ({"topology": "x" * 70_000}, "topology has 70000 bytes"),
        ({"published": (Reference(Key(1, "a"), ROOT),) * 17}, "17 sets of weights"),
        ({"published": (Reference(Key(1, "a"), b"short"),)}, "a root of 5 bytes"),
        ({"published": (Reference(Key(1, ""), ROOT),)}, "a reference to round 1 of ''"),
    ],
)
def test_announcements_beyond_their_bounds_are_refused(town: Town, fields: Any, complaint: str) -> None:
    with pytest.raises(WireError, match=complaint):
        town.announce("a", **fields)
    assert town.registry.peers("j") == []


def test_a_renewal_cannot_speak_for_somebody_else(town: Town) -> None:
    town.announce("a")
    for other in (Announcement("j", Address("b", "host:b")), Announcement("k", Address("a", "host:a"))):
        with pytest.raises(WireError, match="another peer, job or address"):
            town.registry.renew(town.leases["a"], other, 1.0)


def test_a_full_job_takes_no_more(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introductions, "MAX_PEERS_PER_JOB", 1)
    town.announce("a")
    town.announce("a")
    with pytest.raises(WireError, match="1 peers already"):
        town.announce("b")


def test_a_full_tracker_takes_no_more_jobs(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introductions, "MAX_JOBS", 2)
    town.announce("a", job="one")
    town.announce("a", job="two")
    with pytest.raises(WireError, match="2 jobs already"):
        town.announce("a", job="three")
    town.announce("b", job="two")


def test_every_pair_of_a_small_swarm_is_linked_whatever_the_order() -> None:
    for order in itertools.permutations("abcd"):
        town = Town()
        for peer in order:
            town.announce(peer)
        assert town.links == set(itertools.combinations("abcd", 2))
