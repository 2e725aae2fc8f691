"""How weights travel: chunks, and the links that are emulated for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fedswarm.jobs.rules import Rule, one_shape_of_a_link
from fedswarm.jobs.section import Section

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
    shaping: ShapingSection = Field(ShapingSection(), description="how fast peers may send and receive")
