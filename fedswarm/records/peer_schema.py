"""What the peers of a job without an aggregator tell of themselves, beside :mod:`fedswarm.records.schema`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fedswarm.records.client_outcome import Payload
from fedswarm.records.schema import TestResult


@dataclass(frozen=True)
class PeerReady:
    """A peer holds its shard and the initial model, and is about to begin: told before it says that it is up."""

    tag: ClassVar[str] = "PEER_READY"
    peer: str
    client: int
    samples: int
    model_parameters: int
    model_bytes: int

    def payload(self) -> Payload:
        """``peer``, ``client`` (whose shard), ``samples`` in it, ``model_parameters`` (weights), ``model_bytes``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class PeerRound:
    """One round as one peer of a job without an aggregator went through it.

    ``sources_*`` count the other peers whose update it got whole, in part, or not at all by the deadline; ``arrived``
    is the share of the expected peers' chunks that did, its own included, ``coverage`` the same by weight (samples).
    ``own_*`` is a test of the weights that it trained itself, before they were averaged, where the job asks for that
    (``evaluation.before_averaging``); TEST_RESULT is of the averaged ones.
    """

    tag: ClassVar[str] = "PEER_ROUND"
    peer: str
    completed_round: int
    samples: int
    loss: float
    train_s: float
    exchange_s: float
    aggregate_s: float
    evaluate_s: float
    sources_complete: int
    sources_partial: int
    sources_missing: int
    arrived: float
    coverage: float
    bytes_sent: int
    bytes_received: int
    bytes_wasted: int
    links: int
    own_loss: float = math.nan
    own_top1: float = math.nan
    own_top5: float = math.nan

    def payload(self) -> Payload:
        """Fields under their names; ``round`` is the one after; seconds are wall s, bytes those of chunks."""
        return {"round": self.completed_round + 1, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class PeerCaughtUp:
    """A peer that came late or fell behind took over a neighbour's model and goes on with round ``round``.

    The model is of that round's beginning, or of an earlier one if it took long to fetch.
    """

    tag: ClassVar[str] = "PEER_CAUGHT_UP"
    peer: str
    source: str
    left_round: int
    round: int

    def payload(self) -> Payload:
        """``source`` (whose model, empty if nobody gave one), ``left_round`` (where it was), ``round`` (its next)."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class PeerRefused:
    """A peer does not listen to another one: that has another initial model, for instance."""

    tag: ClassVar[str] = "PEER_REFUSED"
    peer: str
    source: str
    reason: str

    def payload(self) -> Payload:
        """``peer`` (who refuses), ``source`` (whom), ``reason``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class PeerTestResult:
    """A peer's TEST_RESULT of its own model, as the records of the whole run hold it."""

    tag: ClassVar[str] = "PEER_TEST_RESULT"
    peer: str
    result: TestResult

    def payload(self) -> Payload:
        """``peer``, and the keys of TEST_RESULT."""
        return {"peer": self.peer, **self.result.payload()}


@dataclass(frozen=True)
class PeerModels:
    """How far the peers' final models lie apart; after a final consensus they are equal, and both figures are 0."""

    tag: ClassVar[str] = "PEER_MODELS"
    peers: Sequence[str]
    largest_difference: float
    consensus_distance: float
    norm: float

    def payload(self) -> Payload:
        """``largest_difference`` of one weight between two peers; ``consensus_distance``, the root of the mean square
        distance to the mean model; ``norm`` of the latter, to compare with.
        """
        return {
            "peers": list(self.peers),
            "largest_difference": self.largest_difference,
            "consensus_distance": self.consensus_distance,
            "norm": self.norm,
        }
