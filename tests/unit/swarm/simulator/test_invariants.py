"""Each invariant catches the machine that breaks it: one says or does what it must not, and the run ends there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import (
    FetchWanted,
    FrameArrived,
    LinkDown,
    LinkUp,
    Published,
    Receipted,
    Received,
    Spreading,
    Tick,
)
from fedswarm.swarm.instructions import (
    Accept,
    Acknowledge,
    Ban,
    Completed,
    Deliver,
    Dial,
    Expired,
    Failed,
    Instruction,
    Send,
)
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.messages import Alive, Bitfield, Choke, Have, Lack, Receipt, Unchoke, Verdict, Want
from fedswarm.swarm.simulator.invariants import BreachError
from fedswarm.swarm.simulator.world import random_weights
from tests.unit.swarm.simulator.watched_hosts import WatchedHosts

CHUNK = 16 * KIB
WEIGHTS = random_weights("a", 4, CHUNK, seed=1)
KEY = WEIGHTS.manifest.key
CHUNKS = [bytes(WEIGHTS.data.data.cast("B")[WEIGHTS.manifest.range(i)]) for i in range(4)]
LIMITS = Limits(pipeline_bytes=2 * CHUNK, most_inflight_bytes=2 * CHUNK)
WANTED = FetchWanted(WEIGHTS.manifest, "a:1", swarm=True)


class Watch(WatchedHosts):
    """Hosts a, the publisher, b, who fetches from it and is linked with c as well, and what is seen of them."""

    def __init__(self) -> None:
        super().__init__(WEIGHTS, LIMITS)
        self.see("a", Published(WEIGHTS.manifest, Spreading.ANSWER, False))
        self.link("a", "b")
        self.link("b", "c")
        self.see("b", WANTED)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def arrival(index: int = 0, payload: bytes | None = None, peer: str = "a") -> FrameArrived:
    return FrameArrived(peer, KEY, index, CHUNKS[index] if payload is None else payload, False)


def taken(index: int = 0, peer: str = "a") -> tuple[Instruction, Instruction]:
    return Acknowledge(peer, KEY, index, Verdict.ACCEPTED), Accept(KEY, index)


def unchoke(watch: Watch) -> None:
    watch.see("b", Received("a", Unchoke()))
    watch.see("a", Tick(), Send("b", Unchoke()))


def test_a_faultless_exchange_is_no_breach(watch: Watch) -> None:
    unchoke(watch)
    watch.see("b", Tick(), Send("a", Want(KEY, (0, 1))))
    watch.see("a", Received("b", Want(KEY, (0, 1))), Deliver("b", KEY, 0, False), Deliver("b", KEY, 1, False))
    for index in range(4):
        watch.see("b", arrival(index), *taken(index), *([Completed(KEY)] if index == 3 else []))
    watch.see("a", Receipted("b", (Receipt(KEY, 0, Verdict.ACCEPTED),)))
    watch.invariants.check_end()


def test_a_breach_tells_the_story_of_the_chunk(watch: Watch) -> None:
    watch.see("b", arrival(1), *taken(1))
    with pytest.raises(BreachError, match="b accepts wrong bytes of a") as caught:
        watch.see("b", arrival(0, bytes(CHUNK)), *taken(0))
    story = str(caught.value)
    assert "b FrameArrived(a, round 0 of 'a', 0, <16384 bytes>" in story
    assert "b Accept(round 0 of 'a', 0)" in story
    assert "b Accept(round 0 of 'a', 1)" not in story


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (Send("d", Alive()), "speaks to d, which it is not linked with"),
        (Send("a", Want(KEY, (0,))), "asks a, which chokes it"),
        (Send("c", Have(KEY, ((0, 1),))), r"announces chunks \[0\]"),
        (Send("c", Bitfield(KEY, b"\x01")), "tells of chunks it does not hold"),
        (Deliver("c", KEY, 0, False), "sends chunk 0, which it does not hold"),
        (Accept(KEY, 0), "accepts a chunk that did not just arrive"),
        (Ban("a", "whim"), "bans a, which did nothing wrong"),
        (Completed(KEY), r"is complete without chunks \[0, 1, 2, 3\]"),
        (Expired(KEY), "expires before its deadline"),
        (Failed(KEY, "whim", True), "blames a, which sent nothing wrong"),
    ],
)
def test_what_must_not_be_said_or_done(watch: Watch, said: Instruction, fault: str) -> None:
    with pytest.raises(BreachError, match=fault):
        watch.see("b", Tick(), said)


def test_nobody_banned_is_spoken_to_or_dialled(watch: Watch) -> None:
    watch.culprits.add("a")
    watch.see("b", Tick(), Ban("a", "wrong bytes"))
    with pytest.raises(BreachError, match="speaks to a, which it banned"):
        watch.see("b", Tick(), Send("a", Alive()))
    with pytest.raises(BreachError, match="dials a, which it banned"):
        watch.see("b", Tick(), Dial("a", "a:1"))


def test_a_lost_link_is_not_spoken_on(watch: Watch) -> None:
    watch.see("b", LinkDown("a", "reset"))
    with pytest.raises(BreachError, match="not linked with"):
        watch.see("b", Tick(), Send("a", Alive()))


def test_a_new_link_begins_choked(watch: Watch) -> None:
    unchoke(watch)
    watch.see("b", LinkDown("a", "reset"))
    watch.see("b", LinkUp(watch.world.hosts["a"].hello))
    with pytest.raises(BreachError, match="asks a, which chokes it"):
        watch.see("b", Tick(), Send("a", Want(KEY, (0,))))


def test_a_chunk_is_accepted_once(watch: Watch) -> None:
    watch.see("b", arrival(), *taken())
    with pytest.raises(BreachError, match="accepts a chunk that it holds"):
        watch.see("b", arrival(), *taken())


@pytest.mark.parametrize("receipts", [0, 2])
def test_each_frame_has_one_receipt(watch: Watch, receipts: int) -> None:
    with pytest.raises(BreachError, match=f"gives {receipts} receipts for one frame"):
        watch.see("b", arrival(), *[Acknowledge("a", KEY, 0, Verdict.UNWANTED)] * receipts)


def test_a_frame_over_which_the_link_ends_needs_no_receipt(watch: Watch) -> None:
    watch.culprits.add("a")
    watch.see("b", arrival(0, bytes(CHUNK)), Ban("a", "wrong bytes"))


def test_a_receipt_is_for_a_frame_under_way(watch: Watch) -> None:
    with pytest.raises(BreachError, match="a receipt for a frame that is not under way"):
        watch.see("a", Receipted("b", (Receipt(KEY, 0, Verdict.ACCEPTED),)))


def test_no_more_is_asked_for_than_the_pipeline_holds(watch: Watch) -> None:
    unchoke(watch)
    watch.see("b", Tick(), Send("a", Want(KEY, (0, 1))))
    with pytest.raises(BreachError, match="asks twice"):
        watch.see("b", Tick(), Send("a", Want(KEY, (0,))))
    with pytest.raises(BreachError, match="asks for 49152 bytes ahead"):
        watch.see("b", Tick(), Send("a", Want(KEY, (2,))))


def test_a_denied_request_makes_room_for_another(watch: Watch) -> None:
    unchoke(watch)
    watch.see("b", Tick(), Send("a", Want(KEY, (0, 1))))
    watch.see("b", Received("a", Lack(KEY, (0,))), Send("a", Want(KEY, (2,))))


def test_no_more_is_under_way_than_the_limits_say(watch: Watch) -> None:
    unchoke(watch)
    watch.see("a", Tick(), Deliver("b", KEY, 0, False), Deliver("b", KEY, 1, False))
    with pytest.raises(BreachError, match="has 49152 bytes under way"):
        watch.see("a", Tick(), Deliver("b", KEY, 2, False))


def test_who_is_choked_is_sent_only_what_is_a_duty(watch: Watch) -> None:
    watch.see("b", replace(arrival(), relay=True), *taken())
    watch.see("b", arrival(1), *taken(1))
    watch.see("b", Tick(), Deliver("c", KEY, 0, False))
    unchoke(watch)
    watch.see("a", Tick(), Send("b", Choke()))
    with pytest.raises(BreachError, match="sends a chunk to c, which it chokes"):
        watch.see("b", Tick(), Deliver("c", KEY, 1, False))


def test_a_fetch_must_not_fail_while_an_honest_holder_is_linked(watch: Watch) -> None:
    watch.see("b", Tick())
    watch.wait(LIMITS.starvation_s + 1.0)
    with pytest.raises(BreachError, match="fails although a holds a missing chunk"):
        watch.see("b", Tick(), Failed(KEY, "nobody is there", False))


@pytest.mark.parametrize("trouble", ["crash", "freeze", "partition", "culprit"])
def test_a_fetch_may_fail_when_the_only_holder_is_of_no_use(watch: Watch, trouble: str) -> None:
    watch.wait(LIMITS.starvation_s + 1.0)
    match trouble:
        case "crash":
            watch.world.crash("a", silently=True)
        case "freeze":
            watch.world.freeze("a")
        case "partition":
            watch.world.network.partition(frozenset("a"))
        case "culprit":
            watch.culprits.add("a")
    watch.see("b", Tick(), Failed(KEY, "nobody is there", False))


def test_a_fetch_ends_once(watch: Watch) -> None:
    watch.culprits.add("a")
    watch.see("b", Tick(), Failed(KEY, "nobody is there", False))
    with pytest.raises(BreachError, match="ends a fetch that does not go on"):
        watch.see("b", Tick(), Failed(KEY, "nobody is there", False))


def test_at_the_end_no_fetch_goes_on(watch: Watch) -> None:
    watch.world.fetch(watch.world.hosts["c"], WANTED)
    with pytest.raises(BreachError, match="c still fetches round 0 of 'a'"):
        watch.invariants.check_end()


def test_at_the_end_a_dead_host_fetches_nothing(watch: Watch) -> None:
    watch.world.fetch(watch.world.hosts["c"], WANTED)
    watch.world.crash("c")
    watch.invariants.check_end()


def test_bytes_that_arrived_were_sent(watch: Watch) -> None:
    watch.world.hosts["b"].traffic.payload_bytes[Verdict.ACCEPTED] = 1
    with pytest.raises(BreachError, match="1 bytes of chunks arrived of 0 that were sent"):
        watch.invariants.check_end()
