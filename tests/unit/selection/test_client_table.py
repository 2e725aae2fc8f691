"""The table of clients: rows by id, whenever and in whatever order clients come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.selection.client_table import ClientTable

COLUMNS = {"round": (np.int32, -1.0), "utility": (np.float64, 0.0)}
Crowd = st.lists(st.integers(0, 40), max_size=12)


@given(st.lists(Crowd, max_size=6))
def test_values_stay_with_their_clients_while_others_come(crowds: list[list[int]]) -> None:
    table = ClientTable(COLUMNS)
    for number, crowd in enumerate(crowds):
        ids = np.asarray(crowd, dtype=np.int64)
        rows = table.add(ids)
        assert np.array_equal(table.ids[rows], ids)
        fresh = rows[table["round"][rows] < 0]
        table["round"][fresh] = number
    assert table.ids.tolist() == sorted({client for crowd in crowds for client in crowd})
    first_came = [next(n for n, crowd in enumerate(crowds) if client in crowd) for client in table.ids.tolist()]
    assert table["round"].tolist() == first_came
    assert not table["utility"].any()


@pytest.mark.parametrize("known", [[3, 4, 5], [3, 5, 9], []])
def test_a_stranger_is_told(known: list[int]) -> None:
    table = ClientTable(COLUMNS)
    table.add(np.asarray(known, dtype=np.int64))
    for stranger in (2, 8, 10):
        with pytest.raises(KeyError, match=rf"clients \[{stranger}\] were never registered"):
            table.rows(np.asarray([*known, stranger]))


def test_a_table_survives_its_state() -> None:
    table, other = ClientTable(COLUMNS), ClientTable(COLUMNS)
    rows = table.add(np.asarray([7, 2]))
    table["utility"][rows] = [70.0, 20.0]
    other.load_state_dict(table.state_dict())
    assert (other.ids.tolist(), other["utility"].tolist()) == ([2, 7], [20.0, 70.0])
