"""A job without an aggregator, as one of its peers goes through it: a state machine without socket, clock or weights.

In each round a peer trains its shard from its own model, offers the trained weights to all, fetches those of all peers
it believes alive, and averages what is there when all is there or the time is up. What is averaged are weights, not
changes: that pulls models together which drifted apart, as in gossip averaging.

Nobody waits for anybody for ever. An exchange ends at its deadline; if the complete updates have less than the quorum
of the expected weight by then, at a second one. A peer that was silent for a whole exchange is no longer expected; a
peer that is left alone goes on alone. Who finds the others two exchanges ahead takes over a neighbour's model and goes
on with them; nobody stops for it.

At the end a peer says farewell: it offers its final model under the number after the last exchange, and serves chunks
until all it is linked with have done so, or for as long as anybody may wait for them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Self

from fedswarm.jobs.schema import Job
from fedswarm.rounds.catching_up import CatchingUp, OfferedModel
from fedswarm.rounds.exchange_schedule import ExchangeSchedule, Kind
from fedswarm.rounds.expected_peers import ExpectedPeers
from fedswarm.rounds.lasting_models import LastingModels
from fedswarm.rounds.peer_exchange import FetchEnd, PeerExchange
from fedswarm.rounds.peer_steps import (
    Aggregate,
    Aggregated,
    Begin,
    CatchUp,
    Departed,
    Evaluate,
    Evaluated,
    EvaluateOwn,
    FetchEnded,
    FetchModel,
    FetchUpdate,
    Finish,
    LinksChanged,
    ModelFetched,
    ModelLost,
    ModelOffered,
    PeerEvent,
    PeerInstruction,
    Publish,
    RecordRound,
    Refused,
    Started,
    Tick,
    Train,
    Trained,
    UpdateOffered,
)


class Phase(Enum):
    """What a peer is doing."""

    TRAINING = "training"
    EXCHANGING = "exchanging"
    AGGREGATING = "aggregating"
    EVALUATING = "evaluating"
    CATCHING_UP = "catching up"
    FAREWELL = "farewell"
    DONE = "done"


@dataclass(frozen=True)
class PeerRules:
    """What a job says on how its peers go on; times in seconds, ``quorum`` a share of the expected weight."""

    schedule: ExchangeSchedule
    evaluation_interval: int
    evaluates_own: bool
    deadline_s: float
    quorum: float

    @classmethod
    def of(cls, job: Job) -> Self:
        """The rules of a job."""
        schedule = ExchangeSchedule(job.rounds, job.aggregation.consensus_every)
        tests, exchange = job.evaluation, job.exchange
        return cls(schedule, tests.interval, tests.before_averaging, exchange.deadline_s, exchange.quorum)

    def tests_after(self, rounds: int) -> bool:
        """Whether the model that so many rounds made is tested: every so often, and always the last."""
        return rounds % self.evaluation_interval == 0 or rounds == self.schedule.rounds


class DecentralizedPeer:
    """One peer.

    Args:
        rules: of the job.
        weight: what its update counts in the mean.
        founders: the other peers that begin the job with it.
        only_linked: whether it exchanges with linked peers alone. Who of the founders those are, links will tell.
    """

    def __init__(
        self, rules: PeerRules, weight: int, founders: Collection[str] = (), *, only_linked: bool = False
    ) -> None:
        self.phase = Phase.TRAINING
        self._rules = rules
        self._schedule = rules.schedule
        self._expected = ExpectedPeers(weight, () if only_linked else founders)
        self._offers: dict[int, set[str]] = {}
        self._links: frozenset[str] = frozenset()
        self._only_linked = only_linked
        self._awaits_a_link = only_linked and bool(founders)
        self._index = 0
        self._exchange = PeerExchange(0.0)
        self._catching_up = CatchingUp()
        self._lasting_models = LastingModels(rules.deadline_s)
        self._now_s = 0.0
        self._out: list[PeerInstruction] = []

    @property
    def wake_s(self) -> float | None:
        """The instant at which a :class:`Tick` is due; ``None``: not before something happens."""
        match self.phase:
            case Phase.EXCHANGING | Phase.FAREWELL:
                return self._exchange.deadline_s
            case Phase.CATCHING_UP:
                return None if self._catching_up.fetching else self._catching_up.deadline_s
        return None

    def handle(self, event: PeerEvent, now_s: float) -> list[PeerInstruction]:
        """Takes in one event at ``now_s`` (seconds, never backwards) and says what to do, in order."""
        self._now_s = now_s
        self._take_in(event)
        self._review()
        out, self._out = self._out, []
        return out

    # ---- what happens ---------------------------------------------------------------------------------------------

    def _take_in(self, event: PeerEvent) -> None:
        match event:
            case Started():
                self._go_on_at(0)
            case Trained():
                self._open()
            case Aggregated():
                self._aggregated()
            case Evaluated():
                self._evaluated()
            case FetchEnded(peer, exchange, end):
                if self.phase is Phase.EXCHANGING and exchange == self._index:
                    self._fetch_ended(peer, end)
            case ModelFetched(peer, exchange):
                if self._catching_up.fetching == OfferedModel(exchange, peer):
                    self._caught_up(peer, exchange)
            case ModelLost(peer, exchange):
                self._catching_up.lost(OfferedModel(exchange, peer))
            case _:
                self._take_news(event)

    def _take_news(self, event: PeerEvent) -> None:
        """What is heard of others, which may happen in any phase."""
        match event:
            case UpdateOffered(peer, exchange, weight):
                self._update_offered(peer, exchange, weight)
            case ModelOffered(peer, exchange, lasts):
                self._catching_up.offered(peer, exchange, lasts)
            case LinksChanged(peers):
                self._links_changed(peers)
            case Departed(peer):
                self._expected.left(peer)
            case Refused(peer):
                self._expected.refuse(peer)
            case Tick():
                pass

    def _update_offered(self, peer: str, exchange: int, weight: int) -> None:
        if not self._index - 1 <= exchange <= self._schedule.farewell:
            return
        # Who is a moment late for the last exchange is waited for in this one, or it would be late for ever.
        if self._expected.offered(peer, exchange, weight) and exchange >= self._index:
            self._offers.setdefault(exchange, set()).add(peer)
            if self.phase is Phase.EXCHANGING and exchange == self._index and peer not in self._exchange.sources:
                self._fetch(peer)

    def _links_changed(self, peers: frozenset[str]) -> None:
        self._awaits_a_link = self._awaits_a_link and not peers
        if self._only_linked:
            for peer in self._links - peers:
                self._expected.left(peer)
            if self._index == 0:  # later nobody waits for newcomers before they offer something
                for peer in peers:
                    self._expected.met(peer)
        self._links = peers
        self._catching_up.keep(peers)

    # ---- a round --------------------------------------------------------------------------------------------------

    def _begin(self, exchange: int) -> None:
        self._index = exchange
        self._offers = {index: peers for index, peers in self._offers.items() if index >= exchange}
        self._out.append(Begin(exchange, self._lasting_models.begin(exchange, self._now_s)))
        step = self._schedule.step(exchange)
        if step.kind is Kind.UPDATES:
            self.phase = Phase.TRAINING
            self._out.append(Train(step.round))
        else:
            self._open()

    def _open(self) -> None:
        """One's own weights are there: they are offered, and those of others are fetched."""
        if self._is_behind:
            self._catch_up()
            return
        step = self._schedule.step(self._index)
        is_farewell = step.kind is Kind.FAREWELL
        self.phase = Phase.FAREWELL if is_farewell else Phase.EXCHANGING
        waits = 2 if is_farewell else 1  # others may be waiting for their second deadline
        self._exchange = PeerExchange(self._now_s + waits * self._rules.deadline_s)
        self._out.append(Publish(self._index))
        if self._rules.evaluates_own and step.kind is Kind.UPDATES and self._rules.tests_after(step.round + 1):
            self._out.append(EvaluateOwn(step.round))  # published first: others need not wait for it
        if not is_farewell:
            for peer in sorted(self._offers.get(self._index, ())):
                self._fetch(peer)

    def _fetch(self, peer: str) -> None:
        self._exchange.begin(peer)
        self._out.append(FetchUpdate(peer, self._index, self._exchange.deadline_s))

    def _fetch_ended(self, peer: str, end: FetchEnd) -> None:
        self._exchange.end(peer, end)
        if peer in self._exchange.cut_short():
            self._fetch(peer)

    def _aggregate(self) -> None:
        self.phase = Phase.AGGREGATING
        others = self._others()
        self._out.append(Aggregate(self._index, tuple(sorted(others)), self._weight(others)))

    def _aggregated(self) -> None:
        self._expected.drop_silent(self._index)
        self._awaits_a_link = False
        rounds = self._schedule.step(self._index).round + 1
        if not self._schedule.ends_round(self._index):
            self._go_on_at(self._index + 1)
        elif self._rules.tests_after(rounds):
            self._evaluate(rounds)
        else:
            self._end_round()

    def _evaluate(self, rounds: int) -> None:
        self.phase = Phase.EVALUATING
        self._out.append(Evaluate(rounds))

    def _evaluated(self) -> None:
        if self._index == self._schedule.farewell:
            self._begin(self._index)
        else:
            self._end_round()

    def _end_round(self) -> None:
        self._out.append(RecordRound(self._schedule.step(self._index).round))
        self._go_on_at(self._index + 1)

    def _go_on_at(self, exchange: int) -> None:
        self._index = exchange
        if self._is_behind:
            self._catch_up()
        else:
            self._begin(exchange)

    def _finish(self) -> None:
        self.phase = Phase.DONE
        self._out.append(Finish())

    # ---- when to go on --------------------------------------------------------------------------------------------

    def _review(self) -> None:
        match self.phase:
            case Phase.EXCHANGING:
                self._review_exchange()
            case Phase.CATCHING_UP if not self._catching_up.fetching:
                self._seek_model()
            case Phase.FAREWELL:
                awaited = self._expected.awaited(self._index) & self._links
                if not awaited or self._now_s >= self._exchange.deadline_s:
                    self._finish()

    def _review_exchange(self) -> None:
        exchange = self._exchange
        if self._is_behind:
            self._catch_up()
        elif self._now_s >= exchange.deadline_s:
            if exchange.is_extended or self._has_quorum:
                self._aggregate()
                return
            exchange.extend(self._rules.deadline_s)
            for peer in exchange.cut_short():
                self._fetch(peer)
        elif exchange.is_idle and not self._expected.awaited(self._index) and not self._awaits_a_link:
            self._aggregate()

    @property
    def _has_quorum(self) -> bool:
        complete = self._weight(self._exchange.complete)
        return complete >= self._rules.quorum * self._weight(self._others())

    def _others(self) -> set[str]:
        """Whose weights should be there."""
        return self._exchange.sources | self._expected.awaited(self._index)

    def _weight(self, others: set[str]) -> int:
        """What these peers and this one weigh together; models weigh one each."""
        if self._schedule.step(self._index).kind is Kind.MODELS:
            return 1 + len(others)
        return self._expected.weight(others)

    # ---- coming late, falling behind ------------------------------------------------------------------------------

    @property
    def _is_behind(self) -> bool:
        """Whether others are two exchanges ahead: what they exchanged between is gone by now."""
        return self._expected.newest > self._index + 1

    def _catch_up(self) -> None:
        self.phase = Phase.CATCHING_UP
        self._catching_up.start(self._now_s + self._rules.deadline_s)
        self._seek_model()

    def _seek_model(self) -> None:
        search = self._catching_up
        model = search.next(above=self._index)
        if model is not None:
            self._out.append(FetchModel(model.peer, model.exchange, search.deadline_s))
        elif self._now_s >= search.deadline_s:
            self._caught_up("", max(self._expected.newest, self._index + 1))

    def _caught_up(self, source: str, exchange: int) -> None:
        """Goes on with the others, with a neighbour's model, or with its own if none could be had."""
        newest, last = self._expected.newest, self._schedule.farewell - 1
        if exchange <= newest <= last:
            # While the model travelled others have offered what they trained from it: who trained from it only now
            # would be late for every exchange. So it is taken to where they train next, where averaging brings it up.
            # After the last exchange nothing does; then the final model is looked for.
            exchange = min(newest + 1, last)
        step = self._schedule.step(exchange)
        self._out.append(CatchUp(source, self._schedule.step(self._index).round, step.round))
        self._catching_up.fetching = None
        self._expected.drop_unheard(self._links)
        if step.kind is Kind.FAREWELL:
            self._index = exchange
            self._evaluate(step.round)
        else:
            self._go_on_at(exchange)
