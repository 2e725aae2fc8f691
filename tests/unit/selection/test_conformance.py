"""Every built-in policy keeps the contract, and the checks notice when one does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedswarm.jobs.built_in import POLICIES
from fedswarm.jobs.schema import Job
from fedswarm.selection.conformance import CHECKS, Check
from fedswarm.selection.contract import ClientIds, Moment, Policy, Selector, State
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


@pytest.mark.parametrize(
    ("faulty", "broken"),
    [
        (Greedy, "chooses_clients_online_once_and_no_more_than_asked"),
        (Sleepwalker, "chooses_clients_online_once_and_no_more_than_asked"),
        (Forgetful, "resumes_as_if_nothing_had_happened"),
        (Leaky, "keeps_its_state_to_itself"),
    ],
)
def test_the_checks_notice_what_is_broken(faulty: Any, broken: str) -> None:
    (check,) = [check for check in CHECKS if check.__name__ == broken]
    with pytest.raises(Exception, match=r".+"):
        check(faulty)
