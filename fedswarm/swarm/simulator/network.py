"""The network between hosts: dials, letters, frames and receipts, and what becomes of them on the way.

1. A link is made by a dial: both hosts run, no partition is between them, and the answerer welcomes the dialler. There
   is one link between two hosts; of two dials that cross, the first to arrive makes it.
2. Letters of one host to another arrive in order; so do frames, and receipts. Nothing of one overtakes itself.
3. What is sent into a partition waits and is sent again when the partition is over, as TCP does.
4. Whoever closes an end tells the other, after all that was said before. A process that dies is closed by its kernel;
   a machine that loses power says nothing, and whoever speaks to its successor is told that the link is gone.
5. Frames still under way when their stream or either end is closed are void.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedswarm.swarm.events import DeliveryLost, DialFailed, FrameArrived, LinkDown, LinkUp, Receipted, Received
from fedswarm.swarm.messages import Message, Receipt
from fedswarm.swarm.simulator.conditions import Conditions
from fedswarm.swarm.simulator.draws import Draws
from fedswarm.swarm.simulator.host import Frame, Host
from fedswarm.swarm.simulator.link import Attempt, End, connect
from fedswarm.swarm.simulator.sizes import FRAME_HEADER_BYTES, RECEIPT_BYTES, MessageSize, estimated_bytes
from fedswarm.swarm.simulator.timeline import Timeline

_SEGMENT_BYTES = 1460


class Network:
    """Carries what hosts send; ``hosts`` are those that exist now, by name."""

    def __init__(
        self, timeline: Timeline, conditions: Conditions, seed: int, size_of: MessageSize = estimated_bytes
    ) -> None:
        self.hosts: dict[str, Host] = {}
        self._timeline = timeline
        self._conditions = conditions
        self._size_of = size_of
        self._draws = Draws(seed, "network")
        self._cut: frozenset[str] = frozenset()
        self._stuck: list[End] = []

    # ---- partitions -----------------------------------------------------------------------------------------------

    def partition(self, island: frozenset[str]) -> None:
        """Nothing passes between these hosts and all others, until :meth:`heal`."""
        self._cut = island

    def heal(self) -> None:
        """What waited is sent a little later."""
        self._cut = frozenset()
        stuck, self._stuck = self._stuck, []
        for end in stuck:
            self._timeline.after(self._conditions.outage_grace_s, self._send_again, end)

    def reaches(self, sender: str, receiver: str) -> bool:
        """Whether no partition is between two hosts."""
        return (sender in self._cut) == (receiver in self._cut)

    def _stalls(self, end: End, send: Callable[..., None], *arguments: Any) -> bool:
        """Whether something has to wait for a partition to be over, and for what waits already."""
        if not end.waiting:
            if self.reaches(end.host.name, end.peer):
                return False
            self._stuck.append(end)
        end.waiting.append((send, arguments))
        return True

    def _send_again(self, end: End) -> None:
        waiting, end.waiting = end.waiting, []
        for send, arguments in waiting:
            send(*arguments)

    # ---- dials ----------------------------------------------------------------------------------------------------

    def dial(self, host: Host, peer: str) -> None:
        """Begins to open a link; ends in ``LinkUp`` or ``DialFailed`` at ``host``."""
        if peer not in host.attempts and peer not in host.ends:
            host.attempts[peer] = attempt = Attempt(host, peer)
            self._try(attempt)

    def _try(self, attempt: Attempt) -> None:
        if not attempt.current:
            return
        there_s = self._latency_s(attempt.host.name, attempt.peer)
        round_trip_s = there_s + self._latency_s(attempt.peer, attempt.host.name)
        callee = self.hosts.get(attempt.peer)
        if not self.reaches(attempt.host.name, attempt.peer) or (callee is not None and callee.silent):
            self._timeline.after(self._conditions.dial_timeout_s, self._missed, attempt, "no answer")
        elif callee is None or not callee.alive:
            self._timeline.after(round_trip_s, self._missed, attempt, "connection refused")
        else:
            wait_s = self._conditions.handshake_round_trips * round_trip_s
            self._timeline.after(wait_s, self._answer, attempt)

    def _answer(self, attempt: Attempt) -> None:
        """The dialler's hello arrives."""
        dialler, callee = attempt.host, self.hosts.get(attempt.peer)
        if not attempt.current:
            return
        if callee is None or not callee.running or not self.reaches(dialler.name, attempt.peer):
            self._timeline.after(self._conditions.dial_timeout_s, self._missed, attempt, "no answer to hello")
            return
        existing = callee.ends.get(dialler.name)
        if existing is not None:
            if not existing.twin.closed:
                return  # two dials crossed
            existing.close()
            callee.tell(LinkDown(dialler.name, "it opened another link"))
        if not callee.machine.welcomes(dialler.name):
            self._timeline.after(self._latency_s(callee.name, dialler.name), self._refused, attempt)
            return
        self._open(attempt, callee)

    def _open(self, attempt: Attempt, callee: Host) -> None:
        dialler = attempt.host
        there_s = self._latency_s(dialler.name, callee.name)
        back_s = self._latency_s(callee.name, dialler.name)
        near, far = connect(dialler, callee, there_s, back_s)
        far.letters_until_s = near.letters_until_s = self._timeline.now_s + back_s
        far.up = True
        callee.attempts.pop(dialler.name, None)
        self._timeline.after(back_s, self._answered, attempt, near)
        callee.tell(LinkUp(dialler.hello))

    def _answered(self, attempt: Attempt, near: End) -> None:
        """The answerer's hello arrives."""
        if not near.closed and attempt.current:
            del attempt.host.attempts[attempt.peer]
            near.up = True
            attempt.host.tell(LinkUp(near.twin.host.hello))

    def _refused(self, attempt: Attempt) -> None:
        if attempt.current:
            self._give_up(attempt, "it refused the link")

    def _missed(self, attempt: Attempt, reason: str) -> None:
        if not attempt.current:
            return
        attempt.tries += 1
        if attempt.tries < self._conditions.dial_attempts:
            self._timeline.after(self._conditions.dial_pause_s, self._try, attempt)
        else:
            self._give_up(attempt, reason)

    def _give_up(self, attempt: Attempt, reason: str) -> None:
        del attempt.host.attempts[attempt.peer]
        attempt.host.tell(DialFailed(attempt.peer, reason))

    # ---- ends of links --------------------------------------------------------------------------------------------

    def hang_up(self, end: End, reason: str) -> None:
        """A host closes its end; the other is told after all that was said before."""
        end.close()
        self._tell_closed(end, reason)

    def _tell_closed(self, end: End, reason: str) -> None:
        if not self._stalls(end, self._tell_closed, end, reason):
            end.letters_until_s = max(self._timeline.now_s + self._delay_s(end, 40), end.letters_until_s)
            self._timeline.at(end.letters_until_s, self._closed_by_peer, end.twin, reason)

    def _closed_by_peer(self, end: End, reason: str) -> None:
        if end.closed:
            return
        was_up = end.up
        end.close()
        attempt = end.host.attempts.get(end.peer)
        if was_up:
            end.host.tell(LinkDown(end.peer, reason))
        elif attempt is not None:
            self._missed(attempt, reason)

    def reset_link(self, end: End, reason: str) -> None:
        """Something between the hosts breaks a connection: both are told."""
        for one in (end, end.twin):
            self._closed_by_peer(one, reason)

    def reset_stream(self, end: End, reason: str) -> None:
        """Something breaks a data stream: its sender is told."""
        end.stream += 1
        end.host.tell(DeliveryLost(end.peer, reason))

    def detach(self, host: Host, *, silent: bool) -> None:
        """A host stopped: its kernel closes its links, unless it lost power with it."""
        host.attempts.clear()
        for end in list(host.ends.values()):
            end.close()
            if not silent:
                self._tell_closed(end, "connection reset")

    # ---- letters and receipts -------------------------------------------------------------------------------------

    def letter(self, end: End, messages: list[Message]) -> None:
        """Sends messages together on the control link."""
        if self._stalls(end, self.letter, end, messages):
            return
        size = self._conditions.letter_overhead_bytes + sum(map(self._size_of, messages))
        end.letters_until_s = max(self._small_arrives_s(end, size), end.letters_until_s)
        self._timeline.at(end.letters_until_s, self._letter_arrives, end, messages)

    def _letter_arrives(self, end: End, messages: list[Message]) -> None:
        twin = end.twin
        for message in messages:
            if twin.up:
                twin.host.tell(Received(end.host.name, message))
        if twin.closed and end.up and self._speaks(end.peer):
            self._timeline.after(twin.latency_s, self._closed_by_peer, end, "connection reset")

    def receipt(self, end: End, stream: int, receipt: Receipt) -> None:
        """Acknowledges a frame that came from ``end.peer`` on its ``stream``; ``end`` is the receiver's."""
        if not self._stalls(end, self.receipt, end, stream, receipt):
            arrives_s = self._small_arrives_s(end, self._conditions.letter_overhead_bytes + RECEIPT_BYTES)
            end.receipts_until_s = max(arrives_s, end.receipts_until_s)
            self._timeline.at(end.receipts_until_s, self._receipt_arrives, end.twin, stream, receipt)

    def _receipt_arrives(self, end: End, stream: int, receipt: Receipt) -> None:
        if end.up and end.stream == stream:
            end.host.tell(Receipted(end.peer, (receipt,)))

    def _small_arrives_s(self, end: End, size: int) -> float:
        now_s = self._timeline.now_s
        end.host.traffic.control_bytes += size
        leaves_s = end.host.access.send_letter(now_s, size)
        takes_s = end.twin.host.access.receive_letter(now_s, size)
        return leaves_s + self._delay_s(end, size) + takes_s

    # ---- frames ---------------------------------------------------------------------------------------------------

    def frame(self, end: End, frame: Frame) -> None:
        """Sends a chunk on the present data stream."""
        self._send_frame(end, end.stream, frame)

    def _send_frame(self, end: End, stream: int, frame: Frame) -> None:
        if end.stream != stream or self._stalls(end, self._send_frame, end, stream, frame):
            return
        size = int((FRAME_HEADER_BYTES + len(frame.payload)) * self._conditions.overhead)
        end.host.traffic.frame_bytes += size
        first_s, last_s = end.host.access.send_frame(self._timeline.now_s, size)
        delay_s = self._delay_s(end, size)
        enters_s = max(first_s, last_s - end.twin.host.access.receive_s(size)) + delay_s
        end.frames_until_s = max(enters_s, end.frames_until_s)
        self._timeline.at(end.frames_until_s, self._frame_enters, end, stream, frame, size)

    def _frame_enters(self, end: End, stream: int, frame: Frame, size: int) -> None:
        if self._is_void(end, stream):
            end.host.traffic.void_bytes += size
            return
        through_s = end.twin.host.access.receive_frame(self._timeline.now_s, size)
        self._timeline.at(through_s, self._frame_arrives, end, stream, frame, size)

    def _frame_arrives(self, end: End, stream: int, frame: Frame, size: int) -> None:
        if self._is_void(end, stream):
            end.host.traffic.void_bytes += size
            return
        event = FrameArrived(end.host.name, frame.key, frame.index, frame.payload, frame.relay)
        end.twin.host.tell(event, stream)

    def _is_void(self, end: End, stream: int) -> bool:
        return not end.up or not end.twin.up or end.stream != stream

    # ---- delays ---------------------------------------------------------------------------------------------------

    def _latency_s(self, sender: str, receiver: str) -> float:
        return self._conditions.latency(sender, receiver)

    def _delay_s(self, end: End, size_bytes: int) -> float:
        """Latency, jitter, and a round trip and more for each time that a segment is lost."""
        conditions = self._conditions
        delay_s = end.latency_s
        if conditions.jitter_s:
            delay_s += conditions.jitter_s * self._draws()
        if conditions.loss:
            odds = 1 - (1 - conditions.loss) ** -(-size_bytes // _SEGMENT_BYTES)
            while self._draws() < odds:
                delay_s += end.latency_s + end.twin.latency_s + conditions.retransmit_s
                odds = conditions.loss
        return delay_s

    def _speaks(self, name: str) -> bool:
        """Whether a kernel answers for this name."""
        host = self.hosts.get(name)
        return host is not None and not host.silent
