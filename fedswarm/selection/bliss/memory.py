"""What Bliss remembers of clients: a short row of each, and windows of those it has heard of.

A participation is remembered when its feedback comes. Until then the windows at its beginning are kept aside, so that a
row to learn from always holds windows and outcome of the same participation.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.selection.bliss.feature_vectors import Participation
from fedswarm.selection.client_table import ClientTable
from fedswarm.selection.contract import ClientIds, Flags, Floats, Integers

Windows = NDArray[np.float32]

WINDOW_FEATURES: Final = 15
COLUMNS: Final[dict[str, tuple[type[np.generic], float]]] = {
    "outcome": (np.float64, np.nan),  # utility of the last participation, NaN while nobody knows it
    "utility": (np.float64, 0.0),  # the last utility known, and the one known before the last participation
    "last_utility": (np.float64, 0.0),
    "success": (np.bool_, False),
    "last_success": (np.bool_, False),
    "round": (np.int32, -1),
    "last_round": (np.int32, -1),
    "heard": (np.int32, 0),
    "slot": (np.int32, -1),
}


class Memory:
    """50 bytes a client, its id included; 120 more for each that was heard of."""

    def __init__(self) -> None:
        self.clients = ClientTable(COLUMNS)
        self._slots = 0
        self._windows = np.zeros(
            (0, 2, WINDOW_FEATURES), dtype=np.float32
        )  # of the last participation, of the one before
        self._begun_ids = np.zeros(0, dtype=np.int64)
        self._begun_windows = np.zeros((0, WINDOW_FEATURES), dtype=np.float32)
        self._begun_round = -1

    def begin(self, client_ids: ClientIds, windows: Windows, round_index: int) -> None:
        """These clients, ascending, were chosen; what was begun before and never heard of is forgotten."""
        self._begun_ids, self._begun_windows, self._begun_round = client_ids, windows, round_index

    def hear(self, client_ids: ClientIds, utility: Floats, success: Flags) -> None:
        """How the participations of clients chosen last ended; utility is NaN where nobody knows it.

        Each counts once; clients that were not chosen last are passed over.
        """
        if len(self._begun_ids) == 0:
            return
        at = np.minimum(np.searchsorted(self._begun_ids, client_ids), len(self._begun_ids) - 1)
        chosen = self._begun_ids[at] == client_ids
        at, rows = at[chosen], self.clients.rows(client_ids[chosen])
        clients = self.clients
        for name in ("utility", "success", "round"):
            clients[f"last_{name}"][rows] = clients[name][rows]
        known = ~np.isnan(utility[chosen])
        clients["outcome"][rows] = utility[chosen]
        clients["utility"][rows[known]] = utility[chosen][known]
        clients["success"][rows] = success[chosen]
        clients["round"][rows] = self._begun_round
        slots = self._slots_of(rows)
        self._windows[slots, 1] = self._windows[slots, 0]
        self._windows[slots, 0] = self._begun_windows[at]
        clients["heard"][rows] += 1
        kept = np.ones(len(self._begun_ids), dtype=np.bool_)
        kept[at] = False
        self._begun_ids, self._begun_windows = self._begun_ids[kept], self._begun_windows[kept]

    def latest(self, rows: Integers) -> Participation:
        """The last participation of clients heard of."""
        return self._participation(rows, "", 0)

    def before_latest(self, rows: Integers) -> Participation:
        """The one before, of clients heard of twice."""
        return self._participation(rows, "last_", 1)

    def _participation(self, rows: Integers, prefix: str, of: int) -> Participation:
        columns = (self.clients[f"{prefix}{name}"][rows] for name in ("utility", "success", "round"))
        return Participation(self._windows[self.clients["slot"][rows], of], *columns)

    def _slots_of(self, rows: Integers) -> NDArray[np.int32]:
        """Where the windows of these rows lie; room is made for newcomers."""
        slot = self.clients["slot"]
        new = rows[slot[rows] < 0]
        slot[new] = np.arange(self._slots, self._slots + len(new))
        self._slots += len(new)
        if self._slots > len(self._windows):
            grown = np.zeros((max(self._slots, 2 * len(self._windows)), 2, WINDOW_FEATURES), dtype=np.float32)
            grown[: len(self._windows)] = self._windows
            self._windows = grown
        slots: NDArray[np.int32] = slot[rows]
        return slots

    def state_dict(self) -> dict[str, Any]:
        """All of it, copied."""
        return {
            "clients": self.clients.state_dict(),
            "windows": self._windows[: self._slots].copy(),
            "begun_ids": self._begun_ids.copy(),
            "begun_windows": self._begun_windows.copy(),
            "begun_round": self._begun_round,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave."""
        self.clients.load_state_dict(state["clients"])
        self._windows = np.array(state["windows"], dtype=np.float32)
        self._slots = len(self._windows)
        self._begun_ids = np.array(state["begun_ids"], dtype=np.int64)
        self._begun_windows = np.array(state["begun_windows"], dtype=np.float32)
        self._begun_round = int(state["begun_round"])
