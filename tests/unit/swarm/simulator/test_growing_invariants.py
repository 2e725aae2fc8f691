"""What must hold of weights that grow, and of applications: each invariant catches whoever breaks it."""

from __future__ import annotations

import pytest
from blake3 import blake3

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import BecameFinal, FetchWanted, FrameArrived, Published, Received, Spreading, Tick
from fedswarm.swarm.instructions import Accept, Acknowledge, Completed, Deliver, Failed, Instruction, Send
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.messages import Final, Unchoke, Verdict, Want
from fedswarm.swarm.simulator.invariants import BreachError
from fedswarm.swarm.simulator.world import growing_weights
from tests.unit.swarm.simulator.watched_hosts import WatchedHosts

WEIGHTS = growing_weights("a", 3, 16 * KIB, seed=1)
KEY = WEIGHTS.manifest.key
CHUNKS = [WEIGHTS.chunk(index) for index in range(3)]
DIGESTS = tuple(blake3(chunk).digest() for chunk in CHUNKS)
LIMITS = Limits()
ALONE = FetchWanted(WEIGHTS.manifest, "a:1", swarm=False, indices=(0,))


class Watch(WatchedHosts):
    """Host a makes weights of which chunks 0 and 1 are final, b fetches them, and c is linked with both."""

    def __init__(self) -> None:
        super().__init__(WEIGHTS, LIMITS)
        for one, other in ("ab", "bc", "ac"):
            self.link(one, other)
        self.see("a", Published(WEIGHTS.manifest, Spreading.ANSWER, False))
        for index in (0, 1):
            self.see("a", BecameFinal(KEY, index, DIGESTS[index]))
        self.see("b", FetchWanted(WEIGHTS.manifest, "a:1", swarm=True))
        self.see("b", Received("a", Unchoke()))


@pytest.fixture
def watch() -> Watch:
    return Watch()


def arrival(index: int, payload: bytes, peer: str = "a") -> FrameArrived:
    return FrameArrived(peer, KEY, index, payload, False)


def taken(index: int, peer: str = "a") -> tuple[Instruction, Instruction]:
    return Acknowledge(peer, KEY, index, Verdict.ACCEPTED), Accept(KEY, index)


def test_a_chunk_may_be_asked_for_and_taken_once_its_publisher_named_the_digest(watch: Watch) -> None:
    watch.see("a", Tick(), Send("b", Final(KEY, 0, DIGESTS[:2])))
    watch.see("b", Received("a", Final(KEY, 0, DIGESTS[:2])), Send("a", Want(KEY, (0, 1))))
    watch.see("b", arrival(0, CHUNKS[0]), *taken(0))


def test_nothing_is_asked_for_or_taken_on_the_word_of_others(watch: Watch) -> None:
    watch.see("b", Received("c", Final(KEY, 0, DIGESTS[:1])))
    with pytest.raises(BreachError, match="asks for a chunk whose digest its publisher did not name"):
        watch.see("b", Tick(), Send("a", Want(KEY, (0,))))
    with pytest.raises(BreachError, match="accepts a chunk whose digest its publisher did not name"):
        watch.see("b", arrival(0, CHUNKS[0]), *taken(0))


def test_a_digest_that_the_publisher_named_later_does_not_count(watch: Watch) -> None:
    watch.culprits.add("a")
    watch.see("b", Received("a", Final(KEY, 0, (DIGESTS[1],))))
    watch.see("b", Received("a", Final(KEY, 0, (DIGESTS[0],))))
    with pytest.raises(BreachError, match="accepts other bytes of c than the publisher named"):
        watch.see("b", arrival(0, CHUNKS[0], "c"), *taken(0, "c"))


def test_even_bytes_that_fit_the_digest_must_be_the_true_ones(watch: Watch) -> None:
    other = bytes(16 * KIB)
    watch.see("b", Received("a", Final(KEY, 0, (blake3(other).digest(),))))
    with pytest.raises(BreachError, match="accepts wrong bytes of a"):
        watch.see("b", arrival(0, other), *taken(0))


@pytest.mark.parametrize(
    ("name", "said", "fault"),
    [
        ("a", Send("b", Final(KEY, 1, DIGESTS[1:])), "names the digest of chunk 2, which is not final"),
        ("a", Send("b", Final(KEY, 0, (DIGESTS[1],))), "names a wrong digest of chunk 0"),
        ("a", Deliver("b", KEY, 2, False), "sends chunk 2, which it does not hold"),
        ("b", Send("c", Final(KEY, 0, DIGESTS[:1])), "names digests of round 0 of 'a', which it does not publish"),
    ],
)
def test_what_must_not_be_said_of_weights_that_grow(watch: Watch, name: str, said: Instruction, fault: str) -> None:
    with pytest.raises(BreachError, match=fault):
        watch.see(name, Tick(), said)


def test_a_fetch_may_fail_when_others_hold_only_what_the_publisher_did_not_name(watch: Watch) -> None:
    watch.see("c", FetchWanted(WEIGHTS.manifest, "a:1", swarm=True))
    watch.see("c", Received("a", Final(KEY, 0, DIGESTS[:1])))
    watch.see("c", arrival(0, CHUNKS[0]), *taken(0))
    watch.wait(LIMITS.starvation_s + 1.0)
    watch.world.crash("a", silently=True)
    watch.see("b", Tick(), Failed(KEY, "nobody is there", False))


def test_what_was_fetched_alone_is_served_to_nobody(watch: Watch) -> None:
    watch.see("c", ALONE)
    watch.see("c", Received("a", Final(KEY, 0, DIGESTS[:1])))
    watch.see("c", arrival(0, CHUNKS[0]), *taken(0), Completed(KEY))
    with pytest.raises(BreachError, match="sends chunk 0, which it does not hold"):
        watch.see("c", Tick(), Deliver("b", KEY, 0, False))


class Unending:
    def __init__(self, host) -> None:
        self.host = host

    def fault(self) -> str | None:
        return "never ends"


def test_at_the_end_applications_of_living_honest_hosts_have_ended_well(watch: Watch) -> None:
    watch.world.applications.append(Unending(watch.world.hosts["c"]))
    with pytest.raises(BreachError, match="c never ends"):
        watch.invariants.check_end()
    watch.culprits.add("c")
    watch.invariants.check_end()
    watch.culprits.clear()
    watch.world.crash("c")
    watch.invariants.check_end()
