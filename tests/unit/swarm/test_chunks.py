from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.swarm.chunks import KIB, MIB, chunk_bytes_for


@given(st.integers(1, 64 * 1024 * MIB))
def test_chunks_are_256_kib_to_1_mib(total_bytes: int) -> None:
    assert chunk_bytes_for(total_bytes) in (256 * KIB, 512 * KIB, 1 * MIB)


@given(st.integers(1, 64 * 1024 * MIB))
def test_on_slow_links_chunks_may_be_smaller_and_are_never_larger(total_bytes: int) -> None:
    assert 32 * KIB <= chunk_bytes_for(total_bytes, slow_links=True) <= chunk_bytes_for(total_bytes)


def test_a_tiny_model_is_one_chunk() -> None:
    assert chunk_bytes_for(31_400) >= 31_400


@pytest.mark.parametrize("mib", [130, 180, 250, 300, 480])
def test_a_big_model_has_250_to_500_chunks(mib: int) -> None:
    assert 250 <= -(-mib * MIB // chunk_bytes_for(mib * MIB)) <= 520
