"""One source to N peers over loopback, all in this process: copies the source uploads, and seconds to the last peer.

python benchmark/broadcast_loopback.py --peers 4 --mib 45 --json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass

import numpy as np

from fedswarm.clock import WallClock
from fedswarm.swarm.manifest import build_manifest
from services.peer.node import PeerNode
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer

MIB = 1024 * 1024
JOB = "broadcast"


@dataclass
class Member:
    node: PeerNode
    server: Server
    target: str

    async def close(self) -> None:
        await self.node.close()
        await self.server.stop(0)


async def start_tracker() -> tuple[Server, str]:
    server = Server()
    server.add(SERVICE_NAME, TrackerServicer(WallClock(), lease_s=30.0).add_to)
    return server, f"127.0.0.1:{await server.start('127.0.0.1', 0)}"


async def start_member(name: str, tracker: str | None) -> Member:
    node, server = PeerNode(name, JOB), Server()
    node.register(server)
    target = f"127.0.0.1:{await server.start('127.0.0.1', 0)}"
    await node.start(target, tracker)
    return Member(node, server, target)


async def broadcast(source: Member, peers: list[Member], data: np.ndarray, round_index: int, swarm: bool) -> float:
    """Seconds until the last peer has the weights."""
    manifest = build_manifest(data, job=JOB, round_index=round_index, source="source", schema_hash="")
    source.node.publish(manifest, data)
    begin = time.perf_counter()
    await asyncio.gather(*(peer.node.fetch(manifest, source.target, swarm) for peer in peers))
    took_s = time.perf_counter() - begin
    for member in (source, *peers):
        member.node.forget_before(round_index + 1)
    return took_s


async def measure(peers: int, mib: float, repeats: int, swarm: bool) -> dict[str, float]:
    tracker_server, tracker = await start_tracker()
    source = await start_member("source", None)
    members = [await start_member(f"peer-{i}", tracker) for i in range(peers)]
    data = np.random.default_rng(1).random(int(mib * MIB / 4), dtype=np.float32)
    times = [await broadcast(source, members, data, i, swarm) for i in range(repeats)]
    wasted = sum(member.node.traffic.wasted for member in members)
    copies = source.node.traffic.sent / data.nbytes / repeats
    for member in (source, *members):
        await member.close()
    await tracker_server.stop(0)
    return {
        "peers": peers,
        "mib": mib,
        "seconds": round(statistics.median(times), 4),
        "source_copies": round(copies, 3),
        "wasted_share": round(wasted / (data.nbytes * repeats * peers), 5),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=int, default=4)
    options.add_argument("--mib", type=float, default=45.0)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--direct", action="store_true", help="everybody from the source, for comparison")
    options.add_argument("--json", action="store_true", help="print one JSON line")
    chosen = options.parse_args()
    result = asyncio.run(measure(chosen.peers, chosen.mib, chosen.repeats, not chosen.direct))
    if chosen.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:>14}  {value}", file=sys.stdout)


if __name__ == "__main__":
    main()
