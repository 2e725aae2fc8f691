"""The story of a run without an aggregator, from what its peers tell of themselves. Pure: records in, records out.

The records have the shapes of a run with an aggregator, so that everything that reads those reads these. Peers appear
as clients under their numbers, and the clock is the wall's, in seconds since the peers were up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from fedswarm.errors import DataError
from fedswarm.records.client_outcome import ClientOutcome, ClientTimes
from fedswarm.records.gathering import Gathering
from fedswarm.records.peer_schema import PeerReady, PeerRound
from fedswarm.records.schema import ClientInfo, Federation, Record, RoundBegin, RoundSummary, Shutdown, TestResult
from fedswarm.records.spread import Spread

Parsed = Mapping[str, Any]

MODE: Final = "decentralized"


@dataclass(frozen=True)
class Links:
    """How a job has its peers linked: the form, between how many pairs, links of a peer, the longest way in hops."""

    topology: str
    count: int
    mean_degree: float
    diameter: int


@dataclass(frozen=True)
class _Told:
    """What a peer told at ``instant_s`` seconds since 1970: its figures, NaN where it had none, and whole numbers."""

    instant_s: float
    figures: Mapping[str, float]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, record: Parsed, figures: Iterable[str], counts: Iterable[str]) -> Self:
        def figure(name: str) -> float:
            return float("nan") if record[name] is None else float(record[name])  # JSON has no NaN

        return cls(
            _instant(record), {name: figure(name) for name in figures}, {name: int(record[name]) for name in counts}
        )


class Chronicle:
    """Tells a round once all peers that still live have told it; see :class:`Gathering` for one that hangs.

    ``peers`` are the run's peers by name, whole numbers as text; one that was started by hand may join them.
    ``started_s`` is the instant, in seconds since 1970, that the clock counts from.
    """

    def __init__(self, peers: Iterable[str], rounds: int, started_s: float) -> None:
        self._living = set(peers)
        self._rounds: Gathering[_Told] = Gathering(self._living)
        self._tests: Gathering[_Told] = Gathering(self._living)
        self._planned_rounds = rounds
        self._started_s = started_s
        self._clock_s = 0.0
        self._begun: list[int] = []
        self._ready: dict[str, _Told] = {}

    def begin(self, now_s: float, links: Links) -> list[Record]:
        """What is told when all peers are up, at ``now_s`` seconds since 1970: the clock counts from there.

        ``links`` are the job's. Let it hear before what peers that are ready tell of themselves.
        """
        self._started_s = now_s
        return [*self._federation(links), self._round_begin(0)]

    def hear(self, peer: str, record: Parsed, place: str = "") -> list[Record]:
        """What is told when a peer has told ``record``.

        Raises :class:`DataError` for one of the wrong shape, of whatever tag; it changes nothing, and the message names
        the ``place`` where it was read.
        """
        try:
            if not peer.isdecimal():
                raise ValueError("the peer has no number; start it with --executor-id and the number of its shard")
            self._take_in(peer, record)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{place or 'a record'}: {record.get('tag')} of peer {peer}: missing or not what it should be: {error}"
            ) from error
        return self._complete()

    def _take_in(self, peer: str, record: Parsed) -> None:
        _instant(record)  # every record goes into those of the run with its own
        if not record["tag"].isidentifier():
            raise ValueError("the tag is no name")
        if record["tag"] == PeerReady.tag:
            self._ready[peer] = _Told.of(record, (), _READY_COUNTS)
        elif record["tag"] == PeerRound.tag:
            completed_round = self._within(record["completed_round"], self._planned_rounds - 1)
            told = _Told.of(record, ("loss", *_ROUND_FIGURES), _ROUND_COUNTS)
            self._rounds.tell(completed_round, peer, told)
            self._tests.pass_by(completed_round, peer)
        elif record["tag"] == TestResult.tag:
            tested_round = self._within(record["round"], self._planned_rounds)
            self._tests.tell(tested_round, peer, _Told.of(record, _TEST_FIGURES, ("samples",)))

    @staticmethod
    def _within(told: Any, last: int) -> int:
        """The number of a round; one that the run never has would be waited for, or told at its end."""
        if not 0 <= (index := int(told)) <= last:
            raise ValueError(f"round {index} is none of 0 to {last}")
        return index

    def leave(self, peer: str) -> list[Record]:
        """What is told when a peer has ended, in whatever way."""
        self._living.discard(peer)
        self._rounds.leave(peer)
        self._tests.leave(peer)
        return self._complete()

    def end(self, reason: Literal["finished", "stopped", "failed"], message: str, now_s: float) -> list[Record]:
        """What is told when the run is over at ``now_s`` seconds since 1970: the rest, and last how it ended."""
        rest = [record for peer in sorted(self._living) for record in self.leave(peer)]
        wall_s = max(0.0, now_s - self._started_s)
        return [*rest, Shutdown(reason, self._rounds.closed + 1, self._clock_s, wall_s, message)]

    def _complete(self) -> list[Record]:
        told: list[Record] = []
        for completed_round, peers in self._rounds.take_complete():
            told += self._round_end(completed_round, peers)
            told += self._test_results(completed_round + 1)
            if self._living and completed_round + 1 < self._planned_rounds:
                told.append(self._round_begin(completed_round + 1))
        # A test is of the model that a round left behind, so it is told after that round.
        return [*told, *self._test_results(self._rounds.closed + 1)]

    def _federation(self, links: Links) -> list[Federation]:
        """Nothing if no living peer could be understood."""
        shards = [self._ready[peer].counts for peer in sorted(self._living & self._ready.keys(), key=int)]
        if not shards:
            return []
        return [
            Federation(
                clients=len(shards),
                samples=sum(shard["samples"] for shard in shards),
                model_parameters=shards[0]["model_parameters"],
                model_bytes=shards[0]["model_bytes"],
                topology=links.topology,
                links=links.count,
                mean_degree=links.mean_degree,
                diameter=links.diameter,
            )
        ]

    def _round_begin(self, round_index: int) -> RoundBegin:
        self._begun = _numbers(self._living)
        return RoundBegin(
            round=round_index,
            clock_start_s=self._clock_s,
            pacer={},
            online=self._begun,
            sampled=self._begun,
            to_run=self._begun,
            executors=[str(number) for number in self._begun],
            feasible_clients=len(self._begun),
        )

    def _round_end(self, completed_round: int, peers: Mapping[str, _Told]) -> list[Record]:
        start_s, self._clock_s = self._clock_s, max([self._clock_s, *map(self._clock_of, peers.values())])
        duration_s = self._clock_s - start_s
        loss = _spread(peers, "loss")
        missing = sorted(set(self._begun) - set(_numbers(peers)))
        outcomes = {int(peer): _outcome(peer, told) for peer, told in peers.items()}
        summary = RoundSummary(
            completed_round=completed_round,
            clock_start_s=start_s,
            duration_s=duration_s,
            completed=sorted(outcomes),
            stragglers=[],
            dropped=missing,
            loss_avg=loss.mean,
            client_times={number: outcome.times for number, outcome in outcomes.items()},
            wall_s=duration_s,
            bytes_sent=0,
            bytes_received=0,
            bytes_peers=sum(told.counts["bytes_received"] for told in peers.values()),
            bytes_wasted=sum(told.counts["bytes_wasted"] for told in peers.values()),
            sampled_clients=len(outcomes) + len(missing),
            planned_clients=len(outcomes) + len(missing),
            over_peers={"loss_avg": loss, **{name: _spread(peers, name) for name in _ROUND_FIGURES}},
        )
        return [ClientInfo(completed_round, start_s, duration_s, loss.mean, MODE, outcomes), summary]

    def _test_results(self, last: int) -> list[TestResult]:
        return [self._test_result(index, peers) for index, peers in self._tests.take_complete(last)]

    def _test_result(self, index: int, peers: Mapping[str, _Told]) -> TestResult:
        spreads = {name: _spread(peers, name) for name in _TEST_FIGURES}
        return TestResult(
            round=index,
            clock_s=max([0.0, *map(self._clock_of, peers.values())]),
            loss=spreads["loss"].mean,
            top1=spreads["top1"].mean,
            top5=spreads["top5"].mean,
            samples=max(told.counts["samples"] for told in peers.values()),
            over_peers=spreads,
        )

    def _clock_of(self, told: _Told) -> float:
        return told.instant_s - self._started_s


_READY_COUNTS: Final = ("samples", "model_parameters", "model_bytes")
_ROUND_FIGURES: Final = ("train_s", "exchange_s", "arrived", "coverage")
_ROUND_COUNTS: Final = ("samples", "bytes_sent", "bytes_received", "bytes_wasted")
_TEST_FIGURES: Final = ("loss", "top1", "top5")


def _instant(record: Parsed) -> float:
    instant_s = float(record["ts"])
    if not math.isfinite(instant_s):
        raise ValueError(f"ts is {instant_s}")
    return instant_s


def _spread(peers: Mapping[str, _Told], name: str) -> Spread:
    """Of those peers that have a figure; NaN if none has."""
    figures = [told.figures[name] for told in peers.values()]
    return Spread.of([figure for figure in figures if not math.isnan(figure)] or [math.nan])


def _outcome(peer: str, told: _Told) -> ClientOutcome:
    """A peer as a client: to get the others' weights is its download, and it uploads meanwhile."""
    times = ClientTimes(download_s=told.figures["exchange_s"], compute_s=told.figures["train_s"], upload_s=0.0)
    return ClientOutcome(times, "c", loss=told.figures["loss"], samples=told.counts["samples"], executor_id=peer)


def _numbers(peers: Iterable[str]) -> list[int]:
    return sorted(int(peer) for peer in peers)
