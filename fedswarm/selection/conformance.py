"""What every policy must do, as checks that a test-suite runs: the built-in policies' and those of one's own.

::

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_policy_keeps_the_contract(check):
        check(lambda seed: MyPolicy(seed))

Each check plays rounds with clients that come and go, count, straggle and fail, and raises :class:`AssertionError`
with what was broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np

from fedswarm.devices.synthesis import TraceDensity, synthesize_population
from fedswarm.devices.traced import TracedDevices
from fedswarm.randomness import generator
from fedswarm.selection.choice import check_choice
from fedswarm.selection.contract import ClientIds, DeviceFeatures, Feedback, Moment, Override, Selector

MakePolicy = Callable[[int], Selector]
Check = Callable[[MakePolicy], None]
Requests = dict[int, Override]

CLIENTS: Final = np.concatenate([np.arange(3, 60), np.arange(100, 130)])
NEWCOMERS: Final = np.arange(60, 70)
EVERYBODY: Final = np.union1d(CLIENTS, NEWCOMERS)
COUNT: Final = 12
ROUNDS: Final = 30
HALF: Final = ROUNDS // 2


@dataclass
class Rehearsal:
    """Plays rounds with one policy; whatever happens follows from the round alone."""

    policy: Selector
    choices: list[ClientIds] = field(default_factory=list)
    requests: list[Requests] = field(default_factory=list)

    def register(self, client_ids: ClientIds = CLIENTS) -> None:
        """Introduces clients and their devices."""
        self.policy.register_clients(client_ids, 20 + client_ids % 50, devices())

    def play(self, first: int, last: int, clients: ClientIds = CLIENTS) -> None:
        """Rounds ``first`` to ``last - 1``."""
        for round_index in range(first, last):
            self.choose(round_index, clients)
            self.hear(round_index)

    def choose(self, round_index: int, clients: ClientIds = CLIENTS) -> None:
        """The first half of a round: some of the clients are online, and the policy chooses."""
        draws = generator(1, round_index, "online")
        online = clients[draws.random(len(clients)) < draws.choice([0.05, 0.4, 1.0])]
        moment = Moment(60.0 * round_index, round_index, round_index, online)
        chosen = self.policy.select_participants(COUNT, moment)
        check_choice(chosen, COUNT, online)
        assert len(chosen) or not len(online), f"{len(online)} clients are online and nobody was chosen"
        self.choices.append(chosen)
        self.requests.append(dict(self.policy.overrides()))
        self._check_requests(chosen)

    def hear(self, round_index: int) -> None:
        """The second half: one feedback on everybody chosen."""
        self.policy.register_feedback(feedback(round_index, self.choices[-1]))

    def _check_requests(self, chosen: ClientIds) -> None:
        for client, override in self.requests[-1].items():
            assert client in chosen, f"an override for client {client}, who was not chosen"
            assert override.local_steps >= 1, f"client {client} is to train {override.local_steps} steps"
            assert 0 <= override.dropout_fraction < 1, f"client {client} is to drop {override.dropout_fraction}"
        for key, expected in self.policy.predicted_utilities().items():
            assert np.isfinite(list(expected.values())).all(), f"{key} holds utilities that are not finite"
        pacer = self.policy.describe()
        assert isinstance(pacer.get("algo"), str), "describe() must name the policy under 'algo'"
        json.dumps(pacer, allow_nan=False)


@cache
def devices() -> DeviceFeatures:
    """Forty synthetic phones, which the clients have by turns."""
    return TracedDevices(EVERYBODY, synthesize_population(seed=4, devices=40, density=TraceDensity(20, 10)), seed=1)


def feedback(round_index: int, chosen: ClientIds) -> Feedback:
    """A tenth of the clients fails, a quarter straggles, the others count."""
    draws = generator(2, round_index, "fate")
    fate = draws.random(len(chosen))
    success, failed = fate > 0.35, fate < 0.1
    compute_s, upload_s = 20.0 + chosen % 40, 5.0 + chosen % 7 * 30
    measured = success | (draws.random(len(chosen)) < 0.5)

    def known(values: Any, where: Any) -> Any:
        return np.where(where, values, np.nan)

    return Feedback(
        round_index=round_index,
        client_ids=chosen,
        success=success,
        utility=known((1.0 + chosen % 9) / (1 + 0.02 * round_index), measured & ~failed),
        duration_s=known(compute_s + upload_s + 10, ~failed),
        compute_s=known(compute_s, ~failed),
        upload_s=known(upload_s, ~failed),
        delta_norm=known(1.0 + chosen % 5, measured & ~failed),
        steps=np.where(failed, 0, 20),
        dropout_fraction=np.zeros(len(chosen)),
    )


def played(make: MakePolicy, seed: int = 7, rounds: int = ROUNDS) -> Rehearsal:
    """A new policy after some rounds."""
    rehearsal = Rehearsal(make(seed))
    rehearsal.register()
    rehearsal.play(0, rounds)
    return rehearsal


def same(first: list[ClientIds], second: list[ClientIds]) -> bool:
    """Whether two policies made the same choices."""
    return all(map(np.array_equal, first, second)) and len(first) == len(second)


def chooses_clients_online_once_and_no_more_than_asked(make: MakePolicy) -> None:
    """Every choice is some of those online."""
    played(make)


def knows_clients_however_they_register(make: MakePolicy) -> None:
    """One by one or all at once."""
    one_by_one = Rehearsal(make(7))
    for client in CLIENTS.tolist():
        one_by_one.policy.register_client(client, 20 + client % 50, devices())
    one_by_one.play(0, HALF)
    at_once = played(make, rounds=HALF)
    assert same(one_by_one.choices, at_once.choices), "clients registered one by one are treated otherwise"


def follows_from_seed_and_draw(make: MakePolicy) -> None:
    """Equal seeds choose alike, and different ones do not."""
    assert same(played(make).choices, played(make).choices), "the same seed and history led to different choices"
    assert not same(played(make).choices, played(make, seed=8).choices), "the seed has no influence"


def draws_anew_for_a_round_that_was_skipped(make: MakePolicy) -> None:
    """The draw, not the round, is the key of a policy's randomness."""
    choices = set()
    for draw in range(5):
        rehearsal = Rehearsal(make(7))
        rehearsal.register()
        choices.add(tuple(rehearsal.policy.select_participants(COUNT, Moment(0.0, 0, draw, CLIENTS)).tolist()))
    assert len(choices) > 1, "a round that was skipped would be drawn the same way for ever"


def resumes_as_if_nothing_had_happened(make: MakePolicy) -> None:
    """A policy that took over another's state goes on like it, between two rounds and within one."""
    undisturbed = played(make)
    for within in (False, True):
        first, resumed = played(make, rounds=HALF), Rehearsal(make(7))
        if within:
            first.choose(HALF)
        resumed.register()  # as every run does when it begins; the state has the last word
        resumed.policy.load_state_dict(stored(first.policy.state_dict()))
        resumed.choices, resumed.requests = first.choices, first.requests
        if within:
            resumed.hear(HALF)
        resumed.play(HALF + within, ROUNDS)
        assert same(resumed.choices, undisturbed.choices), "a resumed policy chose others"
        assert resumed.requests == undisturbed.requests, "a resumed policy asks something else of the chosen"
        assert resumed.policy.describe() == undisturbed.policy.describe(), "a resumed policy describes itself otherwise"


def keeps_its_state_to_itself(make: MakePolicy) -> None:
    """What ``state_dict`` gave does not change while the policy goes on."""
    rehearsal = played(make, rounds=HALF)
    state = rehearsal.policy.state_dict()
    before = stored(state)
    rehearsal.play(HALF, ROUNDS)
    np.testing.assert_equal(stored(state), before)


def welcomes_newcomers(make: MakePolicy) -> None:
    """Clients that join later, between the others' ids, are chosen too."""
    rehearsal = played(make, rounds=HALF)
    rehearsal.register(NEWCOMERS)
    rehearsal.play(HALF, 2 * ROUNDS, EVERYBODY)
    assert np.isin(np.concatenate(rehearsal.choices), NEWCOMERS).any(), "nobody who joined later was ever chosen"


def survives_rounds_in_which_all_fail(make: MakePolicy) -> None:
    """Nothing but failures is no information, and no error."""
    rehearsal = Rehearsal(make(7))
    rehearsal.register()
    for round_index in range(5):
        chosen = rehearsal.policy.select_participants(COUNT, Moment(0.0, round_index, round_index, CLIENTS))
        rehearsal.policy.register_feedback(Feedback.of(round_index, chosen))
    rehearsal.play(5, HALF)


def copes_with_nobody(make: MakePolicy) -> None:
    """Nobody online, nobody asked for."""
    rehearsal = played(make, rounds=3)
    nobody = np.empty(0, dtype=np.int64)
    assert len(rehearsal.policy.select_participants(COUNT, Moment(0.0, 3, 3, nobody))) == 0
    rehearsal.policy.register_feedback(Feedback.of(3, nobody))


def stored(state: Any) -> Any:
    """A state as a file would hold it: arrays and JSON values, copied; a number that is not finite is refused."""
    if isinstance(state, np.ndarray):
        assert state.dtype != object, "a state must not hold arrays of objects"
        return state.copy()
    if isinstance(state, dict):
        assert all(isinstance(key, str) for key in state), "keys of a state must be text"
        return {key: stored(value) for key, value in state.items()}
    if isinstance(state, list):
        return [stored(value) for value in state]
    return json.loads(json.dumps(state, allow_nan=False))


CHECKS: Final[tuple[Check, ...]] = (
    chooses_clients_online_once_and_no_more_than_asked,
    knows_clients_however_they_register,
    follows_from_seed_and_draw,
    draws_anew_for_a_round_that_was_skipped,
    resumes_as_if_nothing_had_happened,
    keeps_its_state_to_itself,
    welcomes_newcomers,
    survives_rounds_in_which_all_fail,
    copes_with_nobody,
)
