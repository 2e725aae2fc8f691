"""Plans by hand, for what is judged and told about a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fedswarm.rounds.plan import PlannedTask, PlannedTimes, RoundPlan


@pytest.fixture
def by_hand() -> Callable[..., RoundPlan]:
    """A plan whose clients run as given, each a cohort of its own; ``times`` may give (download, compute, upload)."""

    def make(to_run: tuple[int, ...], *, times: dict[int, tuple[float, ...]] | None = None, **fields: Any) -> RoundPlan:
        stragglers, inactive = fields.get("stragglers", ()), fields.get("inactive", ())
        planned = times or dict.fromkeys((*to_run, *stragglers), (0.0, 0.0, 0.0))
        settings: dict[str, Any] = {
            "round_index": 4,
            "start_clock_s": 100.0,
            "learning_rate": 0.1,
            "online": (*to_run, *stragglers, *inactive),
            "sampled": (*to_run, *stragglers, *inactive),
            "to_run": to_run,
            "stragglers": (),
            "inactive": (),
            "times": {client: PlannedTimes(*phases) for client, phases in planned.items()},
            "tasks": {client: PlannedTask(client, 5) for client in to_run},
            "cohorts": tuple((client,) for client in to_run),
        }
        return RoundPlan(**{**settings, **fields})

    return make
