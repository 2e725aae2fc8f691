"""Every built-in policy keeps the contract, and the checks notice when one does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedswarm.errors import RunFailedError
from fedswarm.jobs.built_in import POLICIES
from fedswarm.jobs.schema import Job
from fedswarm.selection.conformance import CHECKS, Check
from fedswarm.selection.contract import (
    ClientIds,
    DeviceFeatures,
    Feedback,
    Integers,
    Moment,
    Policy,
    Selector,
    State,
)
from fedswarm.selection.policies import make_selector

FIDELITIES = ("paper", "reference")


def built_in(policy: str, fidelity: str, seed: int) -> Selector:
    sections = {name: {"fidelity": fidelity} for name in ("oort", "pyramidfl", "bliss")}
    oort = {**sections["oort"], "pacer_step": 5, "blacklist_rounds": 8}
    selection = {"policy": policy, "participants": 9, **sections, "oort": oort}
    return make_selector(Job.model_validate({"seed": seed, "selection": selection}))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_built_in_policies_keep_the_contract(policy: str, fidelity: str, check: Check) -> None:
    check(lambda seed: built_in(policy, fidelity, seed))


class Forgetful(Policy):
    """Chooses by turns, and does not tell its turn."""

    def __init__(self, seed: int) -> None:
        self.turn = seed

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        self.turn += 1
        return np.sort(np.roll(moment.online, self.turn + moment.draw)[:count])


class Greedy(Forgetful):
    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        return moment.online


class Sleepwalker(Forgetful):
    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        return np.arange(3, 3 + count)


class Leaky(Forgetful):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.history = np.zeros(3)

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        self.history += 1
        return super().select_participants(count, moment)

    def state_dict(self) -> State:
        return {"history": self.history}


class Absentminded(Policy):
    """Forgets whom it chose as soon as it is put down, and so hears of nobody."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chosen = self.heard = 0

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        self.chosen = int(moment.online[0]) if len(moment.online) else 0
        return np.sort(np.roll(moment.online, self.seed + self.heard)[:count])

    def register_feedback(self, feedback: Feedback) -> None:
        self.heard += self.chosen

    def state_dict(self) -> State:
        return {"heard": self.heard}

    def load_state_dict(self, state: State) -> None:
        self.heard = state["heard"]


class Deaf(Forgetful):
    """Knows only those that register in a crowd."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.known = np.empty(0, dtype=np.int64)

    def register_clients(self, client_ids: ClientIds, samples: Integers, devices: DeviceFeatures | None = None) -> None:
        self.known = client_ids

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        return super().select_participants(count, replace(moment, online=np.intersect1d(moment.online, self.known)))


@pytest.mark.parametrize(
    ("faulty", "broken", "complaint"),
    [
        (Greedy, "chooses_clients_online_once_and_no_more_than_asked", "where at most 12 were asked for"),
        (Sleepwalker, "chooses_clients_online_once_and_no_more_than_asked", "who are not online"),
        (Deaf, "knows_clients_however_they_register", "nobody was chosen"),
        (Absentminded, "resumes_as_if_nothing_had_happened", "a resumed policy chose others"),
        (Forgetful, "resumes_as_if_nothing_had_happened", "a resumed policy chose others"),
        (Leaky, "keeps_its_state_to_itself", "not equal"),
    ],
)
def test_the_checks_notice_what_is_broken(faulty: Any, broken: str, complaint: str) -> None:
    (check,) = [check for check in CHECKS if check.__name__ == broken]
    with pytest.raises((AssertionError, RunFailedError), match=complaint):
        check(faulty)
