from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fedswarm.swarm.download import Download
from fedswarm.swarm.picker import pick_from_peer, pick_from_publisher

CHUNKS = 6


@pytest.fixture
def download(toy_weights: Callable[..., tuple[np.ndarray, object]]) -> Download:
    return Download(toy_weights(CHUNKS)[1], swarm=True, started_s=0.0, ties=np.linspace(0.9, 0.1, CHUNKS))


def test_a_peer_is_asked_only_for_what_it_holds(download: Download) -> None:
    assert pick_from_peer(download, "a") is None
    download.peer_holds("a", ((2, 1),), 0.0)
    assert pick_from_peer(download, "a") == 2


def test_held_and_requested_chunks_are_not_picked(download: Download) -> None:
    download.peer_holds("a", ((0, 3),), 0.0)
    download.held.add_run(0, 1)
    download.requests[1] = 1
    assert pick_from_peer(download, "a") == 2


def test_the_rarest_comes_first(download: Download) -> None:
    download.peer_holds("a", ((0, CHUNKS),), 0.0)
    download.peer_holds("b", ((1, CHUNKS - 1),), 0.0)
    assert pick_from_peer(download, "a") == 0


def test_ties_break_by_the_keyed_numbers(download: Download) -> None:
    download.peer_holds("a", ((0, CHUNKS),), 0.0)
    assert pick_from_peer(download, "a") == CHUNKS - 1


def test_a_silent_holder_is_not_asked_and_does_not_count(download: Download) -> None:
    download.peer_holds("a", ((0, CHUNKS),), 0.0)
    download.count("a", counted=False)
    assert pick_from_peer(download, "a") is None
    assert download.rarity.tolist() == [0] * CHUNKS
    download.count("a", counted=True)
    assert download.rarity.tolist() == [1] * CHUNKS


def test_the_publisher_is_asked_for_owned_chunks_only(download: Download) -> None:
    download.owned = np.arange(CHUNKS) == 4
    assert pick_from_publisher(download) == 4
    download.requests[4] = 1
    assert pick_from_publisher(download) is None


def test_the_publisher_is_spared_what_a_peer_holds(download: Download) -> None:
    download.peer_holds("a", ((0, CHUNKS),), 0.0)
    assert pick_from_publisher(download) is None
    download.remove_peer("a")
    assert pick_from_publisher(download) is not None


def test_a_peer_that_lacks_a_chunk_is_not_asked_again(download: Download) -> None:
    download.peer_holds("a", ((2, 1),), 0.0)
    download.peer_lacks("a", 2)
    download.peer_lacks("a", 2)
    assert pick_from_peer(download, "a") is None
    assert download.rarity[2] == 0
