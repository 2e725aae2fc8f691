"""How far an offer of weights goes."""

from __future__ import annotations

import pytest

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import LinkUp, Published, Received, Spreading
from fedswarm.swarm.handshake import PROTOCOL
from fedswarm.swarm.instructions import Ban, Instruction, Offered, Send, TookLeave
from fedswarm.swarm.manifest import Manifest
from fedswarm.swarm.messages import Address, Goodbye, Hello, Offer
from fedswarm.swarm.peer import Peer
from fedswarm.swarm.simulator.world import random_weights


def manifest_of(source: str) -> Manifest:
    return random_weights(source, 2, 16 * KIB, seed=1).manifest


@pytest.fixture
def peer() -> Peer:
    """Linked with ``a`` and ``b``."""
    peer = Peer(Address("me", "me:1"), manifest_of("a").job)
    for name in "ab":
        peer.handle(hello(name), 0.0)
    return peer


def hello(name: str) -> LinkUp:
    return LinkUp(Hello(PROTOCOL, manifest_of("a").job, Address(name, f"{name}:1")))


def told(instructions: list[Instruction]) -> set[str]:
    return {said.peer for said in instructions if isinstance(said, Send) and isinstance(said.message, Offer)}


def test_an_offer_is_passed_on_once(peer: Peer) -> None:
    manifest = manifest_of("a")
    first = peer.handle(Received("a", Offer(manifest)), 1.0)
    assert told(first) == {"b"} and Offered(manifest, "a") in first
    assert peer.handle(Received("b", Offer(manifest)), 1.0) == []


def test_an_offer_for_neighbours_is_not_passed_on(peer: Peer) -> None:
    manifest = manifest_of("a/model")
    heard = peer.handle(Received("a", Offer(manifest)), 1.0)
    assert told(heard) == set() and Offered(manifest, "a") in heard
    assert told(peer.handle(hello("c"), 2.0)) == set()


def test_ones_own_offer_for_neighbours_reaches_those_who_come_later(peer: Peer) -> None:
    published = peer.handle(Published(manifest_of("me/model"), Spreading.ANSWER, offer=True), 1.0)
    assert told(published) == {"a", "b"}
    assert told(peer.handle(hello("c"), 2.0)) == {"c"}


def test_who_passes_on_an_offer_for_neighbours_is_banned(peer: Peer) -> None:
    heard = peer.handle(Received("b", Offer(manifest_of("a/model"))), 1.0)
    assert [said.peer for said in heard if isinstance(said, Ban)] == ["b"]


def test_a_goodbye_is_told_to_the_application(peer: Peer) -> None:
    assert TookLeave("a") in peer.handle(Received("a", Goodbye("leaving")), 1.0)
