"""Bliss as a policy: candidates, predictions, picks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.device_catalogue import DeviceCatalogue
from fedswarm.jobs.bliss_sections import BlissSection
from fedswarm.randomness import generator
from fedswarm.selection.bliss.candidates import learning_rows, most_useful, newcomers
from fedswarm.selection.bliss.collection import RowSink
from fedswarm.selection.bliss.memory import Memory
from fedswarm.selection.bliss.metrics import bliss_metrics
from fedswarm.selection.bliss.outlook import Lesson, Outlook
from fedswarm.selection.bliss.portraits import Portraits
from fedswarm.selection.bliss.ranking import picks
from fedswarm.selection.bliss.reward import rewards
from fedswarm.selection.contract import ClientIds, DeviceFeatures, Feedback, Floats, Integers, Moment, Policy, State
from fedswarm.selection.oort.pacer import SecondsPacer

Features = NDArray[np.float32]


class BlissSelector(Policy):
    """Implements :class:`~fedswarm.selection.contract.Selector`.

    Args:
        section: the job's ``selection.bliss``.
        seed: of all its draws.
        t_budget_s: the time budget to begin with, virtual seconds.
        adaptive: whether clients keep to the time budget by themselves, so that slowness needs no penalty.
        catalogue: brands and models that are told apart.
        sink: takes the rows that regressors learn from.

    Raises :class:`~fedswarm.errors.DependencyError` if a regressor's package is not installed.
    """

    def __init__(
        self,
        section: BlissSection,
        seed: int,
        t_budget_s: float,
        *,
        adaptive: bool,
        catalogue: DeviceCatalogue,
        sink: RowSink | None = None,
    ) -> None:
        self._section = section
        self._seed = seed
        self._penalty = 0.0 if adaptive else section.round_penalty
        self._sink = sink
        self._published = section.fidelity == "reference"
        self._memory = Memory()
        self._portraits = Portraits(self._memory, catalogue, published=self._published)
        self._pacer = SecondsPacer(section.pacer_step, section.pacer_delta, t_budget_s)
        self._first = Outlook(section.g, failures_apart=not self._published)
        self._later = Outlook(section.h, failures_apart=not self._published)
        self._budget_s = self._budget_before_s = t_budget_s  # at the last selection and the one before
        self._selections = 0
        self._seen: dict[int, float] = {}
        self._unseen: dict[int, float] = {}

    @property
    def t_budget_s(self) -> float:
        """What the pacer says."""
        return self._pacer.budget_s

    def register_clients(self, client_ids: ClientIds, samples: Integers, devices: DeviceFeatures | None = None) -> None:
        """Adds clients; while nobody brings ``devices`` they are told apart by their histories alone."""
        self._memory.clients.add(client_ids)
        if devices is not None:
            self._portraits.devices = devices

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        """The most promising of the candidates; others online, at random, if there are too few of these."""
        rows = self._memory.clients.rows(moment.online)
        heard = self._memory.clients["heard"][rows] > 0
        unseen = newcomers(rows[~heard], self._section.predict_candidates, self._random("newcomers", moment))
        known = rows[heard]
        seen = most_useful(known, self._memory.clients["utility"][known], self._section.refresh_candidates)
        self._budget_before_s, self._budget_s = self._budget_s, self._pacer.budget_s
        self._learn(moment)
        first, later = self._predict(unseen, seen, moment)
        self._note(unseen, first, seen, later)
        expected = np.concatenate([first, later])
        picked = picks(expected, count, self._section.ranking, self._random("ranking", moment))
        chosen = np.concatenate([unseen, seen])[picked]
        if len(chosen) < count:
            others = np.setdiff1d(rows, chosen, assume_unique=True)
            chosen = np.concatenate([chosen, newcomers(others, count - len(chosen), self._random("others", moment))])
        ids: ClientIds = self._memory.clients.ids[np.sort(chosen)]
        self._memory.begin(ids, self._portraits.windows(ids, moment.now_s), self._selections)
        self._selections += 1
        return ids

    def register_feedback(self, feedback: Feedback) -> None:
        """Remembers what participations were worth, and lets the pacer know."""
        worth = rewards(feedback, self._pacer.budget_s, self._penalty, failures_apart=not self._published)
        self._memory.hear(feedback.client_ids, worth, feedback.success)
        if feedback.success.any():
            self._pacer.observe(float(np.nan_to_num(worth[feedback.success]).mean()))

    def predicted_utilities(self) -> Mapping[str, Mapping[int, float]]:
        """Predictions of all candidates considered last."""
        return {"bliss_pred_seen": self._seen, "bliss_pred_unseen": self._unseen}

    def describe(self) -> dict[str, Any]:
        """The pacer."""
        return {
            "algo": "bliss",
            "round": self._selections,
            **self._pacer.describe(),
            "t_budget_before": self._budget_before_s,
        }

    def metrics(self) -> dict[str, Any]:
        """What it knows, summed up; see :func:`~fedswarm.selection.bliss.metrics.bliss_metrics`."""
        return bliss_metrics(self._memory.clients, self._selections, self._seen, self._unseen)

    def state_dict(self) -> State:
        """Memory, pacer, fitted models and the last predictions."""
        return {
            "memory": self._memory.state_dict(),
            "pacer": self._pacer.state_dict(),
            "first": self._first.state_dict(),
            "later": self._later.state_dict(),
            "budgets": [self._budget_before_s, self._budget_s],
            "selections": self._selections,
            "seen": _columns(self._seen),
            "unseen": _columns(self._unseen),
        }

    def load_state_dict(self, state: State) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._memory.load_state_dict(state["memory"])
        self._pacer.load_state_dict(state["pacer"])
        self._first.load_state_dict(state["first"])
        self._later.load_state_dict(state["later"])
        self._budget_before_s, self._budget_s = map(float, state["budgets"])
        self._selections = int(state["selections"])
        self._seen, self._unseen = _predictions(state["seen"]), _predictions(state["unseen"])

    # Learning and predicting

    def _learn(self, moment: Moment) -> None:
        """Fits both regressors anew."""
        clients, section, portraits = self._memory.clients, self._section, self._portraits
        heard = np.flatnonzero(clients["heard"] > 0)
        rows = learning_rows(heard, self._weights(heard), section.predict_rows, self._random("g-rows", moment))
        self._fit("g", self._first, rows, portraits.first_learnt(rows), moment)
        heard = np.flatnonzero(clients["heard"] > 1)
        rows = learning_rows(heard, self._weights(heard), section.refresh_rows, self._random("h-rows", moment))
        self._fit("h", self._later, rows, portraits.later_learnt(rows), moment)

    def _weights(self, rows: Integers) -> Floats:
        """How much there is to learn from clients: their utilities.

        Who always failed has none known. To learn failures apart, such clients count as the average one.
        """
        utility: Floats = self._memory.clients["utility"][rows]
        if self._published or not np.any(utility > 0):
            return utility
        return np.where(utility > 0, utility, utility[utility > 0].mean())

    def _fit(
        self, name: Literal["g", "h"], outlook: Outlook, rows: Integers, features: Features, moment: Moment
    ) -> None:
        if len(rows) == 0:
            return
        clients = self._memory.clients
        lesson = Lesson(features, clients["outcome"][rows], clients["success"][rows])
        outlook.fit(lesson, self._random(f"{name}-fit", moment))
        if self._sink is not None:
            self._sink(name, self._selections, clients.ids[rows], features, lesson.utility)

    def _predict(self, unseen: Integers, seen: Integers, moment: Moment) -> tuple[Floats, Floats]:
        """What is expected of both groups. While h has learnt nothing, g stands in for it, but not as published."""
        portraits, now_s = self._portraits, moment.now_s
        first = self._first.predict(portraits.first_ahead(unseen, now_s, self._selections))
        if self._later.fitted or self._published:
            return first, self._later.predict(portraits.later_ahead(seen, now_s, self._selections))
        return first, self._first.predict(portraits.first_ahead(seen, now_s, self._selections))

    def _note(self, unseen: Integers, first: Floats, seen: Integers, later: Floats) -> None:
        ids = self._memory.clients.ids
        self._unseen = dict(zip(ids[unseen].tolist(), first.tolist(), strict=True))
        self._seen = dict(zip(ids[seen].tolist(), later.tolist(), strict=True))

    def _random(self, purpose: str, moment: Moment) -> np.random.Generator:
        return generator(self._seed, moment.draw, f"bliss-{purpose}")


def _columns(predictions: Mapping[int, float]) -> dict[str, Any]:
    return {
        "ids": np.fromiter(predictions, dtype=np.int64, count=len(predictions)),
        "values": np.fromiter(predictions.values(), dtype=np.float64, count=len(predictions)),
    }


def _predictions(state: Mapping[str, Any]) -> dict[int, float]:
    return dict(zip(np.asarray(state["ids"]).tolist(), np.asarray(state["values"]).tolist(), strict=True))
