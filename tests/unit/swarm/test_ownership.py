from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.ownership import owners

KEY = b"k" * 32
NAMES = st.sets(st.text(min_size=1), min_size=1, max_size=8)


@given(NAMES, st.integers(1, 300))
def test_every_chunk_has_one_owner_whatever_order_peers_are_listed_in(peers, chunks):
    dealt = owners(sorted(peers), KEY, chunks)
    assert len(dealt) == chunks
    assert set(dealt) <= peers
    assert owners(sorted(peers, reverse=True), KEY, chunks) == dealt


@given(NAMES.filter(lambda names: len(names) > 1))
def test_when_a_peer_leaves_only_its_chunks_change_owner(peers):
    gone = min(peers)
    before, after = owners(peers, KEY, 100), owners(peers - {gone}, KEY, 100)
    assert all(was in (gone, now) for was, now in zip(before, after, strict=True))


def test_chunks_are_shared_evenly():
    peers = [f"peer-{number}" for number in range(8)]
    assert all(800 < share < 1200 for share in Counter(owners(peers, KEY, 8_000)).values())


def test_different_weights_are_dealt_differently():
    assert owners(["a", "b"], KEY, 100) != owners(["a", "b"], b"q" * 32, 100)


def test_one_alone_owns_everything():
    assert owners(["a"], KEY, 50) == ["a"] * 50
