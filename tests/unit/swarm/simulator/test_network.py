"""The network against closed forms: rates 8 Mbit/s, so a megabyte takes a second; latency 50 ms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedswarm.swarm.events import DeliveryLost, DialFailed, FrameArrived, LinkDown, LinkUp, Receipted, Received
from fedswarm.swarm.instructions import Ban, CloseDelivery, Deliver, Dial, HangUp, Send
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Alive, Goodbye, Have
from fedswarm.swarm.simulator.conditions import Conditions, same_everywhere
from fedswarm.swarm.simulator.host import Host, Life
from fedswarm.swarm.simulator.sizes import FRAME_HEADER_BYTES

KEY = Key(0, "a")
SIZE = 1_000_000 - FRAME_HEADER_BYTES
LATENCY_S = 0.05
SLACK_S = 0.001
"""What headers and receipts may add."""


def give(host: Host, chunks: int = 8, size: int = SIZE) -> None:
    host.chunks[KEY] = {index: bytes(size) for index in range(chunks)}


def close(seconds: float) -> object:
    return pytest.approx(seconds, abs=SLACK_S)


@pytest.mark.parametrize(("up_bps", "down_bps"), [(8e6, 80e6), (80e6, 8e6), (8e6, 8e6)])
def test_one_frame_takes_its_size_over_the_slower_line_and_the_latency(stage, up_bps, down_bps) -> None:
    play = stage()
    a, b = play.add("a", up_bps=up_bps), play.add("b", down_bps=down_bps)
    play.link("a", "b")
    give(a)
    begun_s = play.timeline.now_s
    play.order(a, Deliver("b", KEY, 0, False))
    play.run(5.0)
    assert b.machine.times(FrameArrived) == [close(begun_s + 1.0 + LATENCY_S)]
    assert a.machine.times(Receipted) == [close(begun_s + 1.0 + 2 * LATENCY_S)]


def test_two_receivers_share_the_uplink(stage) -> None:
    play = stage()
    a, b, c = play.add("a"), play.add("b", down_bps=80e6), play.add("c", down_bps=80e6)
    play.link("b", "a", "c")
    give(a)
    begun_s = play.timeline.now_s
    play.order(a, *(Deliver(peer, KEY, index, False) for index in range(3) for peer in "bc"))
    play.run(10.0)
    assert b.machine.times(FrameArrived)[-1] == close(begun_s + 5.0 + LATENCY_S)
    assert c.machine.times(FrameArrived)[-1] == close(begun_s + 6.0 + LATENCY_S)


def test_two_senders_share_the_downlink(stage) -> None:
    play = stage()
    a, b, c = play.add("a", up_bps=80e6), play.add("b"), play.add("c", up_bps=80e6)
    play.link("a", "b", "c")
    give(a)
    give(c)
    begun_s = play.timeline.now_s
    play.order(a, Deliver("b", KEY, 0, False), Deliver("b", KEY, 1, False))
    play.order(c, Deliver("b", KEY, 2, False), Deliver("b", KEY, 3, False))
    play.run(10.0)
    arrived = {event.index: now_s for now_s, event in b.machine.told if isinstance(event, FrameArrived)}
    assert max(arrived.values()) == close(begun_s + 4.0 + LATENCY_S)
    assert arrived[0] < arrived[1] and arrived[2] < arrived[3]


def test_letters_do_not_wait_behind_frames_but_frames_wait_for_letters(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    give(a)
    begun_s = play.timeline.now_s
    letter = Have(KEY, ((200, 200),) * 25_000)  # 100,000 bytes: a tenth of a second
    play.order(a, Deliver("b", KEY, 0, False), Send("b", letter))
    play.order(a, Deliver("b", KEY, 1, False))
    play.run(10.0)
    assert b.machine.times(Received) == [pytest.approx(begun_s + 0.2 + LATENCY_S, abs=0.01)]
    assert b.machine.times(FrameArrived)[-1] == pytest.approx(begun_s + 2.1 + LATENCY_S, abs=0.02)


def test_everything_sent_in_one_step_is_one_letter(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    play.order(a, Send("b", Alive()), Send("b", Alive()))
    play.run(1.0)
    assert len(set(b.machine.times(Received))) == 1
    assert a.traffic.control_bytes == play.conditions.letter_overhead_bytes + 2 * 4


def test_nothing_overtakes_itself_whatever_the_jitter_and_the_loss(stage) -> None:
    play = stage(Conditions(latency=same_everywhere(LATENCY_S), jitter_s=0.2, loss=0.05))
    a, b = play.add("a", up_bps=8e9), play.add("b", down_bps=8e9)
    play.link("a", "b")
    give(a, chunks=200, size=1000)
    for index in range(200):
        play.order(a, Deliver("b", KEY, index, False), Send("b", Have(KEY, ((index, 1),))))
        play.run(0.001)
    play.run(10.0)
    assert [event.index for event in b.machine.events(FrameArrived)] == list(range(200))
    assert [event.message.runs[0][0] for event in b.machine.events(Received)] == list(range(200))
    receipts = [receipt.index for event in a.machine.events(Receipted) for receipt in event.receipts]
    assert receipts == list(range(200))


def test_loss_only_delays(stage) -> None:
    def mean_delay_s(loss: float) -> float:
        play = stage(Conditions(latency=same_everywhere(LATENCY_S), loss=loss))
        a, b = play.add("a", up_bps=8e9), play.add("b", down_bps=8e9)
        play.link("a", "b")
        give(a, chunks=100, size=1000)
        delays = []
        for index in range(100):
            begun_s = play.timeline.now_s
            play.order(a, Deliver("b", KEY, index, False))
            play.run(10.0)
            delays.append(b.machine.times(FrameArrived)[-1] - begun_s)
        return sum(delays) / len(delays)

    assert mean_delay_s(0.0) == close(LATENCY_S)
    # A frame of one segment: lost with odds p again and again, which costs a round trip and the time-out each time.
    again_s = 2 * LATENCY_S + Conditions().retransmit_s
    assert mean_delay_s(0.2) == pytest.approx(LATENCY_S + 0.2 / 0.8 * again_s, rel=0.3)


# ---- links -----------------------------------------------------------------------------------------------------------


def test_a_dial_links_both_after_one_and_a_half_and_two_round_trips(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.order(a, Dial("b", "b:1"))
    play.run(1.0)
    assert b.machine.times(LinkUp) == [close(3 * LATENCY_S)]
    assert a.machine.times(LinkUp) == [close(4 * LATENCY_S)]
    assert a.machine.events(LinkUp)[0].hello.address == b.address


def test_two_dials_that_cross_make_one_link(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.order(a, Dial("b", "b:1"))
    play.order(b, Dial("a", "a:1"))
    play.run(5.0)
    assert len(a.machine.told) == len(b.machine.told) == 1
    assert a.ends["b"].twin is b.ends["a"]
    assert not a.attempts and not b.attempts


@pytest.mark.parametrize("life", [Life.ENDED, Life.DARK, Life.FROZEN])
def test_a_dial_to_who_does_not_answer_fails_after_some_tries(stage, life: Life) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    b.life = life
    play.order(a, Dial("b", "b:1"))
    play.run(60.0)
    (failed_s,) = a.machine.times(DialFailed)
    waits_s = play.conditions.dial_timeout_s if life is not Life.ENDED else 2 * LATENCY_S
    assert failed_s >= play.conditions.dial_attempts * waits_s
    assert not a.ends and not a.attempts


def test_who_is_not_welcome_is_refused_at_once(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    b.machine.welcoming = False
    play.order(a, Dial("b", "b:1"))
    play.run(1.0)
    assert a.machine.times(DialFailed) == [close(4 * LATENCY_S)]
    assert not b.machine.told


def test_hanging_up_is_told_after_all_that_was_said_before(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    play.order(a, Send("b", Goodbye("enough")), HangUp("b", "enough"))
    play.run(1.0)
    assert [type(event) for _, event in b.machine.told] == [LinkUp, Received, LinkDown]
    assert not a.ends and not b.ends


def test_a_ban_ends_the_link(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    play.order(a, Ban("b", "wrong bytes"))
    play.run(1.0)
    assert b.machine.times(LinkDown)
    assert not a.ends


def test_a_process_that_dies_is_closed_by_its_kernel_and_one_without_power_is_not(stage) -> None:
    play = stage()
    a, b, c = play.add("a"), play.add("b"), play.add("c")
    play.link("a", "b", "c")
    a.end(Life.ENDED)
    c.end(Life.DARK)
    play.run(60.0)
    assert [event.peer for event in b.machine.events(LinkDown)] == ["a"]


def test_a_successor_of_the_same_name_replaces_a_link_that_looks_alive(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    a.end(Life.DARK)
    successor = play.add("a")
    play.link("a", "b")
    assert [type(event) for _, event in b.machine.told] == [LinkUp, LinkDown, LinkUp]
    assert b.ends["a"].twin.host is successor


def test_whoever_speaks_to_a_predecessors_link_is_reset(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    a.end(Life.DARK)
    play.add("a")
    play.order(b, Send("a", Alive()))
    play.run(1.0)
    assert b.machine.events(LinkDown)[0].reason == "connection reset"


# ---- outages ---------------------------------------------------------------------------------------------------------


def test_a_partition_holds_everything_up_and_loses_nothing(stage) -> None:
    play = stage()
    a, b, c = play.add("a"), play.add("b"), play.add("c")
    play.link("b", "a", "c")
    give(a)
    play.network.partition(frozenset("ac"))
    play.order(a, Send("b", Have(KEY, ((1, 1),))), Deliver("b", KEY, 1, False), Deliver("c", KEY, 1, False))
    play.run(5.0)
    play.order(a, Send("b", Have(KEY, ((2, 1),))))
    assert len(b.machine.told) == 1 and c.machine.times(FrameArrived)
    play.network.heal()
    play.run(5.0)
    assert [event.message.runs[0][0] for event in b.machine.events(Received)] == [1, 2]
    assert b.machine.times(FrameArrived)


def test_a_link_given_up_during_a_partition_ends_at_both_sides_when_it_is_over(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    play.network.partition(frozenset("a"))
    play.order(a, HangUp("b", "silent"))
    play.run(5.0)
    assert b.ends
    play.network.heal()
    play.run(1.0)
    assert b.machine.times(LinkDown) and not b.ends


def test_a_frozen_host_takes_in_later_what_arrived_meanwhile(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    b.freeze()
    play.order(a, Send("b", Alive()), HangUp("b", "silent"))
    play.run(5.0)
    assert len(b.machine.told) == 1
    b.thaw()
    assert [type(event) for _, event in b.machine.told[1:]] == [Received, LinkDown]


# ---- streams ---------------------------------------------------------------------------------------------------------


def test_frames_of_a_closed_stream_are_void_and_the_next_opens_another(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    give(a)
    play.order(a, Deliver("b", KEY, 0, False), CloseDelivery("b"), Deliver("b", KEY, 1, False))
    play.run(5.0)
    assert [event.index for event in b.machine.events(FrameArrived)] == [1]
    assert [event.receipts[0].index for event in a.machine.events(Receipted)] == [1]
    assert a.traffic.void_bytes == SIZE + FRAME_HEADER_BYTES


def test_a_reset_stream_is_told_to_its_sender_and_the_link_stands(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    give(a)
    play.order(a, Deliver("b", KEY, 0, False))
    play.network.reset_stream(a.ends["b"], "stream reset")
    play.run(5.0)
    assert a.machine.times(DeliveryLost)
    assert not b.machine.times(FrameArrived) and a.ends["b"].up


def test_a_reset_link_is_told_to_both(stage) -> None:
    play = stage()
    a, b = play.add("a"), play.add("b")
    play.link("a", "b")
    play.network.reset_link(a.ends["b"], "connection reset")
    assert a.machine.times(LinkDown) and b.machine.times(LinkDown)


# ---- repeatability ---------------------------------------------------------------------------------------------------


def test_a_network_of_the_same_seed_does_the_same(stage: Callable) -> None:
    def told() -> list:
        play = stage(Conditions(jitter_s=0.1, loss=0.1))
        a, b = play.add("a"), play.add("b")
        play.link("a", "b")
        give(a, chunks=50, size=2000)
        for index in range(50):
            play.order(a, Deliver("b", KEY, index, False))
        play.run(100.0)
        return b.machine.told

    assert told() == told()
