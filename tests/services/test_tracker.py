from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from fedswarm.clock import WallClock
from fedswarm.swarm import introductions
from fedswarm.swarm.introductions import Lease, Notice
from fedswarm.swarm.messages import Address
from fedswarm.v1 import common_pb2, tracker_pb2, tracker_pb2_grpc
from services.process.server import Server
from services.tracker.outbox import Outbox
from services.tracker.servicer import SERVICE_NAME, TrackerServicer


class Visitor:
    """One peer's announcement, held open."""

    def __init__(self, stub: Any, peer_id: str, job: str = "j", **fields: Any) -> None:
        self.call = stub.Announce()
        peer = common_pb2.PeerAddress(peer_id=peer_id, target=f"host:{peer_id}")
        self.message = tracker_pb2.Announcement(job=job, peer=peer, **fields)

    async def announce(self) -> list[str]:
        await self.call.write(self.message)
        return [peer.peer_id for peer in (await self.call.read()).joined]

    async def renew(self) -> None:
        await self.call.write(self.message)


@pytest.fixture
async def stub() -> AsyncIterator[Any]:
    servicer, server = TrackerServicer(WallClock(), lease_s=1.0), Server()
    server.add(SERVICE_NAME, servicer.add_to)
    port = await server.start("127.0.0.1", 0)
    timekeeper = asyncio.create_task(servicer.keep_time())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
        yield tracker_pb2_grpc.TrackerStub(channel)
    timekeeper.cancel()
    await server.stop(0)


async def scrape(stub: Any, job: str = "j") -> tracker_pb2.ScrapeReply:
    return await stub.Scrape(tracker_pb2.ScrapeRequest(job=job, most_peers=100))


async def present(stub: Any) -> list[str]:
    return [peer.peer_id for peer in (await scrape(stub)).peers]


async def test_newcomers_are_introduced_to_those_present(stub: Any) -> None:
    """Defect B10: nobody ever asked the tracker."""
    visitors = [Visitor(stub, name) for name in ("a", "b", "c")]
    assert [await visitor.announce() for visitor in visitors] == [[], ["a"], ["a", "b"]]
    assert await present(stub) == ["a", "b", "c"]


async def test_who_hangs_up_has_left_and_the_others_hear_it(stub: Any) -> None:
    a, b = Visitor(stub, "a"), Visitor(stub, "b")
    await a.announce()
    await b.announce()
    assert list((await a.call.read()).expected) == ["b"]
    b.call.cancel()
    assert list((await a.call.read()).left) == ["b"]
    assert await present(stub) == ["a"]


async def test_who_stops_renewing_has_left(stub: Any) -> None:
    a, b = Visitor(stub, "a"), Visitor(stub, "b")
    await a.announce()
    await b.announce()

    async def keep_a() -> None:
        while True:
            await asyncio.sleep(0.2)
            await a.renew()

    keeper = asyncio.create_task(keep_a())
    while not (left := list((await a.call.read()).left)):
        pass  # the answer to a renewal
    assert left == ["b"]
    assert await b.call.read() is grpc.aio.EOF
    assert await present(stub) == ["a"]
    keeper.cancel()


async def test_a_renewal_is_answered(stub: Any) -> None:
    a = Visitor(stub, "a")
    await a.announce()
    await a.renew()
    assert (await a.call.read()).renew_within_ms == 1000


async def test_announcing_again_replaces_the_old_lease(stub: Any) -> None:
    old, new = Visitor(stub, "a"), Visitor(stub, "a")
    await old.announce()
    assert await new.announce() == []
    old.call.cancel()
    await asyncio.sleep(0.1)
    assert await present(stub) == ["a"]


async def test_a_nameless_peer_is_refused(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="peer id has 0 bytes"):
        await Visitor(stub, "").announce()


async def test_a_topology_that_is_none_is_refused(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="describes no topology"):
        await Visitor(stub, "a", topology='{"kind": "moebius"}').announce()


async def test_a_renewal_for_somebody_else_ends_the_lease(stub: Any) -> None:
    a = Visitor(stub, "a")
    await a.announce()
    a.message.peer.peer_id = "b"
    await a.renew()
    with pytest.raises(grpc.aio.AioRpcError, match="tells of another peer"):
        await a.call.read()
    assert await present(stub) == []


async def test_founders_are_linked_by_the_jobs_topology(stub: Any) -> None:
    visitors = [Visitor(stub, name, topology='{"kind": "ring"}', founders=4) for name in ("4", "2", "3", "1")]
    first = [await visitor.announce() for visitor in visitors]
    assert first == [[], [], [], ["2", "4"]]
    assert [[peer.peer_id for peer in (await visitor.call.read()).joined] for visitor in visitors[1:3]] == [
        ["3"],
        ["4"],
    ]
    topology = (await scrape(stub)).topology
    assert (topology.edges, topology.diameter, topology.min_degree, topology.max_degree) == (4, 2, 2, 2)
    assert topology.spectral_gap > 0


async def test_a_scrape_counts(stub: Any) -> None:
    progress = tracker_pb2.Progress(round=1, held_chunks=4, wanted_chunks=4, sent_bytes=10, received_bytes=20)
    visitors = [Visitor(stub, "seed", uplink_bps=5, progress=progress), Visitor(stub, "idle")]
    for visitor in visitors:
        await visitor.announce()
    reply = await scrape(stub)
    assert (reply.peer_count, reply.seed_count, reply.uplink_bps) == (2, 1, 5)
    assert (reply.held_chunks, reply.wanted_chunks, reply.sent_bytes, reply.received_bytes) == (4, 4, 10, 20)
    assert not (await scrape(stub, "another")).HasField("topology")


def introduction_of(outbox: Outbox, *notices: Notice) -> tracker_pb2.Introduction | None:
    for notice in notices:
        outbox.put(notice)
    return asyncio.run(outbox.take())


async def test_a_peer_is_told_all_its_neighbours_once_all_had_time_to_come(
    stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introductions, "FOUNDING_S", 0.3)
    a = Visitor(stub, "a", topology='{"kind":"ring"}')
    await a.announce()
    answers = []
    while not (answers and answers[-1]):
        await a.renew()
        answers.append((await a.call.read()).whole)
    assert not answers[0]


def test_a_slow_reader_hears_only_the_newest_of_each_peer() -> None:
    lease = Lease("j", "me", 1)
    came, went = Notice(lease, joined=(Address("a", "h:1"),)), Notice(lease, left=("a",))
    back = Notice(lease, joined=(Address("a", "h:2"),))
    introduction = introduction_of(Outbox(1.0, whole=False), came, went, back)
    assert introduction is not None
    assert [peer.target for peer in introduction.joined] == ["h:2"]
    assert not introduction.left
    gone = introduction_of(Outbox(1.0, whole=False), came, went)
    assert gone is not None and list(gone.left) == ["a"] and not gone.joined


def test_help_needs_neither_torch_nor_grpc() -> None:
    code = (
        "import sys, services.tracker.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'grpc', 'numpy', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "--lifeline-fd" in done.stdout
