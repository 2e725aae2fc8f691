"""The policies by the names that jobs use, and those of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from fedswarm.errors import JobError
from fedswarm.jobs.schema import Job
from fedswarm.references import is_reference, resolve
from fedswarm.selection.bliss.collection import RowSink
from fedswarm.selection.bliss.make import make_bliss
from fedswarm.selection.contract import Selector
from fedswarm.selection.oort.parameters import OortParameters
from fedswarm.selection.oort.selector import OortSelector
from fedswarm.selection.pyramidfl import PyramidFLSelector, PyramidParameters
from fedswarm.selection.random_policy import RandomSelector


def make_selector(job: Job, sink: RowSink | None = None) -> Selector:
    """The policy that ``selection.policy`` names; raises :class:`JobError` if there is none.

    ``sink`` takes the rows that a learning policy's regressors see, if the job collects them.
    """
    name = job.selection.policy
    if is_reference(name):
        return _own_policy(job)
    makers: dict[str, Callable[[Job], Selector]] = {**_MAKERS, "bliss": partial(make_bliss, sink=sink)}
    if name not in makers:
        raise JobError(f"selection.policy {name!r} is unknown: there are {', '.join(makers)}, or module:class")
    return makers[name](job)


def _own_policy(job: Job) -> Selector:
    """Called with ``seed=`` and the job's ``selection.options``."""
    name, options = job.selection.policy, job.selection.options
    make = resolve(name, JobError)
    try:
        policy = make(seed=job.seed, **options)
    except Exception as problem:  # the user's class runs its own code here: anything may go wrong
        raise JobError(f"selection.policy {name}: {type(problem).__name__}: {problem}") from problem
    missing = [method for method in _METHODS if not hasattr(policy, method)]
    if missing:
        raise JobError(
            f"selection.policy {name} has no {', '.join(missing)}: derive it from fedswarm.selection.contract.Policy"
        )
    return policy  # type: ignore[no-any-return]


def _random(job: Job) -> Selector:
    return RandomSelector(job.seed)


def _oort(job: Job) -> Selector:
    return OortSelector(job.seed, OortParameters.of(job.selection.oort, job.selection.t_budget_s))


def _pyramidfl(job: Job) -> Selector:
    oort = OortParameters.of(job.selection.oort, job.selection.t_budget_s)
    return PyramidFLSelector(job.seed, oort, PyramidParameters.of(job))


_METHODS: Final = tuple(name for name in vars(Selector) if not name.startswith("_"))
_MAKERS: Final[dict[str, Callable[[Job], Selector]]] = {
    "random": _random,
    "oort": _oort,
    "pyramidfl": _pyramidfl,
}
