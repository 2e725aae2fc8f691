"""One process of ours in a measurement: the seed (with the tracker beside it) or a peer. See :mod:`trial.child`."""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from blake3 import blake3
from trial.child import Child, Facts

from fedswarm.clock import WallClock
from fedswarm.swarm.chunks import chunk_bytes_for
from fedswarm.swarm.events import Spreading
from fedswarm.swarm.manifest import Manifest, build_manifest
from fedswarm.swarm.shaping import Caps, LinkShape
from fedswarm.swarm.token_bucket import ConstantRate
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import common_pb2
from services.peer.node import PeerNode
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer

JOB: Final = "measurement"
SEED: Final = "seed"
LEASE_S: Final = 30.0
LINKED_WITHIN_S: Final = 20.0
STREAMS_OPEN_WITHIN_S: Final = 0.3


class Member(NamedTuple):
    """A node and where it answers."""

    node: PeerNode
    target: str


def make_node(options: argparse.Namespace) -> PeerNode:
    """The node of this process."""
    shape = LinkShape(up=_caps(options.up_mbps), down=_caps(options.down_mbps))
    return PeerNode(options.name, JOB, uplink_bps=int(1e6 * (options.uplink_mbps or 0)), shape=shape)


def _caps(mbps: float | None) -> Caps:
    return Caps(None if mbps is None else ConstantRate(1e6 * mbps))


@asynccontextmanager
async def member(options: argparse.Namespace) -> AsyncIterator[Member]:
    """Serves a node, and in the seed's process the tracker as well."""
    node, server = make_node(options), Server()
    node.register(server)
    if options.name == SEED:
        server.add(SERVICE_NAME, TrackerServicer(WallClock(), LEASE_S).add_to)
    target = f"{options.host}:{await server.start(options.host, 0)}"
    try:
        yield Member(node, target)
    finally:
        await node.close()
        await server.stop(0)


async def run_seed(options: argparse.Namespace, child: Child) -> None:
    """Publishes the data and serves them."""
    data = np.fromfile(options.data, np.float32)
    size = chunk_bytes_for(data.nbytes, slow_links=not options.direct)
    manifest = build_manifest(data, job=JOB, round_index=0, source=SEED, schema_hash="", chunk_bytes=size)
    options.manifest.write_bytes(manifest_to_proto(manifest).SerializeToString())
    async with member(options) as (node, target):
        members = await asyncio.to_thread(child.meet, target=target)
        await node.start(target, [target])
        await until_linked(node, members)
        node.publish(manifest, data, spreading=Spreading.ANSWER if options.direct else Spreading.PUSH)
        await asyncio.to_thread(child.await_go)
        await asyncio.to_thread(child.await_stop)
        report(child, node, data)


async def run_peer(options: argparse.Namespace, child: Child) -> None:
    """Fetches the data once, and serves others until the end."""
    async with member(options) as (node, target):
        members = await asyncio.to_thread(child.meet, target=target)
        source = members[SEED]["target"]
        await node.start(target, [source])
        await until_linked(node, members)
        manifest = read_manifest(options.manifest)
        use_memory(manifest.total_bytes)
        await asyncio.to_thread(child.await_go)
        fetched = await node.fetch(manifest, source, swarm=not options.direct)
        child.finished()
        await asyncio.to_thread(child.await_stop)
        assert fetched.vector is not None, "no sink was given"
        report(child, node, fetched.vector)


async def until_linked(node: PeerNode, members: Mapping[str, Facts]) -> None:
    """Returns when links to all other members stand, and so do the data streams that are opened along with them."""
    async with asyncio.timeout(LINKED_WITHIN_S):
        while len(node.links) < len(members) - 1:  # noqa: ASYNC110 - what is waited for tells nobody here
            await asyncio.sleep(0.02)
    await asyncio.sleep(STREAMS_OPEN_WITHIN_S)


def use_memory(size_bytes: int) -> None:
    """Uses as much as the weights take, and gives it back to the heap.

    An executor holds such weights again and again and finds this memory in its heap. Fresh memory costs more than a
    transfer over loopback, above all on a virtual machine.
    """
    np.ones(size_bytes, dtype=np.uint8)


def read_manifest(path: Path) -> Manifest:
    """The manifest that the seed wrote before it said that it was ready."""
    return manifest_from_proto(common_pb2.Manifest.FromString(path.read_bytes()))


def report(child: Child, node: PeerNode, data: np.ndarray) -> None:
    """What the node counted."""
    child.report(
        wasted_bytes=node.traffic.wasted,
        control_bytes=node.traffic.control_sent,
        digest=blake3(data.data.cast("B")).hexdigest(),
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", required=True, help=f"the peer's id; {SEED!r} publishes")
    options.add_argument("--host", required=True, help="IPv4 address to bind")
    options.add_argument("--manifest", type=Path, required=True, help="written by the seed, read by peers")
    options.add_argument("--data", type=Path, help="float32 values that the seed publishes")
    options.add_argument("--direct", action="store_true", help="fetch from the seed alone")
    options.add_argument("--uplink-mbps", type=float, help="the uplink as known beforehand")
    options.add_argument("--up-mbps", type=float, help="cap of what this process sends, where links are not shaped")
    options.add_argument("--down-mbps", type=float, help="cap of what it receives")
    return options


def main() -> None:
    """Command line."""
    options = parser().parse_args()
    run = run_seed if options.name == SEED else run_peer
    gc.freeze()  # as services do
    asyncio.run(run(options, Child()))


if __name__ == "__main__":
    main()
