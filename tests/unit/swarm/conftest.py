"""A swarm in a heap: exchanges, a publisher and a network of random delays, on virtual time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.dialogue import (
    Accept,
    AnnounceForget,
    AnnounceHave,
    AnnounceInterest,
    ChunkArrived,
    ChunkMissing,
    Completed,
    DropPeer,
    DropStream,
    Failed,
    FetchWanted,
    ForgetReceived,
    HaveReceived,
    InterestReceived,
    PeerDown,
    PeerUp,
    Request,
    StreamLost,
    Tick,
)
from fedswarm.swarm.exchange import Exchange, Limits
from fedswarm.swarm.manifest import Manifest, build_manifest

PUBLISHER = "publisher"
TICK_S = 0.05
LIMIT_S = 200.0


def weights(chunks: int, seed: int = 1) -> tuple[np.ndarray, Manifest]:
    data = np.random.default_rng(seed).random(chunks * MIN_CHUNK_BYTES // 8 - 3)
    manifest = build_manifest(
        data, job="toy", round_index=7, source=PUBLISHER, schema_hash="00", chunk_bytes=MIN_CHUNK_BYTES
    )
    return data, manifest


class Miniature:
    """Peers ``p0, p1, ...``; every holder sends one chunk at a time, each after a random while."""

    def __init__(self, peers: int, chunks: int, seed: int, limits: Limits | None = None) -> None:
        self.data, self.manifest = weights(chunks)
        self.random = np.random.default_rng(seed)
        self.names = [f"p{i}" for i in range(peers)]
        self.exchanges = {name: Exchange(name, limits=limits) for name in self.names}
        self.held: dict[str, dict[int, bytes]] = {name: {} for name in self.names}
        self.held[PUBLISHER] = {i: self.data.tobytes()[self.manifest.range(i)] for i in range(self.manifest.chunks)}
        self.uploads = dict.fromkeys([*self.names, PUBLISHER], 0)
        self.done: set[str] = set()
        self.failed: dict[str, Failed] = {}
        self.dropped: list[tuple[str, str]] = []
        self.dead: set[str] = set()
        self.silent: set[str] = set()
        self.corrupt: set[str] = set()
        self.now_s = 0.0
        self._busy_until = dict.fromkeys(self.uploads, 0.0)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when_s, next(self._order), action))

    def start(self, swarm: bool = True, late: tuple[str, ...] = (), late_s: float = 0.0) -> None:
        for one, other in itertools.permutations(self.names, 2):
            self.tell(one, PeerUp(other))
        for name in self.names:
            when_s = self.random.random() * 0.05 + (late_s if name in late else 0.0)
            self.at(when_s, lambda n=name: self.tell(n, FetchWanted(self.manifest, swarm)))
            self.at(when_s + TICK_S, lambda n=name: self._tick(n))

    def run(self) -> None:
        while not set(self.names) <= self.done | self.dead | set(self.failed):
            self.now_s, _, action = heapq.heappop(self._queue)
            assert self.now_s < LIMIT_S, f"not finished after {LIMIT_S} virtual seconds"
            action()

    def kill(self, name: str) -> None:
        self.dead.add(name)
        for other in self.names:
            self.tell(other, PeerDown(name))
            self.tell(other, StreamLost(name, "connection reset"))

    def tell(self, name: str, event: object) -> None:
        if name in self.dead or name not in self.exchanges:
            return
        payload = getattr(event, "payload", None)
        for instruction in self.exchanges[name].handle(event, self.now_s):  # type: ignore[arg-type]
            self._obey(name, instruction, payload)

    def _tick(self, name: str) -> None:
        self.tell(name, Tick())
        self.at(self.now_s + TICK_S, lambda: self._tick(name))

    def _obey(self, me: str, instruction: object, payload: memoryview | None) -> None:
        match instruction:
            case Request(peer, _, index):
                self._serve(peer, me, index)
            case Accept(_, index):
                assert payload is not None
                assert index not in self.held[me]
                self.held[me][index] = bytes(payload)
            case AnnounceInterest(peer, key):
                self._later(lambda: self.tell(peer, InterestReceived(me, key)))
            case AnnounceHave(peer, key, runs):
                self._later(lambda: self.tell(peer, HaveReceived(me, key, runs)))
            case AnnounceForget(peer, key):
                self._later(lambda: self.tell(peer, ForgetReceived(me, key)))
            case DropPeer(peer, _):
                self.dropped.append((me, peer))
            case Completed():
                self.done.add(me)
            case Failed():
                self.failed[me] = instruction
            case DropStream():
                pass

    def _serve(self, holder: str, asker: str, index: int) -> None:
        if holder in self.dead:
            self._later(lambda: self.tell(asker, StreamLost(holder, "connection refused")))
            return
        if holder in self.silent:
            return
        begin = max(self.now_s, self._busy_until[holder])
        self._busy_until[holder] = begin + self.random.uniform(0.001, 0.02)
        self.at(self._busy_until[holder] + 0.005, lambda: self._deliver(holder, asker, index))

    def _deliver(self, holder: str, asker: str, index: int) -> None:
        if holder in self.dead:
            return
        payload = self.held[holder].get(index)
        key = self.manifest.key
        if payload is None:
            self.tell(asker, ChunkMissing(holder, key, index))
            return
        self.uploads[holder] += 1
        if holder in self.corrupt:
            payload = bytes([payload[0] ^ 1]) + payload[1:]
        self.tell(asker, ChunkArrived(holder, key, index, memoryview(payload)))

    def _later(self, action: Callable[[], None]) -> None:
        self.at(self.now_s + self.random.uniform(0.001, 0.01), action)

    def assert_whole(self, name: str) -> None:
        joined = b"".join(self.held[name][i] for i in range(self.manifest.chunks))
        assert joined == self.data.tobytes()


@pytest.fixture(scope="session")
def miniature() -> type[Miniature]:
    return Miniature


@pytest.fixture(scope="session")
def toy_weights() -> Callable[..., tuple[np.ndarray, Manifest]]:
    return weights
