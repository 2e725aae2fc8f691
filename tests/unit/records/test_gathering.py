import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.records.gathering import LEEWAY_ROUNDS, Gathering

PEERS = ("1", "2", "3")


@pytest.fixture
def gathering():
    return Gathering(PEERS)


def tell(gathering, index, *peers):
    for peer in peers:
        gathering.tell(index, peer, f"{peer} on {index}")


def complete(gathering, last=None):
    return {index: sorted(told) for index, told in gathering.take_complete(last)}


def test_a_round_is_complete_when_all_who_live_have_told_it(gathering):
    tell(gathering, 0, "1", "2")
    assert complete(gathering) == {}
    tell(gathering, 0, "3")
    assert complete(gathering) == {0: ["1", "2", "3"]}


def test_nobody_waits_for_one_that_is_gone_and_what_it_told_counts(gathering):
    tell(gathering, 0, "1", "2")
    tell(gathering, 1, "1")
    gathering.leave("3")
    assert complete(gathering) == {0: ["1", "2"]}
    gathering.leave("1")
    tell(gathering, 1, "2")
    assert complete(gathering) == {1: ["1", "2"]}


def test_who_goes_on_at_a_later_round_never_tells_of_those_between(gathering):
    for index in (0, 1, 2):
        tell(gathering, index, "1", "2")
    tell(gathering, 2, "3")
    assert complete(gathering) == {0: ["1", "2"], 1: ["1", "2"], 2: ["1", "2", "3"]}


def test_one_that_hangs_is_not_waited_for_when_most_are_well_ahead(gathering):
    for index in range(LEEWAY_ROUNDS + 1):
        tell(gathering, index, "1", "2")
    assert complete(gathering) == {0: ["1", "2"]}


def test_one_that_runs_ahead_alone_hurries_nobody(gathering):
    for index in range(10):
        tell(gathering, index, "1")
    assert complete(gathering) == {}


def test_a_round_comes_out_once_without_those_who_are_late(gathering):
    for index in range(LEEWAY_ROUNDS + 1):
        tell(gathering, index, "1", "2")
    complete(gathering)
    tell(gathering, 0, "3")
    assert complete(gathering) == {}


def test_a_stranger_counts_and_is_not_waited_for(gathering):
    tell(gathering, 0, "1", "2", "9", "3")
    assert complete(gathering) == {0: ["1", "2", "3", "9"]}


def test_rounds_after_the_last_wanted_stay(gathering):
    tell(gathering, 0, *PEERS)
    tell(gathering, 1, *PEERS)
    assert complete(gathering, last=0) == {0: ["1", "2", "3"]}
    assert complete(gathering) == {1: ["1", "2", "3"]}


def test_when_nobody_is_left_everything_is_complete(gathering):
    tell(gathering, 4, "2")
    for peer in PEERS:
        gathering.leave(peer)
    assert complete(gathering) == {4: ["2"]}


@given(st.permutations(PEERS * 4))
def test_however_the_peers_words_interleave_each_round_comes_out_once_and_in_order(tellers):
    gathering = Gathering(PEERS)
    told = dict.fromkeys(PEERS, 0)
    out = []
    for peer in tellers:
        gathering.tell(told[peer], peer, None)
        told[peer] += 1
        out += [index for index, _ in gathering.take_complete()]
    assert out == [0, 1, 2, 3]
