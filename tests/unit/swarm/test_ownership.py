from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.ownership import owned_by

ROOT = b"r" * 32
groups = st.sets(st.text("abcdef", min_size=1, max_size=4), min_size=2, max_size=9)


@given(groups, st.integers(1, 200))
def test_every_chunk_has_exactly_one_owner(peers: set[str], chunks: int) -> None:
    shares = [owned_by(peer, peers, ROOT, chunks) for peer in peers]
    assert np.sum(shares, axis=0).tolist() == [1] * chunks


@given(groups, st.data())
def test_a_leaver_moves_only_its_own_chunks(peers: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(peers)))
    for peer in peers - {gone}:
        before, after = owned_by(peer, peers, ROOT, 100), owned_by(peer, peers - {gone}, ROOT, 100)
        assert np.all(after >= before)


def test_shares_are_about_equal() -> None:
    peers = [f"executor-{i}" for i in range(8)]
    counts = [int(owned_by(peer, peers, ROOT, 8_000).sum()) for peer in peers]
    assert min(counts) > 880
    assert max(counts) < 1_120


def test_other_weights_are_shared_out_otherwise() -> None:
    assert not np.array_equal(owned_by("a", ["b"], ROOT, 100), owned_by("a", ["b"], b"q" * 32, 100))


def test_the_only_peer_owns_everything() -> None:
    assert owned_by("a", [], ROOT, 50).all()
