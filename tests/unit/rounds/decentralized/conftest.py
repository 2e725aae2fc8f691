"""A village of peers in virtual time: real machines and means, a fake engine, messages that take as long as told."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec, Vector
from fedswarm.rounds.decentralized import DecentralizedPeer, PeerRules, Phase
from fedswarm.rounds.exchange_schedule import ExchangeSchedule, Kind
from fedswarm.rounds.peer_core import PeerCore
from fedswarm.rounds.peer_exchange import FetchEnd
from fedswarm.rounds.peer_steps import (
    Aggregate,
    Aggregated,
    Begin,
    CatchUp,
    Departed,
    Evaluate,
    Evaluated,
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
from fedswarm.training.task import BlockResult, ClientTask, ClientUpdate

SIZE = 40
CHUNK = 8
CHUNKS = SIZE // CHUNK
LATENCY_S = 0.01


class HalfWay:
    """An engine whose clients go half the way to the weights they would like best."""

    def __init__(self, wishes: Mapping[int, Vector]) -> None:
        self.layout = Layout((TensorSpec("w", (SIZE,), True),))
        self.test_blocks = 1
        self._wishes = wishes
        self._model = self.initial_weights()

    def clients(self) -> Any:
        raise NotImplementedError("the village says who there is")

    def initial_weights(self) -> Vector:
        return np.zeros(SIZE, dtype=np.float32)

    def load(self, version: Vector) -> None:
        self._model = version.copy()

    def train(self, task: ClientTask) -> ClientUpdate:
        delta = (self._wishes[task.client_id] - self._model) / 2
        return ClientUpdate(task.client_id, success=True, delta=delta, moving_loss=float(np.abs(delta).mean()))

    def evaluate(self, blocks: Iterable[int]) -> list[BlockResult]:
        return [BlockResult(block, 1, 1, 1, float(np.abs(self._model).sum())) for block in blocks]

    def loss_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        return weights

    def mean_squared_gradient(self, client_id: int, round_index: int, weights: Vector) -> Vector:
        return weights


class Villager:
    """One peer; ``train_s`` to train, ``chunk_s`` for each of its chunks to reach anybody."""

    def __init__(self, village: Village, name: str, core: PeerCore, machine: DecentralizedPeer) -> None:
        self.village = village
        self.name = name
        self.core = core
        self.machine = machine
        self.train_s = 1.0
        self.chunk_s = 0.01
        self.is_up = False
        self.model: Vector = core.initial_weights()
        self.trained = self.model
        self.fetched = self.model
        self.collected: Any = None
        self.exchange = 0
        self.updates: dict[int, Vector] = {}
        self.models: dict[int, Vector] = {}
        self.lasting: frozenset[int] = frozenset()
        self.aggregates: dict[int, Vector] = {}
        self.orders: list[Aggregate] = []
        self.log: list[tuple[float, PeerInstruction]] = []

    @property
    def weight(self) -> int:
        return self.core.weight

    @property
    def rounds(self) -> list[int]:
        return [said.round for _, said in self.log if isinstance(said, RecordRound)]

    @property
    def caught_up(self) -> list[CatchUp]:
        return [said for _, said in self.log if isinstance(said, CatchUp)]

    @property
    def tested(self) -> list[int]:
        return [said.rounds for _, said in self.log if isinstance(said, Evaluate)]

    def said_at(self, *kinds: type) -> list[float]:
        return [at_s for at_s, said in self.log if isinstance(said, kinds)]

    def hear(self, event: PeerEvent) -> None:
        if not self.is_up:
            return
        for instruction in self.machine.handle(event, self.village.now_s):
            self.log.append((self.village.now_s, instruction))
            self._obey(instruction)
        self.village.wake(self)

    def _obey(self, instruction: PeerInstruction) -> None:
        village = self.village
        match instruction:
            case Begin(exchange, lasting):
                self.exchange = exchange
                self.updates = {index: update for index, update in self.updates.items() if index >= exchange - 1}
                self.lasting = lasting
                kept = lasting | {exchange - 1}
                self.models = {index: model for index, model in self.models.items() if index in kept}
                self.models[exchange] = self.model
                for other in village.linked(self):
                    village.tell(other, ModelOffered(self.name, exchange, exchange in lasting))
            case Train(round_index):
                village.after(self.train_s, lambda: self._trained(round_index))
            case Publish(exchange):
                self._publish(exchange)
            case FetchUpdate(peer, exchange, deadline_s):
                village.transfer(self, village.all[peer], exchange, deadline_s)
            case Aggregate():
                self._aggregate(instruction)
            case Evaluate():
                village.after(0.0, lambda: self.hear(Evaluated()))
            case FetchModel(peer, exchange, deadline_s):
                is_in_time = village.now_s + village.model_s <= deadline_s
                duration_s = village.model_s if is_in_time else deadline_s - village.now_s
                village.after(duration_s, lambda: self._take_model(village.all[peer], exchange, is_in_time))
            case CatchUp(source):
                self.model = self.fetched if source else self.model
            case Finish():
                village.leave(self)

    def _trained(self, round_index: int) -> None:
        if self.is_up:
            self.trained = self.core.train(round_index, self.model).weights
            self.hear(Trained())

    def _publish(self, exchange: int) -> None:
        kind = self.village.schedule.step(exchange).kind
        own = self.trained if kind is Kind.UPDATES else self.model
        collect = {
            Kind.UPDATES: lambda: self.core.collect_updates(self.model, own),
            Kind.MODELS: lambda: self.core.collect_models(own),
            Kind.FAREWELL: lambda: None,
        }
        self.collected = collect[kind]()
        self.updates[exchange] = own
        self.village.offer(self, exchange)

    def _aggregate(self, order: Aggregate) -> None:
        self.collected.close()
        self.orders.append(order)
        if self.village.schedule.step(order.exchange).kind is Kind.UPDATES:
            self.model = self.core.mean_of_updates(self.collected, order.total_weight)
        else:
            self.model = self.core.mean_of_models(self.collected)
        self.aggregates[order.exchange] = self.model
        self.village.after(0.0, lambda: self.hear(Aggregated()))

    def _take_model(self, other: Villager, exchange: int, is_in_time: bool) -> None:
        if is_in_time and self.village.models_travel and other.is_up and exchange in other.models:
            self.fetched = other.models[exchange]
            self.hear(ModelFetched(other.name, exchange))
        else:
            self.hear(ModelLost(other.name, exchange))


class Village:
    def __init__(self, job: Job, wishes: Mapping[str, Vector], samples: Mapping[str, int], links: Any) -> None:
        self.job = job
        self.schedule = ExchangeSchedule(job.rounds, job.aggregation.consensus_every)
        self.now_s = 0.0
        self.models_travel = True
        self.model_s = LATENCY_S
        self.all: dict[str, Villager] = {}
        self.wishes = wishes
        self.samples = samples
        self._links = links
        self._numbers = {name: number for number, name in enumerate(wishes)}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._engine = HalfWay({self._numbers[name]: wish for name, wish in wishes.items()})

    # ---- who is there ---------------------------------------------------------------------------------------------

    def settle(self, *names: str, founders: Iterable[str] = (), at_s: float = 0.0) -> None:
        """Peers begin at ``at_s``; ``founders`` are all that the job names."""
        for name in names:
            samples = {self._numbers[other]: count for other, count in self.samples.items()}
            core = PeerCore(self._engine, self.job, name, self._numbers[name], samples, CHUNK)
            others = [other for other in (founders or names) if other != name]
            only_linked = self.job.exchange.reach == "neighbours"
            machine = DecentralizedPeer(PeerRules.of(self.job), core.weight, others, only_linked=only_linked)
            self.all[name] = Villager(self, name, core, machine)
        self.after(at_s, lambda: self._arrive([self.all[name] for name in names]))

    def _arrive(self, newcomers: list[Villager]) -> None:
        for newcomer in newcomers:
            newcomer.is_up = True
        self._links_changed()
        for newcomer in newcomers:
            newcomer.hear(Started())
            for other in self.linked(newcomer):
                for exchange in other.models:
                    self.tell(newcomer, ModelOffered(other.name, exchange, exchange in other.lasting))
            for other in self.reached_by(newcomer):
                for exchange in other.updates:
                    self.tell(newcomer, UpdateOffered(other.name, exchange, other.weight))

    def kill(self, name: str, at_s: float) -> None:
        self.after(at_s, lambda: self._end(self.all[name]))

    def leave(self, villager: Villager) -> None:
        for other in self.linked(villager):
            self.tell(other, Departed(villager.name))
        self._end(villager)

    def refuse(self, name: str, other: str) -> None:
        """One peer finds that another has a model of its own."""
        self.tell(self.all[name], Refused(other))

    def _end(self, villager: Villager) -> None:
        villager.is_up = False
        self._links_changed()

    def _links_changed(self) -> None:
        for villager in self.all.values():
            peers = frozenset(other.name for other in self.linked(villager))
            self.tell(villager, LinksChanged(peers))

    def linked(self, villager: Villager) -> list[Villager]:
        return [other for other in self.all.values() if other.is_up and self._links(villager.name, other.name)]

    def reached_by(self, villager: Villager) -> list[Villager]:
        """Whom an offer reaches: neighbours, or all that those who are up connect."""
        if self.job.exchange.reach == "neighbours":
            return self.linked(villager)
        reached, edge = {villager.name}, [villager]
        while edge:
            edge = [other for one in edge for other in self.linked(one) if other.name not in reached]
            reached |= {other.name for other in edge}
        return [self.all[name] for name in sorted(reached - {villager.name})]

    # ---- what travels ---------------------------------------------------------------------------------------------

    def offer(self, villager: Villager, exchange: int) -> None:
        for other in self.reached_by(villager):
            self.tell(other, UpdateOffered(villager.name, exchange, villager.weight))

    def tell(self, villager: Villager, event: PeerEvent) -> None:
        self.after(LATENCY_S, lambda: villager.hear(event))

    def transfer(self, to: Villager, source: Villager, exchange: int, deadline_s: float) -> None:
        if exchange not in source.updates:
            self.tell(to, FetchEnded(source.name, exchange, FetchEnd.FAILED))
            return
        update = source.updates[exchange]
        collected = to.collected
        weight = 1 if self.schedule.step(exchange).kind is Kind.MODELS else source.weight
        sink = collected.sink(source.name, weight)
        lacking = collected.missing(source.name)
        indices = range(CHUNKS) if lacking is None else lacking
        in_time = [n for n in range(1, len(indices) + 1) if self.now_s + n * source.chunk_s <= deadline_s]
        for number, index in zip(in_time, indices, strict=False):
            payload = memoryview(update[index * CHUNK : (index + 1) * CHUNK]).cast("B")
            self.after(number * source.chunk_s, lambda i=index, p=payload: source.is_up and sink(i, p))
        is_complete = len(in_time) == len(indices)
        end_s = self.now_s + len(indices) * source.chunk_s if is_complete else deadline_s

        def end() -> None:
            ended = FetchEnd.COMPLETE if is_complete else FetchEnd.EXPIRED
            to.hear(FetchEnded(source.name, exchange, ended if source.is_up else FetchEnd.FAILED))

        self.after(end_s - self.now_s, end)

    # ---- time -----------------------------------------------------------------------------------------------------

    def after(self, seconds: float, happen: Callable[[], Any]) -> None:
        heapq.heappush(self._heap, (self.now_s + max(0.0, seconds), next(self._count), happen))

    def wake(self, villager: Villager) -> None:
        due_s = villager.machine.wake_s
        if due_s is not None:
            self.after(due_s - self.now_s, lambda: villager.machine.wake_s == due_s and villager.hear(Tick()))

    def run(self, until_s: float = 1e6) -> None:
        """Until nothing happens any more; every peer that is up has finished then."""
        for _ in range(200_000):
            if not self._heap or self._heap[0][0] > until_s:
                return
            self.now_s, _, happen = heapq.heappop(self._heap)
            happen()
        raise AssertionError(f"the village never comes to rest; phases: {self.phases}")

    @property
    def phases(self) -> dict[str, Phase]:
        return {name: villager.machine.phase for name, villager in self.all.items()}

    @property
    def over_s(self) -> float:
        """When the last peer finished."""
        return max(at_s for villager in self.all.values() for at_s in villager.said_at(Finish))

    def models(self, names: str) -> list[np.ndarray]:
        return [self.all[name].model for name in names]

    def finished(self) -> set[str]:
        return {name for name, phase in self.phases.items() if phase is Phase.DONE}


@pytest.fixture(scope="session")
def make_village() -> Callable[..., Village]:
    """Peers a, b, ... with wishes and sample counts of their own; ``links`` says who is linked with whom."""

    def make(
        peers: str = "abcd",
        links: Callable[[str, str], bool] = lambda one, other: one != other,
        rounds: int = 3,
        aggregation: Mapping[str, Any] | None = None,
        evaluation_interval: int = 10,
        before_averaging: bool = False,
        **exchange: Any,
    ) -> Village:
        job = Job.model_validate(
            {
                "rounds": rounds,
                "experiment_mode": "deployment",
                "aggregation": {"mode": "decentralized", **(aggregation or {})},
                "evaluation": {"interval": evaluation_interval, "before_averaging": before_averaging},
                "exchange": {"deadline_s": 10.0, **exchange},
            }
        )
        draws = np.random.default_rng(1)
        wishes = {name: draws.normal(size=SIZE).astype(np.float32) for name in peers}
        return Village(job, wishes, {name: 10 * number for number, name in enumerate(peers, 1)}, links)

    return make


@pytest.fixture
def village(make_village: Callable[..., Village]) -> Callable[..., Village]:
    """The same, for a test that needs one."""
    return make_village
