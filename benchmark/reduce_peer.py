"""One process of ours in a reduction: a contributor, or the collector. See :mod:`trial.child`."""

from __future__ import annotations

import argparse
import asyncio
import json
from base64 import b64decode, b64encode
from typing import Final

import numpy as np
from contributions import contribution, digest_of
from network.scenarios import SEED
from numpy.typing import NDArray
from swarm_peer import JOB, member, until_linked
from trial.child import Child, Facts

from fedswarm.swarm.chunks import chunk_bytes_for
from fedswarm.swarm.events import Introduced, Spreading
from fedswarm.swarm.manifest import Manifest, build_manifest
from fedswarm.swarm.messages import Address
from fedswarm.swarm.slices import Rates, ReductionPlan, plan_all_reduce, plan_reduce
from fedswarm.swarm.wire import manifest_from_proto, manifest_to_proto
from fedswarm.v1 import common_pb2
from services.peer.all_reduce import AllReduce
from services.peer.node import PeerNode
from services.peer.summing import Part, publish_slice, slice_manifest

COLLECTOR: Final = SEED
LABEL: Final = "sum"
WARM_UP: Final = "warm-up"
WARM_UP_VALUES: Final = 100_000
PATIENCE_S: Final = 600.0


async def run(options: argparse.Namespace, child: Child) -> None:
    """Meets the others, takes part, and serves what it made until the end."""
    collects = options.name == COLLECTOR
    own = None if collects else contribution(options.name, options.values)
    async with member(options) as (node, target):
        manifest = None if own is None else manifest_of(options.name, own, "vector")
        members = await asyncio.to_thread(child.meet, target=target, manifest=packed(manifest))
        await node.start(target)
        if own is not None and manifest is not None:
            node.publish(manifest, own, spreading=Spreading.SCATTER)
        await link(node, members)
        parts = parts_of(members)
        plan = plan_of(options, parts[0].manifest.chunks)
        await warm_up(node, members)
        await asyncio.to_thread(child.await_go)
        total = await take_part(node, parts, plan, own, wants_sum=collects or options.collective == "all_reduce")
        if total is not None:
            child.finished()
        await asyncio.to_thread(child.await_stop)
        child.report(
            wasted_bytes=node.traffic.wasted,
            control_bytes=node.traffic.control_sent,
            digest="" if total is None else digest_of(total),
        )


async def take_part(
    node: PeerNode, parts: list[Part], plan: ReductionPlan, own: NDArray[np.float64] | None, *, wants_sum: bool
) -> NDArray[np.float64] | None:
    """Adds up this member's slice, and gathers the others' if it wants the sum."""
    if wants_sum:
        return await AllReduce(node, parts, own, plan, label=LABEL, patience_s=PATIENCE_S).run()
    chunks = plan.run(node.peer_id)
    if chunks and own is not None:
        manifest = slice_manifest(parts[0].manifest, chunks, f"{node.peer_id}/{LABEL}")
        await publish_slice(node, manifest, parts, chunks, own={node.peer_id: own})
    return None


def manifest_of(name: str, vector: NDArray[np.float64], what: str) -> Manifest:
    """What a member's contribution is published as."""
    size = chunk_bytes_for(vector.nbytes, slow_links=True)
    return build_manifest(vector, job=JOB, round_index=0, source=f"{name}/{what}", schema_hash="", chunk_bytes=size)


def packed(manifest: Manifest | None) -> str:
    """A manifest as text; empty for none."""
    return "" if manifest is None else b64encode(manifest_to_proto(manifest).SerializeToString()).decode()


def parts_of(members: dict[str, Facts]) -> list[Part]:
    """All contributions, in the same order at every member."""
    packed_ones = {host: facts["manifest"] for host, facts in sorted(members.items()) if facts["manifest"]}
    return [
        Part(manifest_from_proto(common_pb2.Manifest.FromString(b64decode(text))), members[host]["target"])
        for host, text in packed_ones.items()
    ]


async def link(node: PeerNode, members: dict[str, Facts]) -> None:
    """Links this member with all others."""
    others = {host: facts["target"] for host, facts in members.items() if host != node.peer_id}
    node.feed(Introduced(tuple(Address(host, target) for host, target in others.items())))
    await until_linked(node, members)


async def warm_up(node: PeerNode, members: dict[str, Facts]) -> None:
    """A small sum at every member: data streams open with the first frame."""
    vectors = {host: contribution(host, WARM_UP_VALUES) for host in members}
    manifests = {host: manifest_of(host, vector, WARM_UP) for host, vector in vectors.items()}
    node.publish(manifests[node.peer_id], vectors[node.peer_id], spreading=Spreading.SCATTER)
    parts = [Part(manifests[host], facts["target"]) for host, facts in sorted(members.items())]
    plan = plan_all_reduce(dict.fromkeys(members, Rates()), parts[0].manifest.chunks, JOB.encode())
    await AllReduce(node, parts, vectors[node.peer_id], plan, label=f"{WARM_UP}-{LABEL}", patience_s=PATIENCE_S).run()


def plan_of(options: argparse.Namespace, chunks: int) -> ReductionPlan:
    """The plan by the rates of all links; every member comes to the same."""
    rates = {host: Rates(*pair) for host, pair in json.loads(options.rates).items()}
    if options.collective == "all_reduce":
        return plan_all_reduce(rates, chunks, JOB.encode())
    collector = rates.pop(COLLECTOR)
    return plan_reduce(rates, chunks, JOB.encode(), (COLLECTOR, collector))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--name", required=True, help=f"the peer's id; {COLLECTOR!r} contributes nothing")
    options.add_argument("--host", required=True, help="IPv4 address to bind")
    options.add_argument("--collective", choices=["reduce", "all_reduce"], required=True)
    options.add_argument("--values", type=int, required=True, help="float64 values in a vector")
    options.add_argument("--rates", required=True, help="up and down of every link, bits a second: JSON, by host")
    options.add_argument("--uplink-mbps", type=float, help="the uplink as known beforehand")
    options.add_argument("--up-mbps", type=float, help="cap of what this process sends, where links are not shaped")
    options.add_argument("--down-mbps", type=float, help="cap of what it receives")
    return options


def main() -> None:
    """Command line."""
    asyncio.run(run(parser().parse_args(), Child()))


if __name__ == "__main__":
    main()
