from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import WireError
from fedswarm.swarm.bitfield import Bitfield


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_runs_rebuild_the_field(bits: list[bool]) -> None:
    field = Bitfield(len(bits))
    for index in np.flatnonzero(bits):
        field.add_run(int(index), 1)
    copy = Bitfield(len(bits))
    for first, count in field.runs():
        copy.add_run(first, count)
    assert copy.bits.tolist() == bits
    assert copy.count == sum(bits)


def test_only_new_chunks_are_reported() -> None:
    field = Bitfield(10)
    field.add_run(3, 2)
    assert field.add_run(2, 4).tolist() == [2, 5]


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (9, 2), (0, 0), (2**31, 1), (0, 2**32)])
def test_chunks_that_do_not_exist_are_refused(first: int, count: int) -> None:
    with pytest.raises(WireError, match="weights that have 10"):
        Bitfield(10).add_run(first, count)


def test_complete_means_all_of_them() -> None:
    field = Bitfield(3)
    field.add_run(0, 3)
    assert field.complete
    assert field.remove(1)
    assert not field.remove(1)
    assert not field.complete
