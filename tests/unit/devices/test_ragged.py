from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.devices.ragged import last_before, last_not_after, offsets_of, positions_of, row_of_each

ROWS = st.lists(st.lists(st.integers(0, 9).map(float), min_size=1, max_size=20).map(sorted), min_size=1, max_size=5)


@given(rows=ROWS, key=st.integers(-1, 10).map(float))
def test_searches_find_what_bisection_of_each_row_finds(rows: list[list[float]], key: float) -> None:
    flat, offsets = np.concatenate(rows), offsets_of([len(row) for row in rows])
    first, count, keys = offsets[:-1], np.diff(offsets), np.full(len(rows), key)
    not_after = [max(bisect_right(row, key) - 1, 0) for row in rows]
    before = [max(bisect_left(row, key) - 1, 0) for row in rows]
    assert (last_not_after(flat, first, count, keys) - first).tolist() == not_after
    assert (last_before(flat, first, count, keys) - first).tolist() == before


def test_a_search_of_nothing_finds_nothing() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert len(last_not_after(np.zeros(3), none, none, np.zeros(0))) == 0


@given(rows=st.lists(st.lists(st.integers(), max_size=3), min_size=1, max_size=6), data=st.data())
def test_positions_of_rows_gather_them_in_the_order_asked_for(rows: list[list[int]], data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    flat = np.asarray([value for row in rows for value in row], dtype=object)
    found = flat[positions_of(offsets_of([len(row) for row in rows]), np.asarray(asked, dtype=np.int64))]
    assert found.tolist() == [value for row in asked for value in rows[row]]


def test_each_element_knows_its_row() -> None:
    assert row_of_each(offsets_of([2, 0, 1])).tolist() == [0, 0, 2]
