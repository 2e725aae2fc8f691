from __future__ import annotations

import pytest

from fedswarm.jobs.exchange_sections import ExchangeSection
from fedswarm.rounds.exchange_choice import (
    REDUCE_FROM_BYTES,
    SWARM_FROM_BYTES,
    chosen_chunk_bytes,
    reduces_by_peers,
    spreads_by_peers,
)


@pytest.mark.parametrize(
    ("mode", "nbytes", "executors", "expected"),
    [
        ("auto", SWARM_FROM_BYTES, 1, False),
        ("auto", SWARM_FROM_BYTES // 2, 2, True),
        ("auto", 30_000, 4, False),
        ("swarm", 30_000, 4, True),
        ("direct", 10**9, 9, False),
    ],
)
def test_how_a_model_spreads(mode: str, nbytes: int, executors: int, expected: bool) -> None:
    assert spreads_by_peers(ExchangeSection.model_validate({"broadcast": mode}), nbytes, executors) is expected


@pytest.mark.parametrize(
    ("mode", "weights", "executors", "expected"),
    [
        ("auto", REDUCE_FROM_BYTES // 8, 2, False),
        ("auto", REDUCE_FROM_BYTES // 16, 3, True),
        ("auto", 7_850, 8, False),
        ("swarm", 7_850, 2, True),
        ("swarm", 7_850, 1, False),
        ("direct", 10**9, 9, False),
    ],
)
def test_who_adds_up(mode: str, weights: int, executors: int, expected: bool) -> None:
    assert reduces_by_peers(ExchangeSection.model_validate({"reduce": mode}), weights, executors) is expected


def test_chunk_size_in_bytes() -> None:
    assert chosen_chunk_bytes(ExchangeSection(chunk_kib=512), 10**6) == 524_288
    assert chosen_chunk_bytes(ExchangeSection(), 10**6) == 262_144


@pytest.mark.parametrize("shaping", [{"link": "smartphone_low"}, {"up_mbps": 20}])
def test_chunks_are_smaller_on_slow_links(shaping: dict[str, object]) -> None:
    section = ExchangeSection.model_validate({"shaping": shaping})
    assert chosen_chunk_bytes(section, 10**6) == 32_768
