from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import DeliveryLost, FetchWanted, FrameArrived, Introduced, LinkDown, Received, Spreading
from fedswarm.swarm.instructions import Deliver, Send
from fedswarm.swarm.messages import Bitfield, Final, Have, Lack
from fedswarm.swarm.simulator.access import Rates
from fedswarm.swarm.simulator.faults import Fault, Injection, Injector, draw_churn, draw_plan
from fedswarm.swarm.simulator.world import World, growing_weights, random_weights

CHUNKS = 11
WEIGHTS = random_weights("a", CHUNKS, 16 * KIB, seed=1)
KEY = WEIGHTS.manifest.key
RATES = Rates(8e6, 8e6)


class Trial:
    """Hosts a, the publisher, b and c, run by puppets; a is linked with both."""

    def __init__(self, puppet) -> None:
        self.world = World(lambda address, rates: puppet(self.world.timeline), lease_s=2.0)
        self.injector = Injector(self.world)
        for name in "abc":
            self.world.add(name, RATES, self._begin)
        self.run(0.5)
        for name in "bc":
            self.world.network.dial(self.hosts["a"], name)
        self.run(0.5)

    @property
    def hosts(self):
        return self.world.hosts

    def _begin(self, host) -> None:
        if host.name == "a":
            self.world.publish(host, WEIGHTS, Spreading.ANSWER)
        else:
            self.world.fetch(host, FetchWanted(WEIGHTS.manifest, "a:1", swarm=True))

    def run(self, seconds: float) -> None:
        self.world.timeline.run(self.world.timeline.now_s + seconds)

    def inject(self, fault: Fault, *hosts: str, lasts_s: float = inf) -> None:
        self.injector.inject(Injection(self.world.timeline.now_s, fault, hosts, lasts_s))

    def say(self, name: str, *instructions) -> None:
        self.hosts[name].machine.answers = list(instructions)
        self.hosts[name].tell(Introduced(()))


@pytest.fixture
def trial(puppet) -> Trial:
    return Trial(puppet)


@pytest.mark.parametrize(("fault", "told"), [(Fault.CRASH, True), (Fault.POWER_LOSS, False), (Fault.LEAVE, True)])
def test_who_goes_comes_back_with_the_same_name_and_nothing_else(trial: Trial, fault: Fault, told: bool) -> None:
    before = trial.hosts["b"]
    trial.inject(fault, "b", lasts_s=1.0)
    trial.run(0.5)
    assert not trial.hosts["b"].alive
    assert bool(trial.hosts["a"].machine.events(LinkDown)) == told
    trial.run(1.0)
    after = trial.hosts["b"]
    assert after is not before and after.running and not after.chunks
    assert [fetch.host for fetch in trial.world.fetches if fetch.is_open] == [trial.hosts["c"], after]


def test_who_is_frozen_goes_on_later(trial: Trial) -> None:
    trial.inject(Fault.FREEZE, "b", lasts_s=1.0)
    trial.say("a", Send("b", Have(KEY, ((0, 1),))))
    trial.run(0.9)
    assert not trial.hosts["b"].machine.events(Received)
    trial.run(0.2)
    assert trial.hosts["b"].machine.events(Received)


def test_a_partition_heals(trial: Trial) -> None:
    trial.inject(Fault.PARTITION, "b", lasts_s=1.0)
    trial.say("a", Send("b", Have(KEY, ((0, 1),))), Send("c", Have(KEY, ((0, 1),))))
    trial.run(0.9)
    assert trial.hosts["c"].machine.events(Received) and not trial.hosts["b"].machine.events(Received)
    trial.run(1.0)
    assert trial.hosts["b"].machine.events(Received)


def test_a_slow_host_is_fast_again_later(trial: Trial) -> None:
    trial.inject(Fault.SLOW, "b", lasts_s=1.0)
    assert trial.hosts["b"].access.rates == RATES.scaled(0.1)
    trial.run(1.1)
    assert trial.hosts["b"].access.rates == RATES


def test_resets_are_told(trial: Trial) -> None:
    trial.inject(Fault.STREAM_RESET, "a")
    assert [event.peer for event in trial.hosts["a"].machine.events(DeliveryLost)] == ["b", "c"]
    trial.inject(Fault.LINK_RESET, "a")
    assert [event.peer for event in trial.hosts["a"].machine.events(LinkDown)] == ["b", "c"]
    assert trial.hosts["b"].machine.events(LinkDown)


def test_wrong_bytes_differ_in_one_bit(trial: Trial) -> None:
    trial.inject(Fault.WRONG_BYTES, "a")
    trial.say("a", *(Deliver("b", KEY, index, False) for index in range(CHUNKS)))
    trial.run(5.0)
    for event in trial.hosts["b"].machine.events(FrameArrived):
        true = trial.hosts["a"].chunks[KEY][event.index]
        assert (int.from_bytes(event.payload) ^ int.from_bytes(true)).bit_count() == 1
    assert trial.injector.culprits == {"a"}


def test_false_haves_claim_everything_and_deny_nothing_if_mute(trial: Trial) -> None:
    trial.inject(Fault.FALSE_HAVES_MUTE, "a")
    trial.say("a", Send("b", Have(KEY, ((3, 1),))), Send("b", Bitfield(KEY, bytes(2))), Send("b", Lack(KEY, (1,))))
    trial.run(1.0)
    said = [event.message for event in trial.hosts["b"].machine.events(Received)]
    assert said == [Have(KEY, ((0, CHUNKS),)), Bitfield(KEY, b"\xff\x07")]


def test_a_mute_host_sends_no_chunk(trial: Trial) -> None:
    trial.inject(Fault.MUTE, "a", lasts_s=1.0)
    trial.say("a", Deliver("b", KEY, 0, False))
    trial.run(2.0)
    assert not trial.hosts["b"].machine.events(FrameArrived)
    trial.say("a", Deliver("b", KEY, 0, False))
    trial.run(1.0)
    assert trial.hosts["b"].machine.events(FrameArrived)


def test_a_flood_fills_the_uplink_for_as_long_as_it_lasts(trial: Trial) -> None:
    trial.inject(Fault.FLOOD, "a", lasts_s=2.0)
    trial.run(5.0)
    frames = trial.hosts["b"].machine.events(FrameArrived) + trial.hosts["c"].machine.events(FrameArrived)
    assert sum(len(event.payload) for event in frames) == pytest.approx(2e6, rel=0.1)


def test_a_dead_tracker_introduces_nobody(trial: Trial) -> None:
    trial.inject(Fault.TRACKER_DEATH)
    trial.inject(Fault.CRASH, "b", lasts_s=0.1)
    trial.run(5.0)
    assert trial.hosts["b"].running
    assert not trial.hosts["b"].machine.events(Introduced)


def test_a_run_lasts_until_the_last_fault_is_over(puppet) -> None:
    world = World(lambda address, rates: puppet(world.timeline))
    world.add("a", RATES, lambda host: None)
    Injector(world).arrange([Injection(1.0, Fault.FREEZE, ("a",), 4.0)])
    world.run(100.0)
    assert world.timeline.now_s == 5.0


@given(seed=st.integers(0, 2**32))
def test_a_drawn_plan_hits_a_third_and_seldom_the_publisher(seed: int) -> None:
    names = ["source", *(f"p{number}" for number in range(8))]
    plan = draw_plan(seed, names, "source", within_s=2.0)
    assert plan == draw_plan(seed, names, "source", within_s=2.0)
    assert 1 <= len(plan) <= 6
    assert all(0 <= injection.at_s <= 2.0 for injection in plan)
    assert len({name for injection in plan for name in injection.hosts} - {"source"}) <= 3


def test_plans_of_many_seeds_have_every_fault() -> None:
    names = ["source", *(f"p{number}" for number in range(8))]
    plans = [draw_plan(seed, names, "source", within_s=2.0, faults=tuple(Fault)) for seed in range(200)]
    assert {injection.fault for plan in plans for injection in plan} == set(Fault)


def test_churn_takes_its_share_a_minute() -> None:
    names = [f"p{number}" for number in range(1000)]
    plan = draw_churn(3, names, share_per_minute=0.2, within_s=300.0, away_s=2.0)
    assert len(plan) == pytest.approx(1000, rel=0.1)
    assert {injection.fault for injection in plan} == {Fault.CRASH, Fault.LEAVE}
    assert all(one.at_s <= other.at_s for one, other in pairwise(plan))


def test_false_finals_name_wrong_digests_of_ones_own_and_of_others_weights(puppet) -> None:
    trial, growing = Trial(puppet), growing_weights("c", 4, 16 * KIB, seed=1).manifest
    trial.world.weights[growing.key] = growing_weights("c", 4, 16 * KIB, seed=1)
    trial.inject(Fault.FALSE_FINALS, "a")
    said = Final(KEY, 0, (bytes(32),) * 40)
    trial.say("a", Send("b", said), Send("b", Have(growing.key, ((1, 2),))), Send("b", Have(KEY, ((0, 1),))))
    trial.run(0.5)
    heard = [event.message for event in trial.hosts["b"].machine.events(Received)]
    own, others, *honest = heard
    assert {bytes(32), b"\1" + bytes(31)} == set(own.digests)
    assert (others.key, others.first, len(others.digests)) == (growing.key, 0, 4)
    assert honest == [Have(growing.key, ((1, 2),)), Have(KEY, ((0, 1),))]
    assert trial.injector.culprits == {"a"}
