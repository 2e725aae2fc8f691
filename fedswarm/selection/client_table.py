"""What a policy remembers of each client: columns over dense rows, in ascending order of client ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedswarm.selection.contract import ClientIds, Integers

Rows = NDArray[np.int64]


class ClientTable:
    """A table with one row a client; its cost is 8 bytes a client for the ids, and what the columns take.

    Args:
        columns: type and initial value of each column, by name.
    """

    def __init__(self, columns: Mapping[str, tuple[DTypeLike, float]]) -> None:
        self._kinds = {name: (np.dtype(kind), initial) for name, (kind, initial) in columns.items()}
        self._ids = np.empty(0, dtype=np.int64)
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(0, kind) for name, (kind, _) in self._kinds.items()}

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, to be read and written in place; it is another array after :meth:`add`."""
        return self._columns[name]

    @property
    def ids(self) -> ClientIds:
        """Client of each row, ascending."""
        return self._ids

    @property
    def bytes_per_client(self) -> int:
        """Memory of one row."""
        return self._ids.itemsize + sum(kind.itemsize for kind, _ in self._kinds.values())

    def add(self, client_ids: ClientIds) -> Rows:
        """Makes rows for these clients, where they are not known yet, and returns the row of each."""
        merged = _union(self._ids, client_ids)
        if len(merged) > len(self._ids):
            old = np.searchsorted(merged, self._ids)
            for name, (kind, initial) in self._kinds.items():
                column = np.full(len(merged), initial, dtype=kind)
                column[old] = self._columns[name]
                self._columns[name] = column
            self._ids = merged
        return self.rows(client_ids)

    def rows(self, client_ids: ClientIds) -> Rows:
        """The row of each client; raises :class:`KeyError` for one that was never added."""
        count = len(self._ids)
        if count and self._ids[-1] - self._ids[0] == count - 1:  # no gaps: the id itself tells the row
            rows: Integers = client_ids - self._ids[0]
            known = (rows >= 0) & (rows < count)
        else:
            rows = np.searchsorted(self._ids, client_ids)
            known = (rows < count) & (self._ids[np.minimum(rows, count - 1)] == client_ids) if count else rows < 0
        if not known.all():
            strangers = client_ids[~known][:5].tolist()
            raise KeyError(f"clients {strangers} were never registered: call register_clients first")
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Ids and columns, copied."""
        return {"ids": self._ids.copy(), **{name: column.copy() for name, column in self._columns.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self._ids = np.array(state["ids"], dtype=np.int64)
        self._columns = {name: np.array(state[name], dtype=kind) for name, (kind, _) in self._kinds.items()}


def _union(first: ClientIds, second: ClientIds) -> ClientIds:
    """Ids of both, ascending; NumPy's own hashes them, a hundred times slower where they are in order already."""
    ids: ClientIds = np.sort(np.concatenate([first, second]), kind="stable")
    new: NDArray[np.bool_] = np.ones(len(ids), dtype=np.bool_)
    new[1:] = ids[1:] > ids[:-1]
    return ids[new]
