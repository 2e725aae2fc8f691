"""One peer of a swarm as a state machine without a socket or a clock: events in, instructions out.

The same inputs always give the same instructions, over gRPC (``services.peer``) as in the simulator
(:mod:`fedswarm.swarm.simulator`). The parts, one concern each, share a :class:`~fedswarm.swarm.state.State`:

- :mod:`~fedswarm.swarm.membership`: links, introductions, heartbeats, peer exchange, bans;
- :mod:`~fedswarm.swarm.parting`: links that the topology has no longer;
- :mod:`~fedswarm.swarm.offers`: word of what is published;
- :mod:`~fedswarm.swarm.fetching`: what to ask whom (:mod:`~fedswarm.swarm.picker`), who is late, what is done or lost;
- :mod:`~fedswarm.swarm.serving`: who is answered (:mod:`~fedswarm.swarm.choker`), what is pushed
  (:mod:`~fedswarm.swarm.relay_push`), revealed (:mod:`~fedswarm.swarm.super_seeding`) and how much at a time
  (:mod:`~fedswarm.swarm.uploads`);
- :mod:`~fedswarm.swarm.news`: who is told of what arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fedswarm.errors import WireError
from fedswarm.swarm import fetching, membership, parting, serving
from fedswarm.swarm import messages as say
from fedswarm.swarm.agenda import Intention
from fedswarm.swarm.bitfield import Bitfield
from fedswarm.swarm.events import (
    Arranged,
    BecameFinal,
    DeliveryLost,
    Departed,
    DialFailed,
    Event,
    FetchWanted,
    Forgotten,
    FrameArrived,
    Introduced,
    Leaving,
    LinkDown,
    LinkUp,
    Misbehaved,
    Published,
    Receipted,
    Received,
    Tick,
)
from fedswarm.swarm.fetching import Fetching
from fedswarm.swarm.instructions import CloseDelivery, HangUp, Instruction, TookLeave
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key, Manifest
from fedswarm.swarm.membership import Membership
from fedswarm.swarm.messages import Address, Message
from fedswarm.swarm.neighbour import Neighbour
from fedswarm.swarm.news import News
from fedswarm.swarm.offers import Offers
from fedswarm.swarm.parting import Parting
from fedswarm.swarm.serving import Serving
from fedswarm.swarm.state import State
from fedswarm.swarm.token_bucket import TokenBucket
from fedswarm.swarm.uplink import MeasuredUplink, UplinkEstimate
from fedswarm.swarm.uploads import Uploads


class Peer:
    """A peer that publishes weights, fetches those of others, and passes on what it fetched.

    Args:
        me: its id and where it answers.
        job: manifests of other jobs are refused.
        seed: of its random draws; those of different peers differ anyway.
        limits: bounds.
        uplink: how fast it can send; measured when absent.
        cap: token bucket of everything it sends.
        cap_each: makes the token bucket of what it sends to one neighbour.
    """

    def __init__(
        self,
        me: Address,
        job: str,
        *,
        seed: int = 0,
        limits: Limits | None = None,
        uplink: UplinkEstimate | None = None,
        cap: TokenBucket | None = None,
        cap_each: Callable[[], TokenBucket] | None = None,
    ) -> None:
        self._state = State(me, seed, limits or Limits())
        self._offers = Offers(self._state, job)
        self._membership = Membership(self._state)
        self._fetching = Fetching(self._state, partial(self._membership.seek, errand=True), self._ban)
        uploads = Uploads(self._state.limits, uplink or MeasuredUplink(), self._held_by, cap, cap_each)
        self._news = News(self._state, uploads)
        self._serving = Serving(self._state, uploads, self._news)
        self._parting = Parting(self._state, self._is_of_use, self._membership.is_errand)
        self._hang_ups: list[tuple[str, str]] = []
        self._charged = False  # with chunks to pass on, since uploads were decided last

    @property
    def wake_s(self) -> float | None:
        """The instant at which a :class:`Tick` is due; ``None``: not before something happens."""
        return self._state.agenda.wake_s

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The peers linked with."""
        return tuple(self._state.neighbours)

    def welcomes(self, peer: str) -> bool:
        """Whether a link with this peer is taken."""
        return self._membership.welcomes(peer)

    def held(self, key: Key) -> Bitfield | None:
        """Which chunks of these weights are held here; ``None`` for weights not heard of."""
        content = self._state.contents.get(key)
        return None if content is None else content.held

    def handle(self, event: Event, now_s: float) -> list[Instruction]:
        """Takes in one event at ``now_s`` (seconds, never backwards) and says what to do, in order."""
        self._state.now_s = now_s
        match event:
            case FrameArrived():
                self._frame_arrived(event)
            case Receipted(peer, receipts):
                if neighbour := self._heard_from(peer):
                    self._serving.receipted(neighbour, receipts)
            case Received(peer, message):
                if neighbour := self._heard_from(peer):
                    self._received(neighbour, message)
            case Tick():
                pass
            case _:
                self._other(event)
        self._do_what_is_due()
        self._hang_up()
        out, self._state.out = self._state.out, []
        return out

    def _other(self, event: Event) -> None:
        match event:
            case LinkUp():
                self._link_up(event)
            case LinkDown(peer):
                self._link_down(peer)
            case DialFailed(peer, reason):
                if self._membership.dial_failed(peer):
                    self._fetching.publisher_gone(peer, f"cannot be reached: {reason}")
            case DeliveryLost(peer):
                if peer in self._state.neighbours:
                    self._serving.stream_lost(self._state.neighbours[peer])
            case Misbehaved(peer, reason):
                self._ban(peer, reason)
            case Introduced(addresses, passing):
                self._membership.introduced(addresses, errand=passing)
            case Arranged(neighbours):
                self._membership.arranged(neighbours)
                self._parting.arranged(neighbours)
            case Departed(peer):
                self._membership.departed(peer)
            case Published():
                self._publish(event)
            case BecameFinal(key, index, digest):
                self._became_final(key, index, digest)
            case FetchWanted(manifest):
                self._want(event, manifest)
            case Forgotten(key):
                self._offers.forget(key)
                self._serving.forget(key)
                self._fetching.forget(key)
            case Leaving(reason):
                self._membership.leave(reason)

    # ---- what this peer's application does ------------------------------------------------------------------------

    def _publish(self, event: Published) -> None:
        content = self._fetching.content(event.manifest)
        if not event.manifest.grows:
            content.held.add_run(0, event.manifest.chunks)
        self._serving.publish(content, event.spreading)
        if event.offer:
            self._offers.make(event.manifest)

    def _became_final(self, key: Key, index: int, digest: bytes) -> None:
        content = self._state.contents[key]
        content.digests[index] = digest
        content.held.add_run(index, 1)
        self._serving.became_final(content, index)

    def _want(self, event: FetchWanted, manifest: Manifest) -> None:
        known = manifest.key in self._state.contents
        self._fetching.want(event)
        content = self._state.contents.get(manifest.key)
        if content is not None and not known and event.swarm:
            self._serving.welcome_waiting(content)
        self._part()  # a link that could be done without may be needed from now on

    # ---- links ----------------------------------------------------------------------------------------------------

    def _link_up(self, event: LinkUp) -> None:
        former = self._state.neighbours.get(event.hello.address.peer)
        if former is not None:
            self._take_down(former)
        neighbour = self._membership.link_up(event)
        if neighbour is not None:
            self._fetching.link_up(neighbour)
            self._offers.link_up(neighbour)
            self._parting.link_up()

    def _link_down(self, peer: str) -> None:
        neighbour = self._state.neighbours.get(peer)
        if neighbour is not None:
            self._take_down(neighbour)

    def _take_down(self, neighbour: Neighbour) -> None:
        self._membership.link_down(neighbour)
        self._serving.link_down(neighbour)
        self._fetching.link_down(neighbour)

    def _ban(self, peer: str, reason: str) -> None:
        if peer in self._state.banned:
            return
        self._membership.ban(peer, reason)
        self._link_down(peer)
        self._fetching.publisher_gone(peer, f"was banned: it {reason}", corrupt=True)

    def _is_of_use(self, neighbour: Neighbour) -> bool:
        return self._fetching.needs(neighbour) or self._serving.is_sending(neighbour)

    def _part(self) -> None:
        for peer in self._parting.review():
            self._part_with(peer)

    def _part_with(self, peer: str) -> None:
        self._membership.departed(peer)
        self._hang_ups.append((peer, "the topology does without this link"))

    def _hang_up(self) -> None:
        """Ends links that were found dead or superfluous while something else was done."""
        hang_ups, self._hang_ups = self._hang_ups, []
        for peer, reason in hang_ups:
            self._state.out += [CloseDelivery(peer), HangUp(peer, reason)]  # first: it would end a new dial, too
            self._link_down(peer)

    def _heard_from(self, peer: str) -> Neighbour | None:
        neighbour = self._state.neighbours.get(peer)
        if neighbour is not None:
            neighbour.heard_s = self._state.now_s
        return neighbour

    def _held_by(self, peer: str, key: Key) -> int:
        content = self._state.contents.get(key)
        member = None if content is None else content.members.get(peer)
        return 0 if member is None else member.count

    # ---- what neighbours say and send -----------------------------------------------------------------------------

    def _frame_arrived(self, event: FrameArrived) -> None:
        neighbour = self._heard_from(event.peer)
        if neighbour is None:
            return
        content = self._fetching.arrived(neighbour, event)
        if content is not None:
            self._news.announce(content, event.index)
        if event.relay and neighbour.name == event.key.publisher:
            self._serving.take_duty(event.key, event.index)
            self._charged = True
        if self._charged and not event.more:
            self._charged = False
            self._serving.upload()
        if content is not None:
            self._fetching.go_on(content, neighbour)

    def _received(self, neighbour: Neighbour, message: Message) -> None:
        try:
            self._understand(neighbour, message)
        except WireError as error:
            self._ban(neighbour.name, f"said what cannot be: {error}")

    def _understand(self, neighbour: Neighbour, message: Message) -> None:
        match message:
            case say.Have(key, runs):
                self._serving.heard_holdings(neighbour, key, self._fetching.heard_have(neighbour, key, runs))
            case say.Bitfield(key, bits):
                self._serving.heard_holdings(neighbour, key, self._fetching.heard_bitfield(neighbour, key, bits))
            case say.Final():
                self._fetching.heard_final(neighbour, message)
            case say.Want(key, indices):
                self._serving.heard_want(neighbour, key, indices)
            case say.Cancel(key, indices):
                self._serving.heard_cancel(neighbour, key, indices)
            case say.Lack(key, indices):
                self._fetching.heard_lack(neighbour, key, indices)
            case say.Interested(key):
                self._fetching.heard_publisher_pushes(neighbour, key)
                self._serving.heard_interest(neighbour, key)
            case say.NotInterested(key):
                self._serving.heard_no_interest(neighbour, key)
            case say.Forget(key):
                self._fetching.heard_forget(neighbour, key)
            case say.Choke():
                self._fetching.heard_choke(neighbour)
            case say.Unchoke():
                self._fetching.heard_unchoke(neighbour)
            case say.Load():
                self._serving.heard_load(neighbour, message)
            case say.Relieve():
                self._serving.heard_relieve(neighbour, message)
            case say.Offer(manifest):
                self._offers.heard(neighbour, manifest)
            case say.Acquaintances():
                self._membership.heard_acquaintances(neighbour, message)
            case say.Release():
                if self._parting.heard_release(neighbour):
                    self._part_with(neighbour.name)
            case say.Retain():
                self._parting.heard_retain(neighbour)
            case say.Goodbye() if neighbour.released_there:
                pass  # to the link, and not to the job; our word that we need it came too late
            case say.Goodbye():
                self._membership.goodbye(neighbour)
                self._state.out.append(TookLeave(neighbour.name))
            case say.Alive() | say.Hello():
                pass

    # ---- time -----------------------------------------------------------------------------------------------------

    def _do_what_is_due(self) -> None:
        for intention in self._state.agenda.take(self._state.now_s):
            self._do(intention)

    def _do(self, intention: Intention) -> None:
        match intention:
            case membership.BEAT:
                dead_after_s = self._state.limits.dead_after_s
                self._hang_ups += [(n.name, f"silent for {dead_after_s:g} s") for n in self._membership.beat()]
            case membership.EXCHANGE_PEERS:
                self._membership.exchange_peers()
            case parting.PART:
                self._part()
            case fetching.LOOK_AROUND:
                self._fetching.look_around()
            case serving.RECHOKE:
                self._serving.rechoke()
            case serving.UPLOAD:
                self._serving.upload()
            case fetching.FILL:
                self._fetching.fill()
            case Intention("news", str(peer)):
                self._news.tell(peer)
            case Intention("dial", str(peer)):
                self._membership.redial(peer)
            case Intention("deadline", Key() as key):
                self._fetching.expire(key)
