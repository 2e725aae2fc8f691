"""What a participation was worth: its utility, less for who took longer than the time budget.

The penalty is that of Oort, ``(T / duration)^alpha`` for durations above the budget T. The published code of Bliss has
the quotient upside down, which rewards the slow; that is not offered.
"""

from __future__ import annotations

import numpy as np

from fedswarm.selection.contract import Feedback, Floats
from fedswarm.selection.oort.score import slowness_penalty


def rewards(feedback: Feedback, t_budget_s: float, exponent: float, *, failures_apart: bool) -> Floats:
    """Penalised utilities, ``(n,)``; NaN where the utility is unknown.

    A straggler that was trained nevertheless has a utility, and with ``failures_apart`` it is one to learn from.
    Without, all that do not count have 0, as in the published code.
    """
    penalised = feedback.utility * slowness_penalty(feedback.duration_s, t_budget_s, exponent)
    return penalised if failures_apart else np.where(feedback.success, np.nan_to_num(penalised), 0.0)
