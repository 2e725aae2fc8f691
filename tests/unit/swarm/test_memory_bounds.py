"""What others say and send fills no memory."""

import pytest

from fedswarm.errors import WireError
from fedswarm.swarm.events import FetchWanted
from fedswarm.swarm.instructions import Completed
from fedswarm.swarm.messages import (
    Alive,
    Cancel,
    Forget,
    Have,
    Lack,
    Want,
)
from tests.unit.swarm.lone_peer import SOON_S, LonePeer, Weights, answer_all, asked, done


def test_a_peer_remembers_nothing_of_weights_that_only_others_speak_of():
    """Defect B21: what a peer kept was counted in chunks, and at 200 it took no more, of any weights."""
    alone = LonePeer()
    alone.link("a")
    for round_index in range(200):
        weights = Weights("source", round_index=round_index)
        alone.hear("a", weights.bits(), Have(weights.key, ((0, 1),)), Want(weights.key, (0,)), Alive())
        alone.hear("a", Lack(weights.key, (0,)), Cancel(weights.key, (0,)), Forget(weights.key))
    state = alone.peer._state
    assert (state.contents, state.neighbours["a"].asked, state.neighbours["a"].cancelled) == ({}, {}, set())


def test_other_weights_under_the_same_name_begin_anew():
    alone, weights = LonePeer(), Weights("source")
    alone.fetch(weights)
    alone.holders(weights, "a")
    alone.wait(SOON_S)
    other = Weights("source", sample_count=7)
    out = alone.tell(FetchWanted(other.manifest, "", swarm=True))
    out += [*alone.hear("a", other.bits()), *alone.wait(SOON_S)]
    assert sorted(asked(out, "a")) == [0, 1, 2, 3]
    assert len(done(answer_all(alone, other, out, "a"), Completed)) == 1


def test_chunks_wanted_that_do_not_exist_are_refused():
    with pytest.raises(WireError, match="chunk 9"):
        LonePeer().fetch(Weights(chunks=4), indices=(0, 9))
