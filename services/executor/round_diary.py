"""What a peer of a job without an aggregator writes down: its own records, one file a peer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fedswarm.clock import Clock
from fedswarm.records.peer_schema import PeerRound
from fedswarm.records.schema import Record, TestResult
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds.collected_updates import Arrivals
from services.peer.traffic import Traffic

NOTHING_ARRIVED: Final = Arrivals(0, 0, 0, 1.0, 1.0)


@dataclass
class _Page:
    """The round in hand: loss, what arrived, own test, wall seconds by activity, traffic when it began."""

    traffic: Traffic
    own_test: TestResult | None = None
    loss: float = float("nan")
    arrivals: Arrivals = NOTHING_ARRIVED
    seconds: dict[str, float] = field(default_factory=dict)


class RoundDiary:
    """Measures the rounds of one peer and writes ``peers/<id>.jsonl``.

    Args:
        writer: of the file.
        peer: whose.
        samples: it trains on.
        clock: seconds are measured on it.
        traffic: what travelled when the diary begins.
    """

    def __init__(self, writer: RecordWriter, peer: str, samples: int, clock: Clock, traffic: Traffic) -> None:
        self._writer = writer
        self._peer = peer
        self._samples = samples
        self._clock = clock
        self._page = _Page(traffic)
        self._exchange_began_s = 0.0

    @contextmanager
    def timing(self, activity: str) -> Iterator[None]:
        """Counts the time spent inside for ``train``, ``aggregate`` or ``evaluate``."""
        start_s = self._clock.now_s()
        yield
        self._add(activity, self._clock.now_s() - start_s)

    def trained(self, loss: float) -> None:
        """The moving loss of this round's training."""
        self._page.loss = loss

    def exchange_begins(self) -> None:
        """One's own weights are published."""
        self._exchange_began_s = self._clock.now_s()

    def exchange_ends(self, arrivals: Arrivals | None) -> None:
        """What arrived, where that is worth telling."""
        self._add("exchange", self._clock.now_s() - self._exchange_began_s)
        if arrivals is not None:
            self._page.arrivals = arrivals

    def own_test(self, result: TestResult) -> None:
        """How this peer's own weights, trained in the round that ``result`` names, did before they were averaged."""
        self._page.own_test = result

    def end_round(self, round_index: int, traffic: Traffic, links: int) -> None:
        """Writes the round down and begins the next."""
        page, before = self._page, self._page.traffic
        # A peer that fell behind meanwhile ends another round than the one it tested in.
        own = page.own_test if page.own_test is not None and page.own_test.round == round_index else None
        self.write(
            PeerRound(
                peer=self._peer,
                completed_round=round_index,
                samples=self._samples,
                loss=page.loss,
                train_s=page.seconds.get("train", 0.0),
                exchange_s=page.seconds.get("exchange", 0.0),
                aggregate_s=page.seconds.get("aggregate", 0.0),
                evaluate_s=page.seconds.get("evaluate", 0.0),
                sources_complete=page.arrivals.complete,
                sources_partial=page.arrivals.partial,
                sources_missing=page.arrivals.missing,
                arrived=page.arrivals.chunk_share,
                coverage=page.arrivals.weight_share,
                bytes_sent=traffic.sent - before.sent,
                bytes_received=traffic.received - before.received,
                bytes_wasted=traffic.wasted - before.wasted,
                links=links,
                own_loss=math.nan if own is None else own.loss,
                own_top1=math.nan if own is None else own.top1,
                own_top5=math.nan if own is None else own.top5,
            )
        )
        self._page = _Page(traffic)

    def write(self, record: Record) -> None:
        """Writes any other record."""
        self._writer.write(record)

    def _add(self, activity: str, seconds: float) -> None:
        self._page.seconds[activity] = self._page.seconds.get(activity, 0.0) + seconds


def diary_file(run_folder: Path, peer: str) -> Path:
    """Where a peer of a run writes, its folder made if need be."""
    path = run_folder / "peers" / f"{peer}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
