from __future__ import annotations

from fedswarm.swarm.events import FrameArrived, Receipted, Received
from fedswarm.swarm.instructions import Accept, Send
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Alive, Have, Receipt, Verdict, Want
from fedswarm.swarm.simulator.story import Story

KEY, OTHER = Key(1, "a"), Key(2, "a")


def lines(text: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in text.splitlines()]


def test_a_story_is_told_in_order_over_all_peers() -> None:
    story = Story()
    story.tell("b", Received("a", Have(KEY, ((0, 2),))), 0.5)
    story.tell("a", "*** crash of a", 0.25)
    story.tell("b", FrameArrived("a", KEY, 0, bytes(7), False), 0.75)
    assert lines(str(story)) == [
        "b Received(a, Have(round 1 of 'a', ((0, 2))))",
        "a *** crash of a",
        "b FrameArrived(a, round 1 of 'a', 0, <7 bytes>, False, False)",
    ]


def test_a_story_about_a_chunk_leaves_out_other_chunks_and_other_weights() -> None:
    story = Story()
    for what in (
        Send("a", Want(KEY, (3, 4))),
        Send("a", Want(KEY, (5,))),
        Received("a", Have(KEY, ((2, 2),))),
        Received("a", Have(KEY, ((4, 9),))),
        Accept(KEY, 3),
        Accept(OTHER, 3),
        Received("a", Alive()),
        Receipted("a", (Receipt(KEY, 9, Verdict.ACCEPTED),)),
    ):
        story.tell("b", what, 0.0)
    assert lines(story.about("b", key=KEY, index=3)) == [
        "b Send(a, Want(round 1 of 'a', (3, 4)))",
        "b Received(a, Have(round 1 of 'a', ((2, 2))))",
        "b Accept(round 1 of 'a', 3)",
        "b Received(a, Alive())",
    ]


def test_a_story_forgets_what_is_long_ago_for_each_peer_and_weights_apart() -> None:
    story = Story(length=2)
    for index in range(5):
        story.tell("a", Accept(KEY, index), float(index))
    story.tell("b", Accept(KEY, 7), 9.0)
    assert [entry.what.index for entry in story] == [3, 4, 7]


def test_a_story_ends_with_the_last_entries() -> None:
    story = Story()
    for index in range(5):
        story.tell("a", Accept(KEY, index), float(index))
    assert lines(story.about(most=2)) == ["a Accept(round 1 of 'a', 3)", "a Accept(round 1 of 'a', 4)"]
