"""What a selection policy is: it hears of clients, picks some of those online, and learns what became of them.

The three names are those of the FedScale family (``register_client``, ``select_participants``, ``register_feedback``);
the data are arrays, so that a policy answers at a million clients as it does at a hundred. A policy of one's own
derives from :class:`Policy` and gets everything but the choice itself; ``docs/selection.md`` has a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.feature_windows import FeatureWindows

ClientIds = NDArray[np.int64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

State: TypeAlias = dict[str, Any]
"""What a policy remembers: NumPy arrays, numbers, text, booleans and None, by name, and lists or dicts of these."""


@dataclass(frozen=True)
class Moment:
    """The circumstances of one selection.

    Attributes:
        now_s: the virtual clock.
        round_index: the round to be filled, from 0.
        draw: how many selections were made before, skipped rounds included: the key of a policy's randomness.
        online: ids of the clients that can be chosen, ascending, without repetition.
    """

    now_s: float
    round_index: int
    draw: int
    online: ClientIds


@dataclass(frozen=True)
class Feedback:
    """What became of the clients sampled for a round: one row each, exactly once, under that very round.

    NaN stands for what nobody measured, and never for zero. A client that *counts* has ``success`` and all numbers. A
    *straggler* has no success but a duration; its utility and norm are known only if it was trained nevertheless.
    Who *failed* or went away has neither: how long a failure took says nothing about a device's speed.

    Attributes:
        round_index: the round they were sampled for.
        client_ids: ``(n,)``, distinct.
        success: whether the client's update counts.
        utility: statistical utility of the trained samples, ``|B| sqrt(mean loss^2)`` (Oort, section 4.2).
        duration_s: virtual seconds from dispatch to result.
        compute_s: virtual seconds of its training alone.
        upload_s: virtual seconds of its upload alone.
        delta_norm: Euclidean norm of its whole update.
        steps: mini-batches it trained, or would have; 0 where unknown.
        dropout_fraction: share of the update that it did not send.
    """

    round_index: int
    client_ids: ClientIds
    success: Flags
    utility: Floats
    duration_s: Floats
    compute_s: Floats
    upload_s: Floats
    delta_norm: Floats
    steps: Integers
    dropout_fraction: Floats

    @classmethod
    def of(cls, round_index: int, client_ids: ClientIds, **columns: NDArray[Any]) -> Feedback:
        """From the columns given; the others are unknown (no success, NaN, 0 steps, nothing dropped)."""
        count = len(client_ids)
        unknown = np.full(count, np.nan)
        defaults: dict[str, NDArray[Any]] = {
            "success": np.zeros(count, dtype=np.bool_),
            "utility": unknown,
            "duration_s": unknown,
            "compute_s": unknown,
            "upload_s": unknown,
            "delta_norm": unknown,
            "steps": np.zeros(count, dtype=np.int64),
            "dropout_fraction": np.zeros(count),
        }
        return cls(round_index, client_ids, **(defaults | columns))


@dataclass(frozen=True)
class Override:
    """What a policy asks of one client beyond being chosen.

    Attributes:
        local_steps: mini-batches to train in place of the job's.
        dropout_fraction: share of the trainable weights' changes, the smallest ones, that is not to be sent; in [0, 1).
    """

    local_steps: int
    dropout_fraction: float = 0.0


@runtime_checkable
class DeviceFeatures(Protocol):
    """What a policy may know about devices. Rows of answers follow the ids asked for."""

    def profiles(self, client_ids: ClientIds) -> Mapping[str, NDArray[Any]]:
        """What never changes: columns of text or numbers by the names of a device profile, one entry a client."""
        ...

    def windows(self, client_ids: ClientIds, now_s: float) -> FeatureWindows:
        """What the traces showed lately, at virtual instant ``now_s``."""
        ...


class Selector(Protocol):
    """A policy. Its choices are a function of what it was told, of its seed and of :attr:`Moment.draw`."""

    @property
    def t_budget_s(self) -> float | None:
        """Virtual seconds that a client should take at most, if the policy paces that; the job's value otherwise.

        The deadline of adaptive training follows it.
        """
        ...

    def register_client(self, client_id: int, samples: int, devices: DeviceFeatures | None = None) -> None:
        """Adds one client; the same as :meth:`register_clients` of one."""
        ...

    def register_clients(self, client_ids: ClientIds, samples: Integers, devices: DeviceFeatures | None = None) -> None:
        """Adds clients with their numbers of training samples; ``devices`` may be asked about them at any time."""
        ...

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        """At most ``count`` distinct ids out of ``moment.online``, ascending."""
        ...

    def register_feedback(self, feedback: Feedback) -> None:
        """Learns what became of the clients it chose."""
        ...

    def overrides(self) -> Mapping[int, Override]:
        """What it asks of some of the clients chosen last; nothing of the others."""
        ...

    def predicted_utilities(self) -> Mapping[str, Mapping[int, float]]:
        """What it expected when it chose last, under the key that ROUND_BEGIN gives it (``pre_util``, ...), by id."""
        ...

    def describe(self) -> dict[str, Any]:
        """The ``pacer`` object of ROUND_BEGIN; JSON values, with ``algo`` for the policy's name."""
        ...

    def metrics(self) -> dict[str, Any]:
        """What it knows after a round, in JSON values, for the record SELECTION_METRICS; empty for no record."""
        ...

    def state_dict(self) -> State:
        """All it remembers; whoever loads it goes on as this one would, bit for bit."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Takes over what :meth:`state_dict` gave."""
        ...


class Policy:
    """A base for policies: keeps nothing, asks nothing, and leaves the choice to :meth:`select_participants`."""

    @property
    def t_budget_s(self) -> float | None:
        """Paces nothing."""
        return None

    def register_client(self, client_id: int, samples: int, devices: DeviceFeatures | None = None) -> None:
        """One client, for convenience."""
        ids, sizes = np.asarray([client_id], dtype=np.int64), np.asarray([samples], dtype=np.int64)
        self.register_clients(ids, sizes, devices)

    def register_clients(self, client_ids: ClientIds, samples: Integers, devices: DeviceFeatures | None = None) -> None:
        """Needs to know nobody in advance."""

    def select_participants(self, count: int, moment: Moment) -> ClientIds:
        """What a policy is for."""
        raise NotImplementedError(f"{type(self).__name__} must define select_participants(count, moment)")

    def register_feedback(self, feedback: Feedback) -> None:
        """Learns nothing."""

    def overrides(self) -> Mapping[int, Override]:
        """Asks nothing."""
        return {}

    def predicted_utilities(self) -> Mapping[str, Mapping[int, float]]:
        """Expects nothing."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Its name alone."""
        return {"algo": type(self).__name__}

    def metrics(self) -> dict[str, Any]:
        """Nothing to sum up."""
        return {}

    def state_dict(self) -> State:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing to take over."""
