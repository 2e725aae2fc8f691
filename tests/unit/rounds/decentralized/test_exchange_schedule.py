from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedswarm.rounds.exchange_schedule import ExchangeSchedule, Kind, Step


def test_without_consensus_each_round_has_one_exchange() -> None:
    schedule = ExchangeSchedule(rounds=3)
    assert [schedule.step(index) for index in range(4)] == [
        Step(0, Kind.UPDATES),
        Step(1, Kind.UPDATES),
        Step(2, Kind.UPDATES),
        Step(3, Kind.FAREWELL),
    ]


def test_consensus_follows_every_so_many_rounds_and_the_last() -> None:
    schedule = ExchangeSchedule(rounds=5, consensus_every=2)
    steps = [schedule.step(index) for index in range(schedule.farewell)]
    assert [step.round for step in steps if step.kind is Kind.MODELS] == [1, 3, 4]
    assert [step.round for step in steps if step.kind is Kind.UPDATES] == [0, 1, 2, 3, 4]


@given(st.integers(1, 60), st.integers(0, 70))
def test_exchanges_go_through_all_rounds_in_order(rounds: int, every: int) -> None:
    schedule = ExchangeSchedule(rounds, every)
    steps = [schedule.step(index) for index in range(schedule.farewell)]
    assert [step.round for step in steps if step.kind is Kind.UPDATES] == list(range(rounds))
    assert [step.round for step in steps] == sorted(step.round for step in steps)
    assert [step.round for index, step in enumerate(steps) if schedule.ends_round(index)] == list(range(rounds))
    assert schedule.step(schedule.farewell) == Step(rounds, Kind.FAREWELL)
    if every:
        expected = [index for index in range(rounds) if (index + 1) % every == 0 or index == rounds - 1]
        assert [step.round for step in steps if step.kind is Kind.MODELS] == expected
