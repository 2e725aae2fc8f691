from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from fedswarm.clock import WallClock
from fedswarm.v1 import common_pb2, tracker_pb2, tracker_pb2_grpc
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer


class Visitor:
    """One peer's announcement, held open."""

    def __init__(self, stub: Any, peer_id: str, job: str = "j") -> None:
        self.call = stub.Announce()
        self._message = tracker_pb2.Announcement(
            job=job, peer=common_pb2.PeerAddress(peer_id=peer_id, target=f"host:{peer_id}")
        )

    async def announce(self) -> list[str]:
        await self.call.write(self._message)
        return [peer.peer_id for peer in (await self.call.read()).joined]

    async def renew(self) -> None:
        await self.call.write(self._message)


@pytest.fixture
async def stub() -> AsyncIterator[Any]:
    servicer, server = TrackerServicer(WallClock(), lease_s=1.0), Server()
    server.add(SERVICE_NAME, servicer.add_to)
    port = await server.start("127.0.0.1", 0)
    expiry = asyncio.create_task(servicer.expire_leases())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
        yield tracker_pb2_grpc.TrackerStub(channel)
    expiry.cancel()
    await server.stop(0)


async def present(stub: Any, job: str = "j") -> list[str]:
    return [peer.peer_id for peer in (await stub.Scrape(tracker_pb2.ScrapeRequest(job=job))).peers]


async def test_newcomers_are_introduced_to_those_present(stub: Any) -> None:
    visitors = [Visitor(stub, name) for name in ("a", "b", "c")]
    assert [await visitor.announce() for visitor in visitors] == [[], ["a"], ["a", "b"]]
    assert await present(stub) == ["a", "b", "c"]


async def test_who_hangs_up_has_left_and_the_others_hear_it(stub: Any) -> None:
    a, b = Visitor(stub, "a"), Visitor(stub, "b")
    await a.announce()
    await b.announce()
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
    assert list((await a.call.read()).left) == ["b"]
    assert await b.call.read() is grpc.aio.EOF
    assert await present(stub) == ["a"]
    keeper.cancel()


async def test_announcing_again_replaces_the_old_lease(stub: Any) -> None:
    old, new = Visitor(stub, "a"), Visitor(stub, "a")
    await old.announce()
    assert await new.announce() == []
    old.call.cancel()
    await asyncio.sleep(0.1)
    assert await present(stub) == ["a"]


async def test_a_nameless_peer_is_refused(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="peer id has 0 characters"):
        await Visitor(stub, "").announce()


def test_help_needs_neither_torch_nor_grpc() -> None:
    code = (
        "import sys, services.tracker.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'grpc', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "--lifeline-fd" in done.stdout
