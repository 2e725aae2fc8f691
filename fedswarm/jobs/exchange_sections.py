"""How weights travel: in which chunks, between whom, and over what links."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedswarm.jobs.rules import Rule, one_shape_of_a_link, parameters_of_the_topology
from fedswarm.jobs.section import Section, Text

ChunkKib = Annotated[int, Field(ge=16, le=4096)]


class ShapingSection(Section):
    """How fast peers may send and receive."""

    rules = (Rule((("link",), ("up_mbps",), ("down_mbps",)), one_shape_of_a_link),)

    link: Literal[
        "none", "device", "edge_server", "smartphone_high", "smartphone_low", "raspberry_pi", "iot_device"
    ] = Field("none", description="the link each executor emulates: its device's (deployment only), or that of a class")
    up_mbps: float | None = Field(None, gt=0, description="most that any process sends, Mb/s; absent: no limit")
    down_mbps: float | None = Field(None, gt=0, description="most that any process receives, Mb/s; absent: no limit")
    peer_up_mbps: float | None = Field(None, gt=0, description="the same to any one peer")
    peer_down_mbps: float | None = Field(None, gt=0, description="the same from any one peer")
    trace_start_s: float = Field(0.0, ge=0, le=172_800, description="device: instant of its 48 hours to begin at")


class TopologySection(Section):
    """Who exchanges with whom."""

    rules = (
        Rule(
            (("kind",), ("degree",), ("arity",), ("probability",), ("rewiring",), ("rows",), ("hub",), ("links",)),
            parameters_of_the_topology,
        ),
    )

    kind: Literal[
        "auto",
        "complete",
        "star",
        "line",
        "ring",
        "tree",
        "k_regular",
        "erdos_renyi",
        "small_world",
        "torus",
        "hypercube",
        "custom",
    ] = Field("auto", description="the form of the graph of links; auto follows the number of peers")
    degree: int | None = Field(None, ge=1, le=1024, description="k_regular, small_world: neighbours of each peer")
    arity: int | None = Field(None, ge=1, le=1024, description="tree: children of each peer; 2 when absent")
    probability: float | None = Field(None, gt=0, le=1, description="erdos_renyi: of a link between two peers")
    rewiring: float | None = Field(None, ge=0, le=1, description="small_world: share of links moved; 0.1 when absent")
    rows: int | None = Field(None, ge=3, le=1024, description="torus: rows of the grid; a square one when absent")
    hub: Text | None = Field(None, description="star: the peer in its middle; the first when absent")
    links: Text | None = Field(None, description="custom: pairs of peers, such as 1-2 2-3 3-1")


class ExchangeSection(Section):
    """How weights travel."""

    broadcast: Literal["auto", "swarm", "direct"] = Field(
        "auto", description="model versions travel by peers or from one to all; auto decides by their size"
    )
    reduce: Literal["auto", "swarm", "direct"] = Field(
        "auto", description="executors add up their sums among themselves, or the aggregator fetches each one's"
    )
    chunk_kib: ChunkKib | Literal["auto"] = Field(
        "auto", description="chunk size in KiB; auto follows the model's size"
    )
    pipeline_mib: int = Field(8, ge=1, le=256, description="MiB asked for ahead of each peer")
    topology: TopologySection = Field(TopologySection(), description="who exchanges with whom")
    reach: Literal["everyone", "neighbours"] = Field(
        "everyone", description="decentralized: whose updates a peer averages; everyone's travel by way of others"
    )
    importance: Literal["delta_magnitude", "delta_l2", "snip", "fisher", "gradient_delta", "random", "sequential"] = (
        Field("delta_l2", description="decentralized: which chunks of an update come first when time is short")
    )
    deadline_s: float = Field(
        60.0, gt=0, le=86_400, description="decentralized: seconds after its own training that a peer waits for others"
    )
    quorum: float = Field(
        0.5, ge=0, le=1, description="decentralized: with less of the expected weight it waits as long again"
    )
    shaping: ShapingSection = Field(ShapingSection(), description="how fast peers may send and receive")
