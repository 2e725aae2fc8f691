"""What a peer of a job without an aggregator hears of (events) and what it has done for it (instructions).

Exchanges are numbered by :class:`~fedswarm.rounds.exchange_schedule.ExchangeSchedule`, instants are those of the
shell's clock, other peers are named by their ids.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedswarm.rounds.peer_exchange import FetchEnd

# ---- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """Everything is ready for the first round."""


@dataclass(frozen=True, slots=True)
class Trained:
    """This peer's own training ended; its weights can be published."""


@dataclass(frozen=True, slots=True)
class UpdateOffered:
    """A peer offers its weights for an exchange; ``weight`` is what they count in the mean."""

    peer: str
    exchange: int
    weight: int


@dataclass(frozen=True, slots=True)
class ModelOffered:
    """A neighbour offers the model with which it begins an exchange; if it ``lasts``, it is not forgotten soon."""

    peer: str
    exchange: int
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class FetchEnded:
    """A fetch of a peer's weights ended."""

    peer: str
    exchange: int
    end: FetchEnd


@dataclass(frozen=True, slots=True)
class ModelFetched:
    """A neighbour's model is there."""

    peer: str
    exchange: int


@dataclass(frozen=True, slots=True)
class ModelLost:
    """A neighbour's model cannot be had."""

    peer: str
    exchange: int


@dataclass(frozen=True, slots=True)
class LinksChanged:
    """Who is linked now."""

    peers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Departed:
    """A neighbour takes leave of the job."""

    peer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A peer offers what does not fit this job: it is not listened to any more."""

    peer: str


@dataclass(frozen=True, slots=True)
class Aggregated:
    """What was asked to be aggregated is this peer's model now."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The model was tested."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


PeerEvent = (
    Started
    | Trained
    | UpdateOffered
    | ModelOffered
    | FetchEnded
    | ModelFetched
    | ModelLost
    | LinksChanged
    | Departed
    | Refused
    | Aggregated
    | Evaluated
    | Tick
)

# ---- instructions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """The model is that with which this exchange begins: offer it to neighbours, forget all before the last one.

    Models of the exchanges in ``lasting``, perhaps this one's, are offered as such and not forgotten.
    """

    exchange: int
    lasting: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Train:
    """Train in this round, from the model; answered by :class:`Trained`."""

    round: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Offer one's own weights for this exchange, and collect those of others from now on."""

    exchange: int


@dataclass(frozen=True, slots=True)
class FetchUpdate:
    """Fetch a peer's weights, what is lacking of them; answered by :class:`FetchEnded`."""

    peer: str
    exchange: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Average what is there; answered by :class:`Aggregated`.

    ``others`` are the peers whose weights should have been there, and ``total_weight`` is theirs and one's own.
    """

    exchange: int
    others: tuple[str, ...]
    total_weight: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Test the model, which ``rounds`` rounds made; answered by :class:`Evaluated`."""

    rounds: int


@dataclass(frozen=True, slots=True)
class EvaluateOwn:
    """Test the weights just trained in this round, before they are averaged; nothing waits for the answer."""

    round: int


@dataclass(frozen=True, slots=True)
class RecordRound:
    """A round is over."""

    round: int


@dataclass(frozen=True, slots=True)
class FetchModel:
    """Fetch a neighbour's model, and no other any more; answered by :class:`ModelFetched` or :class:`ModelLost`."""

    peer: str
    exchange: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Leave round ``left_round`` for ``round``, with the model just fetched of ``source``; empty is one's own."""

    source: str
    left_round: int
    round: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is over for this peer."""


PeerInstruction = (
    Begin
    | Train
    | Publish
    | FetchUpdate
    | Aggregate
    | Evaluate
    | EvaluateOwn
    | RecordRound
    | FetchModel
    | CatchUp
    | Finish
)
